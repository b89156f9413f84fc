"""One number from several by people of different precision, of whom one may be far off."""

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.weighted import weighted_median

TOLERATED = 1.5
"""Residuals beyond this many scales count in proportion less (Huber 1964)."""
NORMAL = 1.4826
STEPS = 3
MANY = 3
SLACK = 1e-12


def centre(values: Floats, weights: Floats, scale: float = 0.0) -> Floats:
    """A weighted mean of each column that bounds what one opinion can do; see `centres`.

    Args:
        values: (opinions, columns); of the same unit.
        weights: (opinions,); positive; inverse variances.
        scale: residuals up to this are never too large.
    """
    if len(values) < MANY:
        mean: Floats = weights @ values / weights.sum()
        return mean
    found: Floats = centres(values[:, None, :], weights[:, None], np.array([scale]))[0]
    return found


def centres(values: Floats, weights: Floats, scales: Floats) -> Floats:
    """Weighted means that bound what one opinion can do: Huber's, from the weighted medians on. Of two, the mean.

    Args:
        values: (opinions, groups, columns); the columns of a group have one unit. Anything where the weight is 0.
        weights: (opinions, groups); inverse variances; 0: no opinion there, but one at least in each group.
        scales: (groups,); residuals up to this are never too large.

    Returns:
        (groups, columns).
    """
    number, groups, columns = values.shape
    there = weights > 0.0
    rows = np.ascontiguousarray(values.transpose(0, 2, 1))  # (opinions, columns, groups)
    share = weights[:, None]
    mean: Floats = (share * rows).sum(axis=0) / weights.sum(axis=0)
    if number < MANY:
        return mean.T
    sorted_ = np.where(there[:, None], rows, np.inf)
    every = np.broadcast_to(share, rows.shape)
    found = weighted_median(sorted_.reshape(number, -1), every.reshape(number, -1)).reshape(columns, groups)
    off = np.abs(sorted_ - found).reshape(-1, groups)
    spread = np.maximum(NORMAL * weighted_median(off, every.reshape(-1, groups)), scales)
    least = SLACK * float(np.abs(rows).max()) + SLACK**2  # of people who all say the same
    bound = np.maximum(TOLERATED * spread, least)
    for _ in range(STEPS):
        share = weights[:, None] / np.maximum(np.abs(rows - found) / bound, 1.0)
        found = (share * rows).sum(axis=0) / share.sum(axis=0)
    kept: Floats = np.where(there.sum(axis=0) < MANY, mean, found).T
    return kept
