"""Annotators on an ordered scale: near misses are likelier than far ones, and some people judge high or low.

An annotator's expected column is a normal error around the truth plus a bias, cut into the classes, and a small share
of answers given at random. Bias and variance are shrunk to the crowd's, as the accuracy of the two-level model is; own
counts are shrunk to these columns with the same learned strength. After Johnson & Albert 1999, "Ordinal data modeling"
(raters with a bias and a variance), with fixed cut points between the classes.
"""

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.rows import Priors

LAPSES = 0.05
NARROWEST = 0.2


def ordinal_columns(counts: Floats, priors: Priors, crowd: Floats | None = None) -> Floats:
    """The prior mean of each annotator's columns on an ordered scale; as `rows.expected_columns`."""
    classes = counts.shape[-1]
    places = np.arange(classes)
    gap = (places[:, None] - places[None, :]).astype(np.float64)
    pooled = counts.sum(axis=0) if crowd is None else crowd
    weight, total = pooled.sum() + 1.0, counts.sum(axis=(1, 2))
    bias = float((pooled * gap).sum()) / weight
    spread = (float((pooled * (gap - bias) ** 2).sum()) + 1.0) / weight
    shrunk = total + priors.own_answers
    own_bias = ((counts * gap).sum(axis=(1, 2)) + priors.own_answers * bias) / shrunk
    errors = gap[None] - own_bias[:, None, None]
    own_spread = ((counts * errors**2).sum(axis=(1, 2)) + priors.own_answers * spread) / shrunk
    width = np.maximum(own_spread, NARROWEST**2)[:, None, None]
    density = np.exp(-0.5 * errors**2 / width)
    found: Floats = (1.0 - LAPSES) * density / density.sum(axis=1, keepdims=True) + LAPSES / classes
    return found
