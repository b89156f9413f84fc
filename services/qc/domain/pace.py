"""How long somebody takes for an answer, robustly: a histogram of log times, whose counts add up in any order.

A bin is an eighth of an octave, so the median is known to 5 %. Interruptions (a lunch over an open task) move neither
the median nor the median absolute deviation.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

BINS_PER_OCTAVE = 8
LN_PER_BIN = math.log(2.0) / BINS_PER_OCTAVE


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds per answer: their median, and the median absolute deviation of their natural logarithm."""

    median_s: float
    spread: float
    answers: int


def bin_of(duration_ms: int) -> int:
    """The bin of a time; everything below a millisecond is in the first."""
    return math.floor(BINS_PER_OCTAVE * math.log2(max(duration_ms, 1)))


def _middle(counts: Mapping[int, int]) -> int:
    """The lower median of integers with these counts."""
    rest = (sum(counts.values()) + 1) // 2
    for value in sorted(counts):
        rest -= counts[value]
        if rest <= 0:
            return value
    raise ValueError("no counts")


def pace_of(counts: Mapping[int, int]) -> Pace | None:
    """The pace of a histogram, bin -> answers; None where it is empty."""
    found = {place: number for place, number in counts.items() if number > 0}
    if not found:
        return None
    middle = _middle(found)
    away: dict[int, int] = {}
    for place, number in found.items():
        away[abs(place - middle)] = away.get(abs(place - middle), 0) + number
    median_ms = 2.0 ** ((middle + 0.5) / BINS_PER_OCTAVE)
    return Pace(median_ms / 1000.0, _middle(away) * LN_PER_BIN, sum(found.values()))
