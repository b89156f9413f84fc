"""Counts of the latest events in bins, fine for the newest and coarser with age: they tell where a change began."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.drift.packing import lengthened, shortened

Floats = NDArray[np.float64]
BIN = 32
MOST_BINS = 96
HELD = 1024
"""Events that wait, at most, until they are counted."""
PRIOR = 20.0
"""Weight of the reference, in events, in the prior of the shares after a change."""


class ChangePoint(NamedTuple):
    """Offsets of the first event after a change: the likeliest, and a 95 % credible interval of it."""

    at: int
    low: int
    high: int


class History:
    """Bins of counts.

    Attributes:
        start: offset of the first event that is kept.
        end: offset after the last one.
    """

    def __init__(self, size: int, start: int) -> None:
        self.start = self.end = start
        self._counts = np.zeros((MOST_BINS, size), dtype=np.int64)
        self._used = 0
        self._waiting: list[NDArray[np.integer[Any]]] = []
        self._held = 0

    @property
    def size(self) -> int:
        return self._counts.shape[1]

    def add(self, codes: NDArray[np.integer[Any]]) -> None:
        """Take in the next events; they are counted when many wait, or when asked for."""
        self._waiting.append(codes)
        self._held += len(codes)
        self.end += len(codes)
        if self._held >= HELD:
            self._count()

    def _count(self) -> None:
        """Full bins of what waits; the rest waits on."""
        codes = np.concatenate(self._waiting)
        full = len(codes) // BIN
        rows = _counted(codes[: full * BIN].reshape(full, BIN), self.size)
        while len(rows):
            if self._used == MOST_BINS:
                self._halve()
            part = rows[: MOST_BINS - self._used]
            self._counts[self._used : self._used + len(part)] = part
            self._used += len(part)
            rows = rows[len(part) :]
        self._waiting, self._held = [codes[full * BIN :]], len(codes) - full * BIN

    def _halve(self) -> None:
        """Merge the older half by twos."""
        half, quarter = MOST_BINS // 2, MOST_BINS // 4
        self._counts[:quarter] = self._counts[0:half:2] + self._counts[1:half:2]
        self._counts[quarter : quarter + half] = self._counts[half:].copy()
        self._used = quarter + half

    def bins(self) -> NDArray[np.int64]:
        """(bins, size) counts, the oldest first; the last one may be part of a bin."""
        if self._held:
            self._count()
        tail = _counted(np.concatenate(self._waiting)[None], self.size) if self._held else self._counts[:0]
        return np.concatenate([self._counts[: self._used], tail])

    def change(self, p: Floats, inflation: float) -> tuple[ChangePoint, NDArray[np.int64]]:
        """Where the shares left `p`, by the posterior of the change point over the edges of bins, all alike before.

        After the change the shares are Dirichlet around `p`. Counts are worth 1 / inflation independent events.

        Returns:
            The change point, and the counts since the likeliest one.
        """
        bins = self.bins()
        after = bins[::-1].cumsum(axis=0)[::-1] / inflation
        totals = after.sum(axis=1)
        base = PRIOR * p
        gains = _log_gamma(after + base).sum(axis=1) - _log_gamma(base).sum() - (after * np.log(p)).sum(axis=1)
        log_posterior = gains - _log_gamma(totals + PRIOR) + math.lgamma(PRIOR)
        sizes = bins.sum(axis=1)
        edges = self.end - sizes[::-1].cumsum()[::-1]
        log_posterior += np.log(np.maximum(sizes, 1))
        weights = np.exp(log_posterior - log_posterior.max())
        mass = weights.cumsum() / weights.sum()
        best = int(weights.argmax())
        first, last = int(np.searchsorted(mass, 0.025)), min(int(np.searchsorted(mass, 0.975)), len(edges) - 1)
        low = int(edges[max(first - 1, 0)])
        high = int(edges[last + 1]) if last + 1 < len(edges) else self.end
        return ChangePoint(int(edges[best]), low, high), bins[best:].sum(axis=0)

    def state(self) -> dict[str, Any]:
        bins = self.bins()
        counts = [shortened(row) for row in bins.T.tolist()]
        return {"end": self.end, "length": len(bins), "counts": counts, "filled": self._held}

    @classmethod
    def load(cls, state: Mapping[str, Any], size: int) -> "History":
        found = cls(size, 0)
        if "bins" in state:  # of an earlier version
            rows = np.array(state["bins"], dtype=np.int64).reshape(-1, size)
        else:
            columns = [lengthened(counts, state["length"]) for counts in state["counts"]]
            rows = np.array(columns, dtype=np.int64).reshape(size, -1).T
        closed = rows[:-1] if state["filled"] else rows
        found._counts[: len(closed)], found._used = closed, len(closed)
        if state["filled"]:
            found._waiting, found._held = [np.repeat(np.arange(size), rows[-1])], state["filled"]
        found.end = state["end"]
        found.start = found.end - int(rows.sum())
        return found


def _counted(codes: NDArray[np.integer[Any]], size: int) -> NDArray[np.int64]:
    """(rows, size) how often each code occurs in a row."""
    places = codes + np.arange(len(codes))[:, None] * size
    return np.bincount(places.ravel(), minlength=len(codes) * size).reshape(len(codes), size)


def _log_gamma(values: Floats) -> Floats:
    """Of each value, by Stirling's series after a shift by 8; accurate to 1e-10."""
    shifted = values + 8.0
    product = np.ones_like(values)
    for step in range(8):
        product *= values + step
    inverse = 1.0 / shifted
    series = inverse / 12.0 - inverse**3 / 360.0 + inverse**5 / 1260.0
    result: Floats = (shifted - 0.5) * np.log(shifted) - shifted + 0.5 * math.log(2.0 * math.pi) + series
    return result - np.log(product)
