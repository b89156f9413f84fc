"""Figures of the drift bench with their intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

from tests.bench.drift.streams import AFTER, STEADY

PER = 100_000
RESAMPLED = 2000


class Figure(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def shown(self, digits: int) -> str:
        def one(value: float) -> str:
            return f"{value:,.{digits}f}" if value <= AFTER else "never"

        return f"{one(self.value)} ({one(self.low)} to {one(self.high)})"


def rate(alarms: Sequence[Sequence[int]]) -> Figure:
    """False alarms per 100,000 events; the interval is the exact one of a Poisson count (Garwood 1936)."""
    count, exposure = sum(map(len, alarms)), len(alarms) * STEADY / PER
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return Figure(count / exposure, float(low) / exposure, float(chi2.ppf(0.975, 2 * count + 2)) / 2 / exposure)


def delay(alarms: Sequence[Sequence[int]], change: int) -> Figure:
    """The median delay in events, by the bootstrap over streams; a change that was missed counts as endless."""
    waits = np.array([next((at - change + 1 for at in one if at >= change), AFTER * 10) for one in alarms], dtype=float)
    rng = np.random.default_rng(4)
    drawn = np.median(rng.choice(waits, (RESAMPLED, len(waits))), axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Figure(float(np.median(waits)), float(low), float(high))


def found(alarms: Sequence[Sequence[int]], change: int) -> float:
    """Share of the streams whose change was found."""
    return sum(1 for one in alarms if any(at >= change for at in one)) / len(alarms)
