"""Stretches of a line: of text in code points or tokens, of time in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Floats
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


@dataclass(frozen=True, slots=True)
class Line:
    """Intervals as extents: intersection over union, ends by weighted median."""

    least: float = 0.3

    def similarity(self, left: Sequence[Interval], right: Sequence[Interval]) -> Floats:
        return overlap(left, right)

    def fuse(self, extents: Sequence[Interval], weights: Floats) -> Interval:
        start, end = weighted_median(np.asarray(extents, dtype=np.float64), weights)
        return (float(start), float(end)) if start < end else extents[int(weights.argmax())]
