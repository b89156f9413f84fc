"""`labelstream economics`."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.api import Api
from cli.audit.run import audit
from cli.economics.contents import Contents, read_contents
from cli.economics.drive import Played, Player, Scene, names, needs_trainer
from cli.economics.plan import POLICIES, Options, project_of
from cli.economics.plot import draw
from cli.economics.report import Together, everything, policy_report, savings, show
from cli.economics.watch import Watch
from cli.offline.crowd import read_recorded
from cli.output import JsonFlag, Output
from cli.replay.dataset import Crowd, read_crowd
from cli.replay.driver import hire
from cli.stack.embedded import Stack, StackOptions
from cli.stack.scratch import Scratch
from cli.up import ADMIN_TOKEN, Broker
from shared.topics import SERVICES, TRAINER

Policy = StrEnum("Policy", {name: name for name in POLICIES})  # type: ignore[misc]  # its members are the presets
READABLE = {"exists": True, "dir_okay": False}
SOON = {
    "LABELSTREAM_TRAINER_CHECK_S": "0.5",
    "LABELSTREAM_TRAINER_RETRY_S": "5",
    "LABELSTREAM_MONITOR_CERTIFY_INTERVAL_S": "0.5",
    "LABELSTREAM_QC_SNAPSHOT_INTERVAL_S": "1",
    "LABELSTREAM_QC_REVIEW_INTERVAL_S": "0.2",
    "LABELSTREAM_ASSIGNMENT_SWEEP_INTERVAL_S": "0.5",
}
"""People of a recording answer at once, so what otherwise takes its time beside their work must not."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, and on what."""

    crowd: Crowd
    contents: Contents
    policies: tuple[str, ...]
    options: Options
    together: Together


def command(
    *,
    answers: Annotated[
        Path, typer.Option("--answers", help="CSV of task,worker,label[,timestamp].", show_default=False)
    ],
    items: Annotated[
        Path | None,
        typer.Option("--items", help='JSON lines of {"task": id, "features": [...] or texts, "group": copies}.'),
    ] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="CSV of task,label.")] = None,
    only: Annotated[list[Policy] | None, typer.Option("--policy", help="Only these.", show_default="all")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first tasks.")] = None,
    target_error: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Of labels that the model gives alone.")
    ] = 0.03,
    cycles: Annotated[int, typer.Option(min=1, max=20, help="Trainings of ai_assisted.")] = 4,
    seed: Annotated[int, typer.Option(help="Order of the answers where no times were recorded.")] = 0,
    plot: Annotated[Path | None, typer.Option("--plot", help="Cost, accuracy and learning curves, as PNG.")] = None,
    broker: Annotated[Broker, typer.Option("--broker", help="tansu: in memory. kafka: Apache Kafka.")] = Broker.TANSU,
    as_json: JsonFlag = False,
) -> None:
    """Replay one recorded crowd under every policy, through the running services, and say what each cost.

    The same recorded people answer under each preset; where the items have contents, the trainer learns from their
    answers and the model takes over what it may. Exit code 0 only if all came to rest and the audit found nothing.
    """
    out = Output(as_json=as_json)
    started = time.monotonic()
    crowd = read_crowd(answers, truth=truth, limit=limit, seed=seed)
    policies = tuple(name for name in POLICIES if only is None or name in {one.value for one in only})
    together = everything(read_recorded(answers), crowd)
    options = Options(target_error=target_error, cycles=cycles)
    plan = Plan(crowd, read_contents(items, crowd), policies, options, together)
    found = asyncio.run(_economics(broker, plan, out))
    found["all_opinions"] = together.figures
    found["saved"] = savings(found["policies"], found["all_opinions"])
    found |= {
        "items": len(crowd.answers),
        "target_error": target_error,
        "seconds": round(time.monotonic() - started, 1),
    }
    if plot is not None:
        draw(found, plot)
        found["plot"] = str(plot)
    out.result(found, lambda to: show(to, found))
    if found["violations"]:
        raise typer.Exit(1)


async def _economics(broker: Broker, plan: Plan, out: Output) -> dict[str, Any]:
    token = secrets.token_urlsafe(32)
    trainer = needs_trainer(plan.policies, plan.contents)
    services: Sequence[str] = (*SERVICES, TRAINER) if trainer else SERVICES
    with Scratch() as scratch:
        models = scratch.path / "models"
        options = StackOptions(
            broker=broker.value, services=services, model_dir=models, settings={ADMIN_TOKEN: token, **SOON}
        )
        with out.working(f"starting {broker.value}, PostgreSQL and {len(services)} services"):
            stack = await Stack(options).__aenter__()
        try:
            return await _play(stack, token, plan, models, out)
        finally:
            with out.working("draining"):
                await stack.__aexit__(None, None, None)


async def _play(stack: Stack, token: str, plan: Plan, models: Path, out: Output) -> dict[str, Any]:
    watch = Watch()
    watching = asyncio.create_task(watch.run(stack.kafka))
    try:
        async with Api(stack.urls["assignment"], token) as api:
            played: list[Played] = []
            scene = Scene(plan.crowd, plan.contents, plan.options, models)
            player = Player(stack, api, watch, scene)
            await hire(api, plan.crowd, names(plan.policies))
            for policy in plan.policies:
                with out.working(policy, total=len(plan.crowd.answers)) as work:
                    played.append(await player.play(policy, work))
        with out.working("auditing"):
            report = await audit(stack.kafka, stack.database_urls, at_rest=True)
    finally:
        watching.cancel()
    truth, all_ = plan.crowd.truth, plan.together.right
    found = {one.policy: policy_report(one, watch.ledgers[project_of(one.policy)], truth, all_) for one in played}
    return {"policies": found, "violations": report.violations, "violation_list": [one.detail for one in report.found]}
