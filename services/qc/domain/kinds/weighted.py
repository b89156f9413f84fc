"""The middle of several values, by weight."""

import numpy as np

from services.qc.domain.answers import Floats

SLACK = 1e-9
"""Weights that differ by no more than this share of their sum split it evenly."""


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """The median of each column; halfway between two where the weight is split evenly.

    Args:
        values: (n, columns); at least one row.
        weights: (n,), or (n, columns) where each column has its own; not negative, some positive in each column.
    """
    rows, columns = values.shape
    heavy = np.broadcast_to(weights[:, None], values.shape) if weights.ndim == 1 else weights
    order = np.argsort(np.ascontiguousarray(values.T), axis=1)  # one column after the other is faster to sort
    place = np.arange(columns)
    cell = np.ascontiguousarray(order.T) * columns + place
    mass = heavy.take(cell)
    for row in range(1, rows):  # a running sum, faster than that of numpy, which goes down each column
        mass[row] += mass[row - 1]
    half, slack = mass[-1] / 2.0, SLACK * mass[-1]
    low, high = (mass < half - slack).sum(axis=0), (mass <= half + slack).sum(axis=0)
    ranked = values.take(cell)
    found: Floats = (ranked[low, place] + ranked[np.minimum(high, rows - 1), place]) / 2.0
    return found


def weighted_mode(values: Floats, weights: Floats) -> float | None:
    """The value that has more than half of the weight; None where none has."""
    distinct, place = np.unique(values, return_inverse=True)
    mass = np.bincount(place, weights)
    best = int(mass.argmax())
    return float(distinct[best]) if mass[best] > weights.sum() / 2.0 else None
