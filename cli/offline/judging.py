"""How fused objects compare with the truth, with what is simpler, and with themselves: figures and their intervals."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.calibration import Reliability, reliability
from services.qc.domain.kinds import tracking
from services.qc.domain.kinds.clusters import Answer, Drawn, match
from services.qc.domain.kinds.detection import (
    Held,
    average_precision,
    average_precision_intervals,
    hold,
    ratios,
    scores,
    totals,
)
from services.qc.domain.kinds.measures import bounds, resampled
from services.qc.domain.kinds.objects import Fused

FEWEST = 5
NAMES = ("mean_iou", "f1", "precision", "recall", "quality")

Objects = tuple[Drawn[Any], ...]


def compare(
    labels: Sequence[Objects], majority: Sequence[Objects], truth: Sequence[Objects], geometry: Any, *, tracks: bool
) -> dict[str, Any]:
    """The scores beside the truth with 95 % intervals, and what the majority comes to.

    Args:
        labels: of each judged item.
        majority: likewise.
        truth: likewise.
        geometry: of the extents.
        tracks: whether frames are judged as well.
    """
    held, most = (
        [hold(one, two, geometry) for one, two in zip(given, truth, strict=True)] for given in (labels, majority)
    )
    plain: dict[str, Any] = asdict(scores(most))
    document = {
        **asdict(scores(held)), "mean_dice": mean_dice(held), "judged": len(held), "intervals": intervals(held),
        "majority": plain,
    }  # fmt: skip
    if tracks:
        followed, others = (
            [tracking.follow(one, two) for one, two in zip(given, truth, strict=True)] for given in (labels, majority)
        )
        document |= tracking.tracking(followed)
        document["intervals"] |= tracking.intervals(followed)
        plain |= tracking.tracking(others)
    return document


def certainty(
    found: Sequence[Fused[Any]], true: Sequence[Objects], geometry: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Average precision by the posteriors, and whether these mean what they say; and the intervals of the former."""
    ranked = [
        ([Drawn(o.extent, o.label) for o in one.objects], np.array([o.posterior for o in one.objects]), two)
        for one, two in zip(found, true, strict=True)
    ]
    curve = existence(found, true, geometry)
    document = {
        **average_precision(ranked, geometry), "calibration_error": None if curve is None else curve.error,
        "reliability": [] if curve is None else [
            {"labels": one.labels, "posterior": one.posterior, "accuracy": one.accuracy} for one in curve.bins
        ],
    }  # fmt: skip
    return document, dict(average_precision_intervals(ranked, geometry))


def _dice(held: Sequence[Held]) -> Floats:
    """(items, 2); Dice of all pairs, and true objects."""
    rows = [(float((2.0 * one.overlaps / (1.0 + one.overlaps)).sum()), one.true) for one in held]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def mean_dice(held: Sequence[Held]) -> float | None:
    """Dice over the true objects, 2 J / (1 + J) of each overlap J; one that was missed has none."""
    found, true = _dice(held).sum(axis=0)
    return float(found / true) if true else None


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


def intervals(held: Sequence[Held]) -> dict[str, Any]:
    """95 % intervals of the scores and of mean Dice, by the bootstrap over tasks."""
    drawn = ratios(resampled(totals(held)))
    dice = resampled(_dice(held))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {"mean_dice": bounds(dice[:, 0] / dice[:, 1])}
    return {name: bounds(drawn[:, i]) for i, name in enumerate(NAMES)} | found


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
