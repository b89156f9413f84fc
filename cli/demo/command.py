"""`labelstream demo`."""

import asyncio
import secrets
from typing import Annotated, Any

import typer

from cli.audit.run import audit
from cli.demo.report import show, summarise
from cli.demo.story import Plan, Story, prepare
from cli.demo.view import shown
from cli.dlq.commands import read_mailbox
from cli.output import JsonFlag, Output
from cli.stack.embedded import Stack, StackOptions
from cli.stack.scratch import Scratch
from cli.up import ADMIN_TOKEN, Broker

REDRAW_S = 0.25


def command(
    *,
    broker: Annotated[
        Broker, typer.Option("--broker", help="tansu: in memory. kafka: Apache Kafka on the local JVM.")
    ] = Broker.TANSU,
    images: Annotated[int | None, typer.Option(min=50, help="Images to stream.", show_default="all 1,607")] = None,
    per_second: Annotated[float, typer.Option(min=1, help="Images sent per second.")] = 150.0,
    seed: Annotated[int, typer.Option(help="Of everything drawn at random.")] = 7,
    as_json: JsonFlag = False,
) -> None:
    """Start everything embedded, stream real images through, and prove what came out.

    A first model is trained on 150 images and labels the easy ones; simulated annotators of differing skill answer the
    rest over the HTTP API; midway a second model, trained on their labels, takes over without a pause. At the end the
    audit proves that nothing was lost. Exit code 0 only if it is so.
    """
    out = Output(as_json=as_json)
    found = asyncio.run(_demo(broker, Plan(images, per_second, seed), out))
    out.result(found, lambda to: show(to, found))
    if found["problems"]:
        raise typer.Exit(1)


async def _demo(broker: Broker, plan: Plan, out: Output) -> dict[str, Any]:
    token = secrets.token_urlsafe(32)
    with Scratch() as scratch:
        models = scratch.path / "models"
        options = StackOptions(broker=broker.value, model_dir=models, settings={ADMIN_TOKEN: token})
        with out.working(f"starting {broker.value}, PostgreSQL and four services"):
            preparing = asyncio.create_task(asyncio.to_thread(prepare, plan))
            stack = await Stack(options).__aenter__()
        try:
            story = Story(stack, token, await preparing, plan, models)
            with out.working("training the first model, hiring annotators"):
                await story.set_up()
            return await _play(stack, story, out)
        finally:
            with out.working("draining"):
                await stack.__aexit__(None, None, None)


async def _play(stack: Stack, story: Story, out: Output) -> dict[str, Any]:
    with shown(story.told.scene, out.stderr) as redraw:
        drawing = asyncio.create_task(_redraw(redraw))
        try:
            told = await story.play()
        finally:
            drawing.cancel()
    with out.working("auditing"):
        report = await audit(stack.kafka, stack.database_urls, at_rest=True)
        box = await read_mailbox(stack.kafka)
    return summarise(told, box.letters, report)


async def _redraw(redraw: Any) -> None:
    while True:
        redraw()
        await asyncio.sleep(REDRAW_S)
