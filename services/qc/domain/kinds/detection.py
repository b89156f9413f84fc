"""How good objects are beside the truth: intersection over union, F1, average precision as COCO has it.

An object is held against a true one of its class; each counts once (Hungarian method).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Bools, Floats, Whole
from services.qc.domain.kinds.clusters import Drawn, E, Geometry, match
from services.qc.domain.kinds.measures import Interval, bounds

HIT = 0.5
COCO = np.arange(0.5, 0.96, 0.05)
LEVELS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class Held:
    """The objects of one item beside its truth.

    Attributes:
        overlaps: (pairs,); of the assignment with the most overlap in all.
        hits: pairs of at least `HIT`.
        given, true: objects.
    """

    overlaps: Floats
    hits: int
    given: int
    true: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one or more items; None where undefined.

    Attributes:
        mean_iou: over the true objects; one that was missed has none.
        f1, precision, recall: at an overlap of a half.
        quality: the sum of hits' overlaps in parts of what hits, misses and false objects weigh (panoptic quality of
            Kirillov et al. 2019, over all classes together).
    """

    mean_iou: float | None
    f1: float | None
    precision: float | None
    recall: float | None
    quality: float | None


def overlaps(given: Sequence[Drawn[E]], true: Sequence[Drawn[E]], geometry: Geometry[E]) -> Floats:
    """(given, true); 0 where the classes differ."""
    if not given or not true:
        return np.zeros((len(given), len(true)))
    found = geometry.similarity([one.extent for one in given], [one.extent for one in true])
    _, names = np.unique([one.label for one in (*given, *true)], return_inverse=True)
    return np.where(names[: len(given), None] == names[None, len(given) :], found, 0.0)


def hold(given: Sequence[Drawn[E]], true: Sequence[Drawn[E]], geometry: Geometry[E]) -> Held:
    """One item's objects beside its truth."""
    shared = overlaps(given, true, geometry)
    found = shared[match(shared, shared > 0.0)]
    hits = len(match(shared, shared >= HIT)[0])
    return Held(found, hits, len(given), len(true))


def totals(items: Sequence[Held]) -> Floats:
    """(items, 5); what each adds: overlap, overlap of hits, hits, given, true."""
    rows = [(h.overlaps.sum(), h.overlaps[h.overlaps >= HIT].sum(), h.hits, h.given, h.true) for h in items]
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def scores(items: Sequence[Held]) -> Scores:
    """Of all items together."""
    return Scores(*(None if np.isnan(each) else float(each) for each in ratios(totals(items).sum(axis=0))))


def ratios(sums: Floats) -> Floats:
    """(..., 5); the scores of sums of `totals`; NaN where undefined."""
    overlap, good, hits, given, true = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (overlap / true, 2 * hits / (given + true), hits / given, hits / true, 2 * good / (given + true))
    return np.stack(found, axis=-1)


Sure = Sequence[tuple[Sequence[Drawn[E]], Floats, Sequence[Drawn[E]]]]
"""What was given, its scores (given,), and the truth, of each item."""


@dataclass(frozen=True, slots=True)
class _Ranked:
    """The objects of one class and all items at one overlap, the surest first.

    Attributes:
        hits: (objects,); whether each has a true one.
        item: (objects,); where it is from.
        true: (items,); true objects.
    """

    hits: Bools
    item: Whole
    true: Whole

    def precision(self, times: Floats) -> float:
        """The average precision where each item counts so many times; (items,)."""
        weight = times[self.item]
        right, told, true = np.cumsum(weight * self.hits), np.cumsum(weight), float(times @ self.true)
        if true == 0.0 or not len(told):
            return 0.0 if true else np.nan
        best = np.maximum.accumulate((right / np.maximum(told, 1e-9))[::-1])[::-1]
        at = np.searchsorted(right / true, LEVELS, side="left")
        return float(np.where(at < len(best), np.append(best, 0.0)[np.minimum(at, len(best))], 0.0).mean())


def average_precision(items: Sure[E], geometry: Geometry[E]) -> Mapping[str, float | None]:
    """Average precision at overlaps of .5 to .95, .5 and .75, averaged over the classes of the truth (Lin et al. 2014).

    Objects are taken by falling score, each goes to the true one that it overlaps most and that is still free; the
    precision at each of 101 levels of recall is the best from there on.

    Args:
        items: what was given, its scores (given,), and the truth, of each item.
        geometry: of the extents.
    """
    ranked = _ranked(items, geometry)
    return _precisions(ranked, np.ones(len(items))) if ranked else {"ap": None, "ap50": None, "ap75": None}


def average_precision_intervals(
    items: Sure[E], geometry: Geometry[E], resamples: int = 200, seed: int = 0
) -> Mapping[str, Interval | None]:
    """95 % of `average_precision`, by the bootstrap over items."""
    ranked, size, rng = _ranked(items, geometry), len(items), np.random.default_rng(seed)
    if not ranked:
        return {"ap": None, "ap50": None, "ap75": None}
    times = rng.multinomial(size, np.full(size, 1.0 / size), size=resamples).astype(np.float64)
    drawn = [_precisions(ranked, each) for each in times]
    return {name: bounds(np.array([one[name] for one in drawn], dtype=np.float64)) for name in drawn[0]}


def _precisions(ranked: Sequence[Sequence[_Ranked]], times: Floats) -> dict[str, float | None]:
    """Of each class at each overlap, averaged over the classes that these items hold."""
    table = np.array([[one.precision(times) for one in row] for row in ranked])
    mean = table[~np.isnan(table[:, 0])].mean(axis=0)
    return {"ap": float(mean.mean()), "ap50": float(mean[0]), "ap75": float(mean[5])}


def _ranked(items: Sure[E], geometry: Geometry[E]) -> list[list[_Ranked]]:
    """(classes of the truth, overlaps)."""
    shared = [(overlaps(given, true, geometry), scored) for given, scored, true in items]
    classes = sorted({one.label for _, _, true in items for one in true})
    return [[_of_class(items, shared, name, least) for least in COCO] for name in classes]


def _of_class(items: Sure[E], shared: Sequence[tuple[Floats, Floats]], name: str, least: float) -> _Ranked:
    scored, right, item = [np.zeros(0)], [np.zeros(0, dtype=np.bool_)], [np.zeros(0, dtype=np.int64)]
    true = np.zeros(len(items), dtype=np.int64)
    for place, ((given, _, truth), (overlap, score)) in enumerate(zip(items, shared, strict=True)):
        rows = np.array([at for at, one in enumerate(given) if one.label == name], dtype=np.int64)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        true[place] = sum(one.label == name for one in truth)
        scored.append(score[rows])
        right.append(_hits(overlap[rows], least))
        item.append(np.full(len(rows), place))
    order = np.argsort(-np.concatenate(scored), kind="stable")
    return _Ranked(np.concatenate(right)[order], np.concatenate(item)[order], true)


def _hits(overlap: Floats, least: float) -> Bools:
    """Whether each object, the surest first, finds a true one that is still free."""
    found = np.zeros(len(overlap), dtype=np.bool_)
    free = np.ones(overlap.shape[1], dtype=np.bool_)
    for at, row in enumerate(overlap):
        left = np.where(free, row, -1.0)
        best = int(left.argmax()) if len(left) else -1
        if best >= 0 and left[best] >= least:
            found[at], free[best] = True, False
    return found
