"""One number from several by people of different precision, of whom one may be far off."""

import numpy as np

from services.qc.domain.answers import Floats

TOLERATED = 1.5
"""Residuals beyond this many scales count in proportion less (Huber 1964)."""
NORMAL = 1.4826
STEPS = 3
MANY = 3


def middle(values: Floats, weights: Floats) -> Floats:
    """The weighted median of each column; half way between the two middle ones where they hold equal weight.

    Args:
        values: (opinions, columns).
        weights: (opinions,); positive.
    """
    order = np.argsort(values, axis=0, kind="stable")
    ranked = np.take_along_axis(values, order, axis=0)
    below = np.cumsum(weights[order], axis=0)
    half = below[-1] / 2.0
    low = np.take_along_axis(ranked, (below < half * (1 - 1e-12)).sum(axis=0)[None], axis=0)[0]
    high = np.take_along_axis(
        ranked, np.minimum((below <= half * (1 + 1e-12)).sum(axis=0), len(values) - 1)[None], axis=0
    )[0]
    found: Floats = (low + high) / 2.0
    return found


def centre(values: Floats, weights: Floats, scale: float = 0.0) -> Floats:
    """A weighted mean of each column that bounds what one opinion can do: Huber's, from the weighted median on.

    Args:
        values: (opinions, columns); of the same unit.
        weights: (opinions,); positive; inverse variances.
        scale: residuals up to this are never too large.
    """
    if len(values) < MANY:
        mean: Floats = weights @ values / weights.sum()
        return mean
    found = middle(values, weights)
    off = np.abs(values - found)
    spread = np.maximum(NORMAL * middle(off.reshape(-1, 1), np.repeat(weights, values.shape[1]))[0], scale)
    if spread <= 0.0:
        return found
    for _ in range(STEPS):
        share = weights[:, None] / np.maximum(np.abs(values - found) / (TOLERATED * spread), 1.0)
        found = (share * values).sum(axis=0) / share.sum(axis=0)
    return found
