"""`labelstream replay`."""

import asyncio
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.output import JsonFlag, Output, table
from cli.replay.dataset import Crowd, read_crowd
from cli.replay.driver import Settings, replay
from cli.replay.plan import overlap_of, project_of
from cli.stack.embedded import Stack, StackOptions
from cli.up import ADMIN_TOKEN, Broker

READABLE = typer.Option(exists=True, dir_okay=False)


def command(
    *,
    answers: Annotated[
        Path, typer.Option("--answers", help="CSV of task,worker,label[,timestamp].", show_default=False)
    ],
    items: Annotated[Path | None, typer.Option("--items", help='JSON lines of {"task": id, "content": ...}.')] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="CSV of task,label.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first tasks.")] = None,
    target: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Posterior at which a label is accepted.")] = 0.95,
    smallest: Annotated[
        int | None, typer.Option("--min", min=1, help="Fewest opinions per label.", show_default="2, or 1 as recorded")
    ] = None,
    largest: Annotated[
        int | None, typer.Option("--max", min=1, help="Most opinions per label.", show_default="as recorded")
    ] = None,
    seed: Annotated[int, typer.Option(help="Order of the answers where no times were recorded.")] = 0,
    broker: Annotated[Broker, typer.Option("--broker", help="tansu: in memory. kafka: Apache Kafka.")] = Broker.TANSU,
    as_json: JsonFlag = False,
) -> None:
    """Replay a recorded crowd through the whole stack, as if its workers sat at the API.

    Each open slot goes to a recorded worker who has an unused answer for that item; a round whose recorded answers are
    used up ends at once with the best posterior. Reports label accuracy, opinions used, and cost. Exit code 0 only if
    everything came to rest and the audit found nothing.
    """
    out = Output(as_json=as_json)
    crowd = read_crowd(answers, truth=truth, items=items, limit=limit, seed=seed)
    overlap = overlap_of(crowd, smallest, largest)
    spec = project_of(crowd, overlap=overlap, target=target)
    found = asyncio.run(_replay(broker, crowd, Settings(spec), out))
    found |= {"overlap": {"min": overlap.min, "max": overlap.max}, "target": target, "classes": len(crowd.classes)}
    out.result(found, lambda to: _show(to, found))
    if found["violations"] or found["open"]:
        raise typer.Exit(1)


async def _replay(broker: Broker, crowd: Crowd, settings: Settings, out: Output) -> dict[str, Any]:
    token = secrets.token_urlsafe(32)
    options = StackOptions(broker=broker.value, settings={ADMIN_TOKEN: token})
    with out.working(f"starting {broker.value}, PostgreSQL and four services"):
        stack = await Stack(options).__aenter__()
    try:
        with out.working("replaying", total=len(crowd.answers)) as work:
            return await replay(stack, token, crowd, settings, work)
    finally:
        with out.working("draining"):
            await stack.__aexit__(None, None, None)


def _show(to: Console, found: dict[str, Any]) -> None:
    counts = ("labelled", "open", "sampled_out", "unlabelable", "unresolved", "dead_lettered")
    to.print(table(("items", "number"), [(name, found[name]) for name in counts if found[name] or name == "labelled"]))
    to.print()
    rows = [
        (path, one["labels"], one["opinions"], one["cost"], _percent(one["accuracy"]))
        for path, one in found["paths"].items()
        if one["labels"]
    ]
    to.print(table(("path", "labels", "opinions", "cost", "accuracy"), rows))
    to.print(
        f"\naccuracy {_percent(found['accuracy'])}, plain majority over the same opinions"
        f" {_percent(found['accuracy_majority'])}; coverage {_percent(found['coverage'])}",
        markup=False,
    )
    to.print(
        f"{found['opinions']:,} of {found['recorded']:,} recorded opinions used,"
        f" {found['opinions_per_label'] or 0:.2f} per label; cost {found['cost']:.2f}",
        markup=False,
    )
    to.print(
        f"{found['seconds']:.1f} s, {found['items_per_second'] or 0:.0f} items/s; {found['violations']} violations",
        markup=False,
    )


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.2%}"
