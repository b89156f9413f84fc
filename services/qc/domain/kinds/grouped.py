"""Rows of several groups side by side, so that all objects of an item are fused in one go."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Floats, Ints
from services.qc.domain.kinds.estimates import centres


@dataclass(frozen=True, slots=True)
class Grouped:
    """Where rows belong.

    Attributes:
        group, place: (rows,); its group, and its place there; groups one after the other.
        sizes: (groups,); rows of each, one or more.
    """

    group: Ints
    place: Ints
    sizes: Ints

    @classmethod
    def of(cls, sizes: Sequence[int] | Ints) -> "Grouped":
        """Groups of so many rows."""
        size = np.asarray(sizes, dtype=np.int32)
        group = np.repeat(np.arange(len(size), dtype=np.int32), size)
        place = np.arange(len(group), dtype=np.int32) - np.repeat(np.cumsum(size) - size, size)
        return cls(group, place.astype(np.int32), size)

    def dense(self, rows: Floats, empty: float = 0.0) -> Floats:
        """(most rows, groups, ...) of (rows, ...)."""
        found = np.full((int(self.sizes.max(initial=0)), len(self.sizes), *rows.shape[1:]), empty)
        found[self.place, self.group] = rows
        return found

    def sums(self, values: Floats) -> Floats:
        """(groups,) of (rows,)."""
        return np.bincount(self.group, values, minlength=len(self.sizes)).astype(np.float64)

    def centres(self, rows: Floats, weights: Floats, scales: Floats) -> Floats:
        """(groups, columns); see `estimates.centres`."""
        return centres(self.dense(rows), self.dense(weights), scales)
