"""How a reference itself moves: the strongest harmonic in it, which a tolerant detector takes as part of the null."""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_CYCLES = 32
"""Cycles per reference that are tried, by halves: what is slower is seen as a trend, what is faster averages out."""
LEVEL = 0.001
WIDER = 1.2
"""The fitted curve is widened by this: an amplitude is estimated with an error."""
POINTS = 16
SLOW = 4
"""Cycles per reference of which so many points, evenly in time, still see every phase."""
FLAT = 1e-6
"""A curve whose second axis is this short beside the first is a line."""
USED = 0.001
"""Symbols of a smaller share tell nothing about variance."""


def chi2_above(level: float, degrees: int) -> float:
    """The value that chi-squared exceeds with this chance (Wilson and Hilferty's approximation).

    Args:
        level: in {0.01, 0.001}.
        degrees: of freedom, at least 1.
    """
    normal = {0.01: 2.3263, 0.001: 3.0902}[level]
    step = 2.0 / (9.0 * degrees)
    return float(degrees * (1.0 - step + normal * math.sqrt(step)) ** 3)


def curve(blocks: Floats, inflation: float) -> Floats | None:
    """The harmonic that explains most of how the blocks of a reference differ.

    Args:
        blocks: (blocks, symbols) counts, in order, each block of about as many events.
        inflation: variance of counts beside that of independent events, 1 or more.

    Returns:
        (blocks, symbols) its deviations from the mean share; None where chance explains them.
    """
    sizes = blocks.sum(axis=1, keepdims=True)
    if len(blocks) < POINTS or sizes.min() <= 0:
        return None
    shares = blocks / sizes
    mean = blocks.sum(axis=0) / sizes.sum()
    used = mean > 0
    time = (np.arange(len(blocks)) + 0.5) / len(blocks)
    best, found = 0.0, None
    for cycles in np.arange(0.5, min(MOST_CYCLES, len(blocks) / 3), 0.5):
        angle = 2.0 * np.pi * cycles * time
        columns = np.column_stack([np.ones(len(time)), np.cos(angle), np.sin(angle)])
        fitted = columns @ np.linalg.lstsq(columns, shares, rcond=None)[0]
        deviations = fitted - fitted.mean(axis=0)
        power = float((sizes * (deviations[:, used] ** 2 / mean[used])).sum()) / inflation
        if power > best:
            best, found = power, deviations
    degrees = 2 * (int((mean > USED).sum()) - 1)
    return found if degrees > 0 and best > chi2_above(LEVEL, degrees) else None


def points(deviations: Floats) -> Floats:
    """(POINTS, symbols) what is used of a curve: points evenly in time, or of a fast one evenly around it.

    Evenly in time, points of 15 or 30 cycles are all of about the same phase: their hull does not hold the mean.
    """
    order = np.arange(len(deviations))
    if len(deviations) > POINTS:
        left, size, _ = np.linalg.svd(deviations, full_matrices=False)
        first, second = left[:, 0], left[:, 1] * (size[1] > FLAT * size[0])
        if int((np.diff(np.sign(first)) != 0).sum()) > 2 * SLOW:
            order = np.argsort(np.arctan2(second, first), kind="stable")
    picked: Floats = deviations[order[np.linspace(0, len(order) - 1, POINTS).astype(int)]]
    return picked


def regimes(mean: Floats, picked: Floats) -> Floats:
    """(POINTS, symbols) distributions along a seasonal curve around the mean share, a little widened.

    Args:
        mean: (symbols,) shares.
        picked: (POINTS, symbols) deviations from it, see `points`.
    """
    shares = np.maximum(mean + WIDER * picked, 1e-6)
    result: Floats = shares / shares.sum(axis=1, keepdims=True)
    return result


def swing(deviations: Floats) -> float:
    """The largest total variation distance of a seasonal curve from its mean."""
    return float(np.abs(deviations).sum(axis=1).max() / 2.0)
