"""Recorded answers of any kind of label: read, fused, and measured beside the simple baselines."""

import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from rich.console import Console

from cli.offline.crowd import rows_of
from cli.offline.shapes import SHAPES
from cli.offline.showing import show_agreement
from cli.output import Output, table
from services.qc.domain.kinds.agreement import agreement as agree
from services.qc.domain.kinds.kind import Fusion, Given, Kind, medoid
from services.qc.domain.kinds.measures import intervals_of
from services.qc.domain.kinds.mixed import MIXED
from services.qc.domain.kinds.registry import KINDS
from shared.errors import ConfigurationError

MEDOID_AT_MOST = 60


@dataclass(frozen=True, slots=True)
class Crowd:
    """A file of answers of one kind.

    Attributes:
        items: task -> answers; tasks and annotators sorted, of repeats the last.
        opinions: answers.
        workers: annotators.
    """

    items: Mapping[str, Sequence[Given[Any]]]
    opinions: int
    workers: int


def kind_named(name: str) -> Kind[Any]:
    """The kind of a name.

    Raises:
        ConfigurationError: there is none; says which there are.
    """
    if name == MIXED.name:
        return MIXED
    if name not in KINDS:
        every = ", ".join(["choice", *KINDS, *SHAPES, MIXED.name])
        raise ConfigurationError(f"--kind {name}: there is no such kind; give {every}")
    return KINDS[name]


def value_of(kind: Kind[Any], label: str) -> Any:
    """The value of a label column: JSON of the kind, or for a bare text the text.

    Raises:
        ValueError: what is wrong with it.
    """
    try:
        raw = json.loads(label)
    except ValueError as error:
        if kind.name not in {"transcript", "choices"}:
            raise ValueError(f"it is no JSON ({error})") from None
        raw = label
    if kind.name == "choices" and not isinstance(raw, list | dict):
        raw = label
    if kind.name == "transcript" and not (isinstance(raw, dict) and isinstance(raw.get("text"), str)):
        raw = label  # a text that happens to be JSON, such as a number
    return kind.parse(raw)


def _values(path: Path, kind: Kind[Any], columns: tuple[str, ...]) -> list[tuple[list[str], Any]]:
    found: list[tuple[list[str], Any]] = []
    known: dict[str, Any] = {}
    blank = "label" if kind.name == "transcript" else ""
    for line, row in rows_of(path, columns, blank=blank):
        label = row[-1]
        try:
            if label not in known:
                known[label] = value_of(kind, label)
        except ValueError as error:
            raise ConfigurationError(f"{path}:{line}: the label is no {kind.name}: {reason(error)}") from None
        found.append((row[:-1], known[label]))
    return found


def reason(error: ValueError) -> str:
    """What is wrong, with its place, in one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    return f"{place}: {said}" if place else said


def read_crowd(path: Path, kind: Kind[Any]) -> Crowd:
    """Read a CSV of task,worker,label whose labels are of a kind.

    Raises:
        ConfigurationError: names file, line and what to do.
    """
    items: dict[str, dict[str, Any]] = {}
    for (task, worker), value in _values(path, kind, ("task", "worker", "label")):
        items.setdefault(task, {})[worker] = value
    if not items:
        raise ConfigurationError(f"{path}: holds no answers; give a CSV of task,worker,label")
    given = {task: tuple(Given(*each) for each in sorted(items[task].items())) for task in sorted(items)}
    workers = {one.annotator for answers in given.values() for one in answers}
    return Crowd(given, sum(map(len, given.values())), len(workers))


def read_truth(path: Path, kind: Kind[Any]) -> dict[str, Any]:
    """Read a CSV of task,label.

    Raises:
        ConfigurationError: names file, line and what to do.
    """
    return {task: value for (task,), value in _values(path, kind, ("task", "label"))}


def baselines(crowd: Crowd, kind: Kind[Any], truth: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What one gets without an engine: any one answer, the one nearest to the others, the majority."""
    judged = {task: answers for task, answers in crowd.items.items() if task in truth}
    found = {
        "one_annotator": kind.measure([(one.value, truth[task]) for task, each in judged.items() for one in each]),
        "medoid": kind.measure(
            [(medoid(each[:MEDOID_AT_MOST], kind.distance), truth[task]) for task, each in judged.items()]
        ),
    }
    if kind.majority is not None:
        found["majority"] = kind.measure([(kind.majority(each), truth[task]) for task, each in judged.items()])
    return found


def consensus(out: Output, answers: Path, truth: Path | None, name: str, output: Path | None) -> None:
    """`labelstream consensus --kind` of a kind that is fused as a whole."""
    kind = kind_named(name)
    with out.working("reading answers"):
        crowd = read_crowd(answers, kind)
        known = {} if truth is None else read_truth(truth, kind)
    started = time.perf_counter()
    with out.working("finding labels"):
        try:
            fused = kind.fuse(crowd.items)
        except ValueError as error:
            raise ConfigurationError(f"{answers}: {error}") from None
    seconds = time.perf_counter() - started
    if output is not None:
        _write(output, kind, crowd, fused)
    judged = [(fused.labels[task].value, known[task]) for task in crowd.items if task in known]
    figures = kind.measure(judged) if judged else {kind.headline: None}
    beside = {}
    if judged:
        with out.working("measuring the baselines"):
            beside = baselines(crowd, kind, known)
    document = {
        "kind": name, **figures, "intervals": intervals_of(kind.measure, judged) if judged else {},
        "baselines": beside, "headline": kind.headline, "items": len(crowd.items),
        "judged": len(judged), "opinions": crowd.opinions, "workers": crowd.workers, "seconds": seconds,
        "seconds_per_item": seconds / len(crowd.items),
        "expected_wrong": sum(label.wrong for label in fused.labels.values()) / len(crowd.items),
        "skills": fused.told(),
    }  # fmt: skip
    out.result(document, lambda to: _show(to, document))


def _write(path: Path, kind: Kind[Any], crowd: Crowd, fused: Fusion[Any]) -> None:
    """task, label as JSON (a transcript as its text), posterior, expected wrong parts, opinions, and the parts."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["task", "label", "posterior", "expected_wrong", "opinions", "parts"])
            for task, label in fused.labels.items():
                value = kind.encode(label.value)
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                parts = json.dumps([dict(part) for part in label.parts], ensure_ascii=False)
                sure, wrong = round(label.posterior, 6), round(label.wrong, 6)
                writer.writerow([task, text, sure, wrong, len(crowd.items[task]), parts])
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error}") from error


def _show(to: Console, document: dict[str, Any]) -> None:
    plain = [(name, value) for name, value in document.items() if not isinstance(value, dict)]
    to.print(table(("result", "value"), [(name.replace("_", " "), "unknown" if v is None else v) for name, v in plain]))
    if document["baselines"]:
        to.print()
        names = list(document["baselines"]["one_annotator"])
        rows = [
            (way.replace("_", " "), *(float(figures[name]) for name in names))
            for way, figures in ({"consensus": document} | document["baselines"]).items()
        ]
        to.print(table(("labels by", *(name.replace("_", " ") for name in names)), rows))


def agreement(out: Output, answers: Path, name: str, resamples: int, seed: int) -> None:
    """`labelstream agreement --kind` of a kind that is compared by a distance."""
    kind = kind_named(name)
    with out.working("reading answers"):
        crowd = read_crowd(answers, kind)
    with out.working("measuring agreement"):
        found = agree(crowd.items, kind, resamples=resamples, rng=np.random.default_rng(seed))
    document = {
        "kind": name, **found.values, "intervals": found.intervals, "tasks": len(crowd.items),
        "tasks_with_two": found.paired, "answers": crowd.opinions, "workers": crowd.workers, "resamples": resamples,
    }  # fmt: skip
    out.result(document, lambda to: show_agreement(to, document, list(found.values)))
