"""Figures of found beside true values that are ratios of sums over items, so that resampled items cost no more work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from services.qc.domain.answers import Floats

V = TypeVar("V")
RESAMPLES = 1000
FEW = 100
"""Resamples of figures that are no ratios of sums."""
PERCENTILES = (2.5, 97.5)
TABLE = 5_000_000

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Measure(Generic[V]):
    """Figures by name; called with (found, true) values of all items.

    Attributes:
        width: numbers that each item adds.
        tally: these numbers, of a found and a true value.
        ratios: (..., width) sums -> figures, the headline's first.
    """

    width: int
    tally: Callable[[V, V], Sequence[float]]
    ratios: Callable[[Floats], Mapping[str, Floats]]

    def __call__(self, pairs: Sequence[tuple[V, V]]) -> dict[str, float]:
        return {name: float(value) for name, value in self.ratios(self.rows(pairs).sum(axis=0)).items()}

    def rows(self, pairs: Sequence[tuple[V, V]]) -> Floats:
        """(items, width)."""
        return np.array([self.tally(found, true) for found, true in pairs], dtype=np.float64).reshape(-1, self.width)

    def intervals(self, rows: Floats, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Interval | None]:
        """95 % of each figure, by the bootstrap over items; None of less than two items."""
        drawn = self.ratios(resampled(rows, resamples, seed))
        return {name: bounds(values) if len(rows) > 1 else None for name, values in drawn.items()}


def intervals_of(
    measure: Callable[[Sequence[tuple[V, V]]], Mapping[str, float]], pairs: Sequence[tuple[V, V]], seed: int = 0
) -> dict[str, Interval | None]:
    """95 % of every figure of (found, true) values, by the bootstrap over items."""
    if isinstance(measure, Measure):
        found: dict[str, Interval | None] = measure.intervals(measure.rows(pairs), seed=seed)
        return found
    rng, size = np.random.default_rng(seed), len(pairs)
    drawn = [measure([pairs[at] for at in rng.integers(0, size, size).tolist()]) for _ in range(FEW)]
    return {
        name: bounds(np.array([one.get(name, np.nan) for one in drawn])) if size > 1 else None
        for name in measure(pairs)
    }


def resampled(rows: Floats, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Sums over items drawn with replacement, as many as there are; (resamples, width)."""
    rng, size = np.random.default_rng(seed), len(rows)
    if not size or not resamples:
        return np.zeros((resamples, rows.shape[1]))
    chunk = max(TABLE // size, 1)
    parts = []
    for start in range(0, resamples, chunk):
        times = rng.multinomial(size, np.full(size, 1.0 / size), size=min(chunk, resamples - start))
        parts.append(times @ rows)
    return np.concatenate(parts)


def bounds(drawn: Floats) -> Interval | None:
    """95 % of resampled figures; None where all are undefined."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return None
    low, high = np.percentile(known, PERCENTILES)
    return float(low), float(high)


def over(top: Floats, bottom: Floats, empty: float = 1.0) -> Floats:
    """A ratio; `empty` where there is nothing below the line."""
    found: Floats = np.where(bottom > 0.0, top / np.where(bottom > 0.0, bottom, 1.0), empty)
    return found


def detected(sums: Floats) -> dict[str, Floats]:
    """F1, precision and recall of (right, found, true); 1 where there was nothing to find and nothing was found."""
    right, found, true = sums[..., 0], sums[..., 1], sums[..., 2]
    return {"f1": over(2.0 * right, found + true), "precision": over(right, found), "recall": over(right, true)}
