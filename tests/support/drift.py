"""Simulated streams of classes, for the detectors of drift."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SHARES = np.array([0.40, 0.25, 0.18, 0.12, 0.05])
NAMES = tuple("abcdefghijklmnopqrstuvwxyz")


def drawn(rng: np.random.Generator, n: int, p: Floats = SHARES, *, sticky: float = 0.0) -> NDArray[np.int64]:
    """Independent classes, or each the one before with chance `sticky`."""
    y = rng.choice(len(p), n, p=p)
    if sticky:
        fresh = rng.random(n) >= sticky
        fresh[0] = True
        y = y[np.maximum.accumulate(np.where(fresh, np.arange(n), 0))]
    return y


def shifted(rng: np.random.Generator, tvd: float, p: Floats = SHARES) -> Floats:
    """Shares at this total variation distance, in a random direction."""
    while True:
        step = rng.normal(size=len(p))
        step -= step.mean()
        q: Floats = p + step * (2.0 * tvd / np.abs(step).sum())
        if q.min() > 0.002:
            return q


def seasonal(
    rng: np.random.Generator, n: int, swing: float, period: float, *, after: Floats | None = None, change: int = 0
) -> NDArray[np.int64]:
    """Shares that swing by this distance from peak to peak; from `change` on around `after`."""
    direction = shifted(rng, swing / 2.0) - SHARES
    wave = np.sin(2.0 * np.pi * np.arange(n) / period + rng.uniform(0.0, 6.28))
    p = SHARES + wave[:, None] * direction
    if after is not None:
        p[change:] += after - SHARES
    p = np.maximum(p, 0.0005)
    edges = (p / p.sum(axis=1, keepdims=True)).cumsum(axis=1)
    found: NDArray[np.int64] = (rng.random(n)[:, None] > edges[:, :-1]).sum(axis=1)
    return found


def named(codes: NDArray[np.int64]) -> list[str]:
    return [NAMES[code] for code in codes.tolist()]
