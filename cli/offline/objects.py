"""`labelstream consensus --kind boxes|polygons|masks|tracks`: fused objects, beside what is simpler."""

import csv
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from cli.offline.crowd import rows_of
from cli.offline.shapes import SHAPES, Refused, Shape, read_shapes, write_shapes
from cli.output import Output, table
from services.qc.domain.calibration import Reliability, reliability
from services.qc.domain.kinds import semantic as semantic_masks
from services.qc.domain.kinds.clusters import Answer, Drawn, match
from services.qc.domain.kinds.concord import agreement
from services.qc.domain.kinds.detection import Held, average_precision, hold, ratios, scores, totals
from services.qc.domain.kinds.objects import Fused, fuse, learn, majority
from services.qc.domain.kinds.semantic import looks_semantic
from services.qc.domain.kinds.tracking import follow, tracking
from shared.errors import ConfigurationError

FEWEST = 5
RESAMPLES = 1000
NAMES = ("mean_iou", "f1", "precision", "recall", "quality")

Objects = tuple[Drawn[Any], ...]


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
    agreed = agreement(items, recorded.shape.geometry, resamples=RESAMPLES, rng=np.random.default_rng(0))
    return {
        **_beside(recorded, found, truth), "kind": recorded.kind, "items": len(items),
        "opinions": sum(map(len, items)), "workers": len(found.skills),
        "objects": sum(map(len, found.labels)), **found.about,
        "agreement": agreed.values, "agreement_intervals": agreed.intervals, "skills": found.skills,
        "refused": recorded.refused.number, "refused_why": dict(recorded.refused.reasons.most_common(5)),
        "seconds": seconds, "milliseconds_per_item": 1e3 * seconds / len(items),
    }  # fmt: skip


def _fused(items: Sequence[Sequence[Answer[Any]]], geometry: Any) -> Labelled:
    crowd = learn(items, geometry)
    found = [fuse(item, geometry, crowd) for item in items]
    return Labelled(
        [tuple(Drawn(each.extent, each.label) for each in one.kept) for one in found],
        lambda item: majority(item, geometry),
        found,
        [one.wrong for one in found],
        {name: asdict(skill) for name, skill in crowd.people.items()},
        {
            "classes": len(crowd.classes), "semantic": False, "candidates": sum(len(one.objects) for one in found),
            "expected_unseen": sum(one.unseen for one in found), "expected_wrong": sum(one.wrong for one in found),
        },
    )  # fmt: skip


def _painted(items: Sequence[Sequence[Answer[Any]]]) -> Labelled:
    painters = semantic_masks.learn(items)
    equal = semantic_masks.Painters(painters.classes, {}, painters.typical)
    found = [semantic_masks.fuse(item, painters) for item in items]
    return Labelled(
        [one.masks for one in found],
        lambda item: semantic_masks.fuse(item, equal).masks,
        None,
        [one.wrong for one in found],
        {name: {"accuracy": accuracy} for name, accuracy in painters.accuracy.items()},
        {"classes": len(painters.classes), "semantic": True},
    )


def _beside(recorded: Recorded, found: Labelled, truth: dict[str, Objects] | None) -> dict[str, Any]:
    """The scores beside the truth, each with what the majority and the best single annotator come to."""
    judged = [at for at, task in enumerate(recorded.answers) if truth is not None and task in truth]
    if truth is None or not judged:
        return dict.fromkeys(NAMES)
    geometry, tasks, items = recorded.shape.geometry, list(recorded.answers), list(recorded.answers.values())
    true = [truth[tasks[at]] for at in judged]
    held = [hold(found.labels[at], two, geometry) for at, two in zip(judged, true, strict=True)]
    plain = [found.majority(items[at]) for at in judged]
    most = [hold(one, two, geometry) for one, two in zip(plain, true, strict=True)]
    document = {
        **asdict(scores(held)), "intervals": intervals(held), "judged": len(judged), "mean_dice": mean_dice(held),
        "majority": asdict(scores(most)), "best_single": best_single([items[at] for at in judged], true, geometry),
    }  # fmt: skip
    if recorded.kind == "tracks":
        document |= tracking([follow(found.labels[at], two) for at, two in zip(judged, true, strict=True)])
        document["majority"] |= tracking([follow(one, two) for one, two in zip(plain, true, strict=True)])
    if found.candidates is not None:
        document |= _sure([found.candidates[at] for at in judged], true, geometry)
    return document


def _sure(found: Sequence[Fused[Any]], true: Sequence[Objects], geometry: Any) -> dict[str, Any]:
    """Average precision by the posteriors, and whether these mean what they say."""
    ranked = [
        ([Drawn(o.extent, o.label) for o in one.objects], np.array([o.posterior for o in one.objects]), two)
        for one, two in zip(found, true, strict=True)
    ]
    curve = existence(found, true, geometry)
    return {
        **average_precision(ranked, geometry), "calibration_error": None if curve is None else curve.error,
        "reliability": [] if curve is None else [
            {"labels": one.labels, "posterior": one.posterior, "accuracy": one.accuracy} for one in curve.bins
        ],
    }  # fmt: skip


def mean_dice(held: Sequence[Held]) -> float | None:
    """Dice over the true objects, 2 J / (1 + J) of each overlap J; one that was missed has none."""
    true = sum(one.true for one in held)
    return sum(float((2.0 * one.overlaps / (1.0 + one.overlaps)).sum()) for one in held) / true if true else None


def best_single(
    items: Sequence[Sequence[Answer[Any]]], true: Sequence[Objects], geometry: Any
) -> dict[str, Any] | None:
    """The annotator with the best F1, over the tasks that they did, if these are not too few to tell."""
    by: dict[str, list[Held]] = {}
    for item, two in zip(items, true, strict=True):
        for answer in item:
            by.setdefault(answer.annotator, []).append(hold(answer.objects, two, geometry))
    busiest = max(map(len, by.values()))
    known = {name: scores(held) for name, held in by.items() if len(held) >= min(FEWEST, busiest)}
    best = max(known, key=lambda name: (known[name].f1 or 0.0, known[name].mean_iou or 0.0, name))
    return {"tasks": len(by[best]), **asdict(known[best])}


def intervals(held: Sequence[Held], resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """95 % intervals of the scores, by the bootstrap over tasks."""
    rows, size = totals(held), len(held)
    times = np.random.default_rng(seed).multinomial(size, np.full(size, 1.0 / size), size=resamples)
    drawn = ratios(times @ rows)
    low, high = np.nanpercentile(drawn, (2.5, 97.5), axis=0) if not np.isnan(drawn).all() else (drawn[0], drawn[0])
    return {name: None if np.isnan(low[i]) else [float(low[i]), float(high[i])] for i, name in enumerate(NAMES)}


def existence(
    found: Sequence[Fused[Any]], true: Sequence[Objects], geometry: Any, least: float = 0.5
) -> Reliability | None:
    """How sure candidates are to exist beside how many of them do, whatever their class."""
    sure, real = [], []
    for item, two in zip(found, true, strict=True):
        hit = np.zeros(len(item.objects), dtype=np.bool_)
        posterior = np.array([one.existence for one in item.objects])
        if item.objects and two:
            shared = geometry.similarity([one.extent for one in item.objects], [one.extent for one in two])
            hit[match(shared + 1e-3 * posterior[:, None], shared >= least)[0]] = True
        sure.append(posterior)
        real.append(hit)
    return reliability(np.concatenate(sure), np.concatenate(real))


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
