"""`labelstream consensus --kind boxes|polygons|masks|tracks`: fused objects, beside what is simpler."""

import csv
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from cli.offline.crowd import rows_of
from cli.offline.judging import NAMES, Objects, best_single, certainty, compare
from cli.offline.shapes import SHAPES, Refused, Shape, read_shapes, write_shapes
from cli.offline.showing import show_agreement
from cli.output import Output, table
from services.qc.domain.kinds import semantic as semantic_masks
from services.qc.domain.kinds.certainty import certainty as certainty_of
from services.qc.domain.kinds.clusters import Answer, Drawn
from services.qc.domain.kinds.concord import agreement as agree
from services.qc.domain.kinds.objects import Fused, Skill, majority, resolve
from services.qc.domain.kinds.semantic import looks_semantic
from shared.errors import ConfigurationError

RESAMPLES = 1000


@dataclass(frozen=True)
class Recorded:
    """A file of drawn answers.

    Attributes:
        answers: by task; of repeats by one worker the last.
        refused: objects left out.
    """

    kind: str
    answers: dict[str, list[Answer[Any]]]
    refused: Refused

    @property
    def shape(self) -> Shape:
        return SHAPES[self.kind]


def read_drawn(path: Path, kind: str) -> Recorded:
    """Read a CSV of task, worker, label, the label being JSON.

    Raises:
        ConfigurationError: names file and line.
    """
    refused, found = Refused(), dict[str, dict[str, Objects]]()
    for line, (task, worker, label) in rows_of(path, ("task", "worker", "label")):
        found.setdefault(task, {})[worker] = _read(path, line, label, kind, refused)
    if not found:
        raise ConfigurationError(f"{path}: holds no answers; give a CSV of task,worker,label")
    if kind == "masks":
        _one_size(found, refused)
    answers = {task: [Answer(who, drawn) for who, drawn in sorted(by.items())] for task, by in sorted(found.items())}
    return Recorded(kind, answers, refused)


def _one_size(found: dict[str, dict[str, Objects]], refused: Refused) -> None:
    """Leaves out the masks that are of another size than most of their task."""
    for task, by in found.items():
        sizes = Counter((one.extent.height, one.extent.width) for drawn in by.values() for one in drawn)
        if len(sizes) > 1:
            (size, _), *_ = sizes.most_common(1)
            refused.reasons["a mask of another size than most of its task"] += sizes.total() - sizes[size]
            found[task] = {
                who: tuple(one for one in drawn if (one.extent.height, one.extent.width) == size)
                for who, drawn in by.items()
            }


def read_true(path: Path, kind: str) -> dict[str, Objects]:
    """Read a CSV of task, label.

    Raises:
        ConfigurationError: names file and line.
    """
    refused = Refused()
    found = {task: _read(path, n, label, kind, refused) for n, (task, label) in rows_of(path, ("task", "label"))}
    if refused.number:
        reason = next(iter(refused.reasons))
        raise ConfigurationError(f"{path}: {refused.number} true objects cannot be read; the first: {reason}")
    return found


def _read(path: Path, line: int, label: str, kind: str, refused: Refused) -> Objects:
    try:
        return read_shapes(label, SHAPES[kind], refused)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}:{line}: no {kind} in JSON: {error}") from error


@dataclass(frozen=True)
class Labelled:
    """What came out.

    Attributes:
        labels: (tasks,); objects of each.
        majority: what most of those who answered an item say, everybody weighing the same.
        candidates: (tasks,); everything that may be an object; None where pixels are labelled.
        wrong: (tasks,); expected wrong objects, or the expected share of wrong pixels.
        skills: by worker.
        about: what else the JSON says.
    """

    labels: list[Objects]
    majority: Callable[[Sequence[Answer[Any]]], Objects]
    candidates: list[Fused[Any]] | None
    wrong: list[float]
    skills: dict[str, dict[str, Any]]
    about: dict[str, Any]


def consensus(
    recorded: Recorded, truth: dict[str, Objects] | None, output: Path | None, *, semantic: bool | None = None
) -> dict[str, Any]:
    """Fuse every task; what the JSON of the command says.

    Args:
        recorded: the answers.
        truth: by task.
        output: where labels go, as CSV.
        semantic: of masks, one per class and each pixel in one of them; None: as the answers look.
    """
    items = list(recorded.answers.values())
    if semantic is None:
        semantic = recorded.kind == "masks" and looks_semantic(items)
    started = time.perf_counter()
    found = _painted(items) if semantic else _fused(items, recorded.shape.geometry)
    seconds = time.perf_counter() - started
    if output is not None:
        _write(output, recorded, found)
    agreed = agree(items, recorded.shape.geometry, resamples=RESAMPLES, rng=np.random.default_rng(0))
    return {
        **_beside(recorded, found, truth), "kind": recorded.kind, "items": len(items),
        "opinions": sum(map(len, items)), "workers": len(found.skills),
        "objects": sum(map(len, found.labels)), **found.about,
        "agreement": agreed.values, "agreement_intervals": agreed.intervals, "skills": found.skills,
        "refused": recorded.refused.number, "refused_why": dict(recorded.refused.reasons.most_common(5)),
        "seconds": seconds, "milliseconds_per_item": 1e3 * seconds / len(items),
    }  # fmt: skip


def _fused(items: Sequence[Sequence[Answer[Any]]], geometry: Any) -> Labelled:
    crowd, found = resolve(items, geometry)
    return Labelled(
        [tuple(Drawn(each.extent, each.label) for each in one.kept) for one in found],
        lambda item: majority(item, geometry),
        found,
        [one.wrong for one in found],
        {name: _told(skill) for name, skill in crowd.people.items()},
        {
            "classes": len(crowd.classes), "semantic": False, "candidates": sum(len(one.objects) for one in found),
            "expected_unseen": sum(one.unseen for one in found), "expected_wrong": sum(one.wrong for one in found),
        },
    )  # fmt: skip


def _told(skill: Skill) -> dict[str, Any]:
    """An annotator's skill, and how well it is known."""
    names = ("detection", "false", "accuracy", "off", "objects", "answers")
    known = {"accuracy" if name == "class" else name: list(each) for name, each in certainty_of(skill).items()}
    low, high = known.pop("extent")
    return {name: getattr(skill, name) for name in names} | {"intervals": known | {"off": [1.0 - high, 1.0 - low]}}


def _painted(items: Sequence[Sequence[Answer[Any]]]) -> Labelled:
    painters = semantic_masks.learn(items)
    equal = semantic_masks.Painters(painters.classes, {}, painters.typical)
    found = [semantic_masks.fuse(item, painters) for item in items]
    return Labelled(
        [one.masks for one in found],
        lambda item: semantic_masks.fuse(item, equal).masks,
        None,
        [one.wrong for one in found],
        {
            name: {
                "accuracy": accuracy,
                "intervals": {"accuracy": list(painters.intervals[name])} if name in painters.intervals else {},
            }
            for name, accuracy in painters.accuracy.items()
        },
        {"classes": len(painters.classes), "semantic": True},
    )


def _beside(recorded: Recorded, found: Labelled, truth: dict[str, Objects] | None) -> dict[str, Any]:
    """The scores beside the truth, each with what the majority and the best single annotator come to."""
    judged = [at for at, task in enumerate(recorded.answers) if truth is not None and task in truth]
    if truth is None or not judged:
        return dict.fromkeys(NAMES)
    geometry, tasks, items = recorded.shape.geometry, list(recorded.answers), list(recorded.answers.values())
    true = [truth[tasks[at]] for at in judged]
    labels, plain = [found.labels[at] for at in judged], [found.majority(items[at]) for at in judged]
    document = compare(labels, plain, true, geometry, tracks=recorded.kind == "tracks")
    document["best_single"] = best_single([items[at] for at in judged], true, geometry)
    if found.candidates is not None:
        sure, known = certainty([found.candidates[at] for at in judged], true, geometry)
        document |= sure
        document["intervals"] |= known
    return document


def agreement(out: Output, answers: Path, kind: str, resamples: int, seed: int) -> None:
    """`labelstream agreement --kind` of shapes."""
    with out.working("reading answers"):
        recorded = read_drawn(answers, kind)
    items = list(recorded.answers.values())
    with out.working("measuring agreement"):
        found = agree(items, recorded.shape.geometry, resamples=resamples, rng=np.random.default_rng(seed))
    workers = {answer.annotator for item in items for answer in item}
    document = {
        "kind": kind, **found.values, "intervals": found.intervals, "tasks": len(items),
        "tasks_with_two": sum(len(item) > 1 for item in items), "pairs": found.pairs,
        "answers": sum(map(len, items)), "workers": len(workers), "resamples": resamples,
        "refused": recorded.refused.number, "refused_why": dict(recorded.refused.reasons.most_common(5)),
    }  # fmt: skip
    out.result(document, lambda to: show_agreement(to, document, list(found.values)))


def command(
    out: Output, answers: Path, truth: Path | None, kind: str, output: Path | None, *, semantic: bool | None
) -> None:
    """`labelstream consensus --kind` of shapes."""
    with out.working("reading answers"):
        recorded = read_drawn(answers, kind)
        known = None if truth is None else read_true(truth, kind)
    with out.working("fusing answers"):
        document = consensus(recorded, known, output, semantic=semantic)
    out.result(document, lambda to: _show(to, document))


def _show(to: Console, document: dict[str, Any]) -> None:
    ways = {"fused": document, "majority": document.get("majority"), "best single": document.get("best_single")}
    rows = [(name.replace("_", " "), *((way or {}).get(name) for way in ways.values())) for name in NAMES]
    told = [[("unknown" if value is None else value) for value in row] for row in rows]
    to.print(table(("score", *ways), [(*row,) for row in told]))
    to.print()
    rest = [(name.replace("_", " "), value) for name, value in document.items() if name not in NAMES]
    to.print(table(("result", "value"), [row for row in rest if isinstance(row[1], int | float | str)]))


def _write(path: Path, recorded: Recorded, found: Labelled) -> None:
    """task, label in JSON, what is expected to be wrong, opinions, and the existence of each object of the label."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["task", "label", "expected_wrong", "opinions", "existence"])
            for at, (task, answers) in enumerate(recorded.answers.items()):
                sure = (
                    ""
                    if found.candidates is None
                    else " ".join(f"{o.existence:.4f}" for o in found.candidates[at].kept)
                )
                label = write_shapes(found.labels[at], recorded.kind)
                writer.writerow([task, label, round(found.wrong[at], 4), len(answers), sure])
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error}") from error
