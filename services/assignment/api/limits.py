"""How many calls one person or program may make: a token bucket each, in the memory of each replica."""

import math
import time
from collections.abc import Callable

from services.assignment.api.problems import Problem

MOST = 10_000
"""Buckets kept; beyond it those that are full again are let go, which changes nothing for anybody."""


class Limits:
    """Buckets by principal.

    Args:
        rate_per_s: calls that a bucket regains each second.
        burst: calls that a full one holds.
        clock: seconds, monotonic.
    """

    def __init__(self, rate_per_s: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate_per_s
        self._burst = float(burst)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, principal: str) -> None:
        """One call.

        Raises:
            Problem: 429, there is none left; says after how many seconds there is.
        """
        now = self._clock()
        left, at = self._buckets.get(principal, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        if left < 1.0:
            raise _too_many((1.0 - left) / self._rate)
        if len(self._buckets) >= MOST and principal not in self._buckets:
            self._let_go(now)
        self._buckets[principal] = (left - 1.0, now)

    def _let_go(self, now: float) -> None:
        """Those that are full by now; if none is, the half that was used longest ago."""
        kept = {
            who: (left, at) for who, (left, at) in self._buckets.items() if left + (now - at) * self._rate < self._burst
        }
        if len(kept) >= MOST:
            kept = dict(sorted(kept.items(), key=lambda one: one[1][1])[MOST // 2 :])
        self._buckets = kept


def _too_many(wait_s: float) -> Problem:
    seconds = max(1, math.ceil(wait_s))
    return Problem(
        429,
        "rate_limited",
        "You call more often than this service allows one person or program to.",
        f"Call again in {seconds} s; take and answer tasks in batches.",
        headers={"retry-after": str(seconds)},
    )
