"""`labelstream agreement`."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from cli.offline import kinds, objects
from cli.offline.crowd import read_recorded
from cli.offline.shapes import SHAPES
from cli.output import JsonFlag, Output, table
from services.qc.domain.kinds.mixed import MIXED
from services.qc.domain.kinds.registry import KINDS
from services.qc.domain.resampling import COHEN, agreement_with_intervals

CHOICE = "choice"
SHOWN = (
    "alpha_nominal",
    "gwet_ac1",
    "alpha_ordinal",
    "gwet_ac2",
    "alpha_interval",
    "fleiss",
    COHEN,
    "percent_agreement",
)


def command(
    *,
    answers: Annotated[Path, typer.Option("--answers", help="CSV of task,worker,label.", show_default=False)],
    order: Annotated[
        str | None, typer.Option("--order", help="Classes from lowest to highest, with commas. Numbers are ordered.")
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help=f"Of the labels: choice, {', '.join([*KINDS, MIXED.name, *SHAPES])}. Their JSON: docs/kinds.md.",
        ),
    ] = CHOICE,
    resamples: Annotated[int, typer.Option(min=0, help="Bootstrap resamples behind the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """How far the people in a file of answers agree, beyond chance and not, with 95 % intervals.

    Of repeated answers by one worker to one task the last counts. What is undefined is null: the measures that need an
    order without one, all of them without two answers to one task. AC2 has quadratic weights; Cohen's kappa is the mean
    over pairs of the 60 busiest workers with 20 tasks in common or more.

    Of another --kind: Krippendorff's alpha with the kind's distance, his variant for unitizing (spans, segments), and
    the kind's own figures between two workers: of boxes, polygons, masks and tracks their overlap and F1.
    """
    out = Output(as_json=as_json)
    if kind in SHAPES:
        objects.agreement(out, answers, kind, resamples, seed)
        return
    if kind != CHOICE:
        kinds.agreement(out, answers, kind, resamples, seed)
        return
    with out.working("reading answers"):
        recorded = read_recorded(answers, order=None if order is None else tuple(order.split(",")))
    with out.working("measuring agreement"):
        found = agreement_with_intervals(
            recorded.answers, recorded.order, resamples=resamples, rng=np.random.default_rng(seed)
        )
    document: dict[str, Any] = {name: found.values[name] for name in SHOWN}
    document["intervals"] = {name: found.intervals[name] for name in SHOWN}
    document |= {
        "tasks": found.units, "tasks_with_two": found.paired, "pairs": found.pairs, "answers": len(recorded.answers),
        "workers": len(recorded.workers), "classes": len(recorded.classes), "resamples": resamples,
    }  # fmt: skip
    out.result(document, lambda to: _show(to, document))


def _cell(document: dict[str, Any], name: str) -> str:
    value, interval = document[name], document["intervals"][name]
    if value is None:
        return "undefined"
    return f"{value:.3f}" + ("" if interval is None else f"  {interval[0]:.3f} to {interval[1]:.3f}")


def _show(to: Console, document: dict[str, Any]) -> None:
    pairs = (
        ("classes", "alpha_nominal", "gwet_ac1"),
        ("ordered", "alpha_ordinal", "gwet_ac2"),
        ("numbers", "alpha_interval", None),
    )
    rows = [(kind, _cell(document, one), "" if two is None else _cell(document, two)) for kind, one, two in pairs]
    to.print(table(("answers as", "Krippendorff alpha", "Gwet AC1 / AC2"), rows))
    to.print()
    rest = [(name.replace("_", " "), _cell(document, name)) for name in ("fleiss", COHEN, "percent_agreement")]
    to.print(table(("measure", "value"), [(*row,) for row in rest]))
    to.print(
        f"\n{document['answers']:,} answers by {document['workers']:,} workers to {document['tasks']:,} tasks,"
        f" {document['tasks_with_two']:,} of them with two or more; {document['pairs']:,} pairs of workers",
        markup=False,
    )
