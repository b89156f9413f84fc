"""Bins of a number, as a model's confidence: tenths of what was seen first after a new version, so narrow where it is.

Observations hold numbers on a fine grid. The first of them wait until the bins are known, and are named by them then.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

BINS = 10
LEARNED_FROM = 1000
_COARSE, _FINE = 0.95, 0.999


def grid(confidence: float) -> str:
    """A number in [0, 1] in steps of a hundredth, finer towards 1, where models are."""
    steps = 100 if confidence < _COARSE else 1000 if confidence < _FINE else 10_000
    return f"{int(confidence * steps + 1e-9) / steps:g}"


def edges(values: Sequence[float]) -> tuple[float, ...]:
    """Where at most ten bins of about equally many values meet; fewer where many are alike."""
    ranked = sorted(values)
    cuts = sorted({ranked[len(ranked) * part // BINS] for part in range(1, BINS)})
    return tuple(cut for cut in cuts if cut > ranked[0])


class Bins:
    """Learned once for a version.

    Args:
        learned_from: numbers that wait for it.
    """

    def __init__(self, learned_from: int = LEARNED_FROM) -> None:
        self._learned_from = learned_from
        self._waiting: list[str] = []
        self._edges: tuple[float, ...] | None = None

    def named(self, symbols: Sequence[str]) -> list[str]:
        """The bins of numbers, those that waited among them; none while they are not known."""
        if self._edges is None:
            symbols = [*self._waiting, *symbols]
            if len(symbols) < self._learned_from:
                self._waiting = symbols
                return []
            self._edges, self._waiting = edges([_number(one) for one in symbols]), []
        names = {symbol: self.name(symbol) for symbol in set(symbols)}
        return [names[symbol] for symbol in symbols]

    def name(self, symbol: str) -> str:
        """The bin of one number; itself while the bins are not known."""
        if self._edges is None:
            return symbol
        place = bisect_right(self._edges, _number(symbol))
        if not self._edges:
            return "all"
        if place == 0:
            return f"below {self._edges[0]:g}"
        if place == len(self._edges):
            return f"{self._edges[-1]:g} or more"
        low, high = list(pairwise(self._edges))[place - 1]
        return f"{low:g} to {high:g}"

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"edges": self._edges, "waiting": self._waiting}

    @classmethod
    def load(cls, state: Mapping[str, Any], learned_from: int = LEARNED_FROM) -> "Bins":
        """Go on from `state()`."""
        found = cls(learned_from)
        found._waiting = list(state["waiting"])
        found._edges = None if state["edges"] is None else tuple(state["edges"])
        return found


def _number(symbol: str) -> float:
    """Earlier versions wrote "0.9 to 0.95"."""
    return float(symbol.partition(" ")[0])
