"""`python -m tests.bench [PART ...]`: measures, prints a table, writes build/bench.json. Nothing here asserts time."""

import asyncio
import importlib
import inspect
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from shared.clock import utc_now
from tests.bench.figures import FIGURES, Figure
from tests.bench.machine import machine

OUTPUT = Path("build/bench.json")
PAGE = 140
CLOSE = 10.0
"""Below this, figures have two decimals."""


@dataclass(frozen=True, slots=True)
class Part:
    """One measurement: an async function that returns figures; those that take `news` tell how far they are."""

    function: str
    about: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def module(self) -> str:
        return self.function.rpartition(".")[0]


PARTS = {
    "auto": Part("auto_path.beside_chain", "auto path beside the bare chain", {"number": 20_000}),
    "prelabel": Part("prelabel.measure", "prelabel beside ONNX Runtime"),
    "latency": Part("latency.measure", "item to prediction"),
    "decoders": Part("decoders.measure", "models' outputs to objects and text"),
    "likeness": Part("likeness.measure", "near-duplicates found among originals"),
    "swap": Part("swap.measure", "swapping models at 1,000 items/s"),
    "annotators": Part("annotators.measure", "annotators"),
    "growth": Part("growth.measure", "growth, 100,000 to 1,000,000 items"),
    "memory": Part("memory.measure", "resident memory, 100,000 to 1,000,000 items"),
}
PEERS = {"studio": Part("studio.measure", "Label Studio community")}
"""Taken only when they are named: each needs an environment of its own."""


async def run(part: Part, news: Callable[[str], None]) -> dict[str, float]:
    """The figures of one part."""
    function = getattr(importlib.import_module(f"tests.bench.{part.module}"), part.function.rpartition(".")[2])
    told = {"news": news} if "news" in inspect.signature(function).parameters else {}
    figures: dict[str, float] = await function(**part.arguments, **told)
    return figures


def show(console: Console, found: Mapping[str, float], about: Mapping[str, Any]) -> None:
    """The table."""
    table = Table(box=None, header_style="bold")
    for heading in ("figure", "measured", "limit", "measured / limit", "n", "spread"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for figure in FIGURES:
        if figure.name in found:
            table.add_row(*_row(figure, found))
    console.print(table)
    console.print(
        f"{about['cores']} cores of {about['cpu']}, {about['memory_gib']} GiB, Python {about['python']}, Apache Kafka"
        f" {about['kafka']}, PostgreSQL {about['postgresql']}, load {about['load_before']} when it began",
        style="dim",
    )


def _row(figure: Figure, found: Mapping[str, float]) -> tuple[str, ...]:
    value, limit, within = found[figure.name], figure.limit(found), figure.within(found)
    known = limit is not None and not math.isnan(limit)
    sign = "≥" if figure.least is not None else "≤"
    share = f" ({figure.least:g} of the chain)" if figure.share_of else ""
    style = "" if within is None else "green" if within else "red"
    return (
        figure.about,
        f"[{style}]{_number(value)} {figure.unit}[/]" if style else f"{_number(value)} {figure.unit}",
        f"{sign} {_number(limit or 0.0)}{share}" if known else "",
        f"{value / limit:.2f}" if known and limit else "",
        f"{found[figure.n]:,.0f}" if figure.n in found else "",
        f"{found[figure.spread]:.0%}" if figure.spread in found else "",
    )


def _number(value: float) -> str:
    return f"{value:,.2f}" if value < CLOSE else f"{value:,.0f}"


def _write(body: Mapping[str, Any]) -> None:
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(body, indent=2) + "\n")


async def main(names: list[str]) -> None:
    """All parts, or the named ones; figures of parts that were taken earlier are not kept."""
    console = Console(width=None if sys.stdout.isatty() else PAGE)
    about, found, started = machine(), dict[str, float](), time.monotonic()
    for name in names or PARTS:
        part = (PARTS | PEERS)[name]
        with console.status(part.about) as status:
            found |= await run(part, lambda what, part=part: status.update(f"{part.about}: {what}"))  # type: ignore[misc]
        seconds = round(time.monotonic() - started, 1)
        console.print(f"{part.about}: {seconds:.0f} s since the start", style="dim")
        _write({"taken_at": utc_now().isoformat(timespec="seconds"), "seconds": seconds, "machine": about, **found})
    show(console, found, about)
    for name, value in found.items():
        if "_refused: " in name:
            console.print(f"{name}: {value:.0f}", style="yellow")
    console.print(f"{OUTPUT} written", style="dim")


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - (PARTS | PEERS).keys():
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS | PEERS)}")
    asyncio.run(main(sys.argv[1:]))
