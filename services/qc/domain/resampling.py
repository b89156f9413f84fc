"""Agreement of a set of answers with 95 % intervals, by the bootstrap over units (Efron's percentile interval).

Units with equal counts are one pattern, and a resample is a multinomial draw of patterns, so a million answers cost
about as much as a thousand. A resample is one row of a matrix product.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from services.qc.domain.agreement import MEASURES, Order, Sums, measures
from services.qc.domain.answers import Answers, Floats
from services.qc.domain.cohen import pair_table

PERCENTILES = (2.5, 97.5)
ROOM = 4_000_000
COHEN = "mean_pair_cohen"

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Values and intervals by measure, None where undefined; and what they stand on.

    Attributes:
        units: with one answer or more; paired: with two or more.
        pairs: of annotators with enough units in common for Cohen's kappa.
    """

    values: dict[str, float | None]
    intervals: dict[str, Interval | None]
    units: int
    paired: int
    pairs: int


def _patterns(answers: Answers) -> tuple[Floats, Floats]:
    """Distinct rows of answers per class, and how many units have each."""
    rated = answers.votes[answers.opinions > 0]
    rows, times = np.unique(rated, axis=0, return_counts=True)
    return rows, times.astype(np.float64)


def _parts(rows: Floats) -> csr_array:
    """What each pattern adds to the sums, flat: coincidences, agreements, shares, rated, paired."""
    size = rows.sum(axis=1)
    classes = rows.shape[1]
    unit, first = np.nonzero(rows)
    spans = np.bincount(unit, minlength=len(rows))
    ends = np.cumsum(spans)
    left = np.repeat(np.arange(len(unit)), spans[unit])
    within = np.arange(len(left)) - np.repeat(np.cumsum(spans[unit]) - spans[unit], spans[unit])
    right = (ends - spans)[unit[left]] + within
    here, one, two = unit[left], first[left], first[right]
    pairs = rows[here, one] * (rows[here, two] - (one == two))
    kept = (pairs > 0) & (size[here] > 1)
    here, cell, pairs = here[kept], one[kept] * classes + two[kept], pairs[kept]
    square = classes * classes
    units = np.arange(len(rows))
    columns = (cell, square + cell, 2 * square + first, np.full(len(rows), 2 * square + classes))
    more = units[size > 1]
    places = (here, here, unit, units, more)
    values = (
        pairs / (size[here] - 1.0),
        pairs / (size[here] * (size[here] - 1.0)),
        rows[unit, first] / size[unit],
        np.ones(len(rows)),
        np.ones(len(more)),
    )
    where = (*columns, np.full(len(more), 2 * square + classes + 1))
    triple = (np.concatenate(values), (np.concatenate(places), np.concatenate(where)))
    return csr_array(triple, shape=(len(rows), 2 * square + classes + 2))


def _sums(flat: Floats, classes: int) -> Sums:
    square, lead = classes * classes, flat.shape[:-1]
    return Sums(
        flat[..., :square].reshape(*lead, classes, classes),
        flat[..., square : 2 * square].reshape(*lead, classes, classes),
        flat[..., 2 * square : 2 * square + classes],
        flat[..., -2],
        flat[..., -1],
    )


def _interval(value: float | None, drawn: Floats) -> Interval | None:
    known = drawn[~np.isnan(drawn)]
    if value is None or not len(known):
        return None
    low, high = np.percentile(known, PERCENTILES)
    return float(low), float(high)


def _resampled(answers: Answers, order: Order, resamples: int, rng: np.random.Generator) -> dict[str, Floats]:
    rows, times = _patterns(answers)
    parts, whole = _parts(rows), times.sum()
    step = max(ROOM // max(parts.shape[1], len(rows)), 1)
    drawn: dict[str, list[Floats]] = {name: [] for name in MEASURES}
    for start in range(0, resamples, step):
        weights = rng.multinomial(int(whole), times / whole, size=min(step, resamples - start)).astype(np.float64)
        found = measures(_sums(weights @ parts, answers.classes), order)
        for name in MEASURES:
            drawn[name].append(found[name])
    return {name: np.concatenate(each) if each else np.empty(0) for name, each in drawn.items()}


def agreement_with_intervals(answers: Answers, order: Order, *, resamples: int, rng: np.random.Generator) -> Agreement:
    """Every measure of a set of answers.

    Args:
        answers: one unit per item.
        order: what is known about the classes.
        resamples: of the bootstrap; 0: no intervals.
        rng: where resamples come from; the same state gives the same intervals.
    """
    rows, times = _patterns(answers)
    found = measures(_sums(times @ _parts(rows), answers.classes), order)
    values = {name: None if np.isnan(found[name]) else float(found[name]) for name in MEASURES}
    drawn = _resampled(answers, order, resamples, rng)
    pairs = pair_table(answers)
    values[COHEN] = pairs.mean_kappa()
    drawn[COHEN] = pairs.resampled(resamples, rng)
    intervals = {name: _interval(value, drawn[name]) for name, value in values.items()}
    paired = int(times[rows.sum(axis=1) > 1].sum())
    return Agreement(values, intervals, int(times.sum()), paired, len(pairs))
