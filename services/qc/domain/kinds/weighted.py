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
    order = np.argsort(values, axis=0)
    each = np.arange(values.shape[1])
    ranked = np.take_along_axis(values, order, axis=0)
    mass = np.cumsum(weights[order] if weights.ndim == 1 else np.take_along_axis(weights, order, axis=0), axis=0)
    half, slack = mass[-1] / 2.0, SLACK * mass[-1]
    low, high = (mass < half - slack).sum(axis=0), (mass <= half + slack).sum(axis=0)
    found: Floats = (ranked[low, each] + ranked[np.minimum(high, len(values) - 1), each]) / 2.0
    return found


def weighted_mode(values: Floats, weights: Floats) -> float | None:
    """The value that has more than half of the weight; None where none has."""
    distinct, place = np.unique(values, return_inverse=True)
    mass = np.bincount(place, weights)
    best = int(mass.argmax())
    return float(distinct[best]) if mass[best] > weights.sum() / 2.0 else None
