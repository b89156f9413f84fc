"""`labelstream consensus`."""

import csv
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from cli.offline import kinds, objects
from cli.offline.arriving import Rule, run
from cli.offline.crowd import Recorded, read_recorded
from cli.offline.shapes import SHAPES
from cli.output import JsonFlag, Output, table
from services.qc.domain.answers import Floats, Ints
from services.qc.domain.calibration import Reliability, reliability
from services.qc.domain.kinds.mixed import MIXED
from services.qc.domain.kinds.registry import KINDS
from services.qc.domain.methods import resolve
from services.qc.domain.models import Method
from shared.errors import ConfigurationError

CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Labels:
    """What came out: a posterior per task, and how.

    Attributes:
        posterior: (tasks, classes).
        used: (tasks,); opinions each label stands on.
        about: what else the JSON says.
    """

    posterior: Floats
    used: Ints
    about: dict[str, Any]


def command(
    *,
    answers: Annotated[Path, typer.Option("--answers", help="CSV of task,worker,label.", show_default=False)],
    truth: Annotated[Path | None, typer.Option("--truth", help="CSV of task,label.")] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind", help=f"Of the labels: {CHOICE}, {', '.join([*KINDS, *SHAPES, MIXED.name])}. JSON: docs/kinds.md."
        ),
    ] = CHOICE,
    semantic: Annotated[
        bool | None,
        typer.Option(
            "--semantic/--instances", help="Masks: one per class, or one per object.", show_default="as given"
        ),
    ] = None,
    method: Annotated[Method, typer.Option("--method", help="Model of the people.")] = Method.DEFAULT,
    order: Annotated[
        str | None, typer.Option("--order", help="Classes from lowest to highest, with commas. Numbers are ordered.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Labels with posteriors, as CSV.")] = None,
    stop: Annotated[
        bool, typer.Option("--stop", help="Answers arrive one at a time; each task stops when it is sure enough.")
    ] = False,
    target: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Posterior at which a task stops.")] = 0.95,
    regret: Annotated[
        float | None,
        typer.Option(
            "--regret",
            min=1e-6,
            max=0.5,
            show_default="by --target",
            help="Stop where all opinions up to --max would raise the chance of a right label by no more than this.",
        ),
    ] = None,
    prefer: Annotated[
        float, typer.Option("--prefer", min=0, max=8, help="Draw people by what their opinions tell, to this power.")
    ] = 0.0,
    smallest: Annotated[int, typer.Option("--min", min=1, help="Fewest opinions before that.")] = 2,
    largest: Annotated[
        int | None, typer.Option("--max", min=1, help="Most opinions of a task.", show_default="as recorded")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order in which answers arrive.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Turn a file of answers into labels with posteriors, by the batch engine.

    Of repeated answers by one worker to one task the last counts. Accuracy is the share of tasks with a known truth
    whose label is right; `seconds` are those of the engine, without reading the file.

    With --stop the engine knows only what has arrived, and what comes for a stopped task is not looked at, unless what
    is learned meanwhile puts it in doubt and opens it again. The labels are those after the last refresh, on the
    opinions used; `accuracy_at_stop` is of those given when tasks stopped.

    Of objects (--kind boxes, polygons, masks, tracks) a label is a JSON value of the contract or its list of objects:
    `mean_iou` is over the true objects, `f1` at an overlap of a half, beside the majority and the best single worker.
    Of every other --kind the figures are f1, wer, mean_iou or mae beside those of the baselines: any one answer, the
    one nearest to the others, and the majority.
    """
    out = Output(as_json=as_json)
    if kind in SHAPES:
        objects.command(out, answers, truth, kind, output, semantic=semantic)
        return
    if kind != CHOICE:
        kinds.consensus(out, answers, truth, kind, output)
        return
    with out.working("reading answers"):
        recorded = read_recorded(answers, order=None if order is None else tuple(order.split(",")))
        known = None if truth is None else recorded.truth(truth)
    started = time.perf_counter()
    with out.working("finding labels"):
        rule = Rule(target, smallest, largest or int(recorded.answers.opinions.max()), regret, prefer)
        labels = _stopped(recorded, method, rule, seed, known) if stop else _labels(recorded, method)
    seconds = time.perf_counter() - started
    if output is not None:
        _write(output, recorded, labels)
    document = _document(recorded, labels, known, seconds) | {"method": method.value}
    out.result(document, lambda to: _show(to, document))


def _labels(recorded: Recorded, method: Method) -> Labels:
    found = resolve(recorded.answers, method, ordered=recorded.order.ordered)
    about = {"model": found.model, "temperature": found.temperature, "opinions": len(recorded.answers)}
    return Labels(found.posterior, recorded.answers.opinions.astype(np.int32), about)


def _stopped(recorded: Recorded, method: Method, rule: Rule, seed: int, known: Ints | None) -> Labels:
    found = run(recorded.answers, rule, seed, ordered=recorded.order.ordered)
    last = resolve(found.answers, method, ordered=recorded.order.ordered)
    judged = np.zeros(0, dtype=np.bool_) if known is None else known != -1
    at_stop = None
    if known is not None and judged.any():
        at_stop = float((found.posterior.argmax(axis=1)[judged] == known[judged]).mean())
    used = int(found.used.sum())
    about = {
        "model": last.model, "temperature": found.stream.temperature, "opinions": len(recorded.answers),
        "opinions_used": used, "opinions_per_item": used / len(recorded.tasks), "accuracy_at_stop": at_stop,
        "refreshes": found.stream.snapshot, "reopened": int(found.reopened.sum()),
        "target": rule.target, "regret": rule.regret, "prefer": rule.prefer,
        "min": rule.least, "max": rule.most, "seed": seed,
    }  # fmt: skip
    return Labels(last.posterior, found.used, about)


def macro_f1(label: Ints, truth: Ints, classes: int) -> float | None:
    """The mean F1 over the classes that the truth or the labels name; None without a truth."""
    judged = truth != -1
    given, right = label[judged], truth[judged]
    found = []
    for each in sorted({*right.tolist(), *given.tolist()}.difference({-2})):
        both = int(((given == each) & (right == each)).sum())
        found.append(2.0 * both / (int((given == each).sum()) + int((right == each).sum())))
    return float(np.mean(found)) if found and classes else None


def _document(recorded: Recorded, labels: Labels, truth: Ints | None, seconds: float) -> dict[str, Any]:
    label = labels.posterior.argmax(axis=1).astype(np.int32)
    share = labels.posterior.max(axis=1)
    accuracy = f1 = curve = None
    if truth is not None and (truth != -1).any():
        judged = truth != -1
        accuracy = float((label[judged] == truth[judged]).mean())
        f1 = macro_f1(label, truth, len(recorded.classes))
        curve = reliability(share[judged], label[judged] == truth[judged])
    return {
        "accuracy": accuracy, "macro_f1": f1, "method": "", "items": len(recorded.tasks), "opinions": 0,
        "seconds": seconds, "answers_per_second": len(recorded.answers) / max(seconds, 1e-9),
        "workers": len(recorded.workers), "classes": len(recorded.classes),
        "calibration_error": None if curve is None else curve.error, "reliability": _curve(curve),
    } | labels.about  # fmt: skip


def _curve(found: Reliability | None) -> list[dict[str, float]] | None:
    if found is None:
        return None
    return [{"labels": one.labels, "posterior": one.posterior, "accuracy": one.accuracy} for one in found.bins]


def _write(path: Path, recorded: Recorded, labels: Labels) -> None:
    """task, label, posterior, opinions, and the posterior of every class."""
    best = labels.posterior.argmax(axis=1)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["task", "label", "posterior", "opinions", *(f"p({name})" for name in recorded.classes)])
            for place, task in enumerate(recorded.tasks):
                shares = [round(float(share), 6) for share in labels.posterior[place]]
                top = int(best[place])
                writer.writerow([task, recorded.classes[top], shares[top], int(labels.used[place]), *shares])
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error}") from error


def _show(to: Console, document: dict[str, Any]) -> None:
    rows = [(name.replace("_", " "), "unknown" if value is None else value) for name, value in document.items()]
    to.print(table(("result", "value"), [row for row in rows if not isinstance(row[1], list)]))
    if document["reliability"]:
        to.print()
        curve = [(one["labels"], one["posterior"], one["accuracy"]) for one in document["reliability"]]
        to.print(table(("labels", "mean posterior", "right"), curve, title="reliability"))
