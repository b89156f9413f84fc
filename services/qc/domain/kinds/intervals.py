"""Stretches of a line: of text in code points or tokens, of time in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Floats, Whole
from services.qc.domain.kinds.clusters import Alike
from services.qc.domain.kinds.grouped import Grouped
from services.qc.domain.kinds.weighted import weighted_median

Interval = tuple[float, float]


def overlap(left: Sequence[Interval], right: Sequence[Interval]) -> Floats:
    """Intersection over union of each pair; (left, right)."""
    one, two = np.asarray(left, dtype=np.float64)[:, None], np.asarray(right, dtype=np.float64)[None, :]
    shared = np.minimum(one[..., 1], two[..., 1]) - np.maximum(one[..., 0], two[..., 0])
    shared = np.maximum(shared, 0.0)
    whole = (one[..., 1] - one[..., 0]) + (two[..., 1] - two[..., 0]) - shared
    found: Floats = shared / whole
    return found


def overlapping(start: Floats, end: Floats) -> tuple[Whole, Whole]:
    """The pairs of intervals that share a stretch, each once: indices, first the one that begins first."""
    order = np.argsort(start, kind="stable")
    begins, ends = start[order], end[order]
    place = np.arange(len(order))
    later = np.maximum(np.searchsorted(begins, ends, side="left") - 1 - place, 0)
    first = np.repeat(place, later)
    second = np.arange(len(first)) - np.repeat(np.cumsum(later) - later - place - 1, later)
    return order[first], order[second]


def likeness(extents: Sequence[Interval]) -> Alike:
    """Intersection over union of all with each other."""
    start, end = np.asarray(extents, dtype=np.float64).T
    first, second = overlapping(start, end)
    shared = np.minimum(end[first], end[second]) - start[second]
    share = shared / (np.maximum(end[first], end[second]) - start[first])
    at, to = np.sort(np.stack([first, second]), axis=0).astype(np.int32)
    return Alike(at, to, share)


@dataclass(frozen=True, slots=True)
class Line:
    """Intervals as extents: intersection over union, ends by weighted median."""

    least: float = 0.3

    def similarity(self, left: Sequence[Interval], right: Sequence[Interval]) -> Floats:
        return overlap(left, right)

    def likeness(self, extents: Sequence[Interval]) -> Alike:
        return likeness(extents)

    def fuse(self, extents: Sequence[Interval], weights: Floats) -> Interval:
        return self.fuse_all([extents], [weights])[0]

    def fuse_all(self, groups: Sequence[Sequence[Interval]], weights: Sequence[Floats]) -> list[Interval]:
        grouped = Grouped.of([len(group) for group in groups])
        rows = np.array([each for group in groups for each in group], dtype=np.float64)
        values, heavy = grouped.dense(rows, np.inf), grouped.dense(np.concatenate(weights))
        ends = weighted_median(values.reshape(len(values), -1), np.repeat(heavy, 2, axis=1)).reshape(-1, 2)
        return [
            (start, end) if start < end else group[int(own.argmax())]
            for (start, end), group, own in zip(ends.tolist(), groups, weights, strict=True)
        ]
