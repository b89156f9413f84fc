"""Agreement beyond chance, with missing data, from counts; one formula for a file, a stream and every resample.

Krippendorff's alpha (Krippendorff 2011, "Computing Krippendorff's alpha-reliability"), Fleiss' kappa generalised to
units of different sizes, Gwet's AC1 and AC2 (Gwet 2008, "Computing inter-rater reliability and its variance in the
presence of high agreement"), percent agreement. Where one class rules, alpha and kappa fall though people agree, and
AC1 does not (the prevalence paradox): always show alpha and AC1 side by side.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.tally import Tally

MEASURES = ("alpha_nominal", "alpha_ordinal", "alpha_interval", "fleiss", "gwet_ac1", "gwet_ac2", "percent_agreement")
ORDERED = frozenset({"alpha_ordinal", "gwet_ac2"})
TINY = 1e-12


def agreeing_pairs(symbols: Iterable[str]) -> int:
    """How many pairs of the opinions are equal."""
    return sum(n * (n - 1) // 2 for n in Counter(symbols).values())


@dataclass(frozen=True, slots=True)
class Order:
    """What is known about the classes beside their names.

    Attributes:
        ordered: the classes stand from lowest to highest.
        values: the number that each class stands for, shape (classes,); None: they are no numbers.
    """

    ordered: bool = False
    values: Floats | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over units; any leading dimensions (resamples) before those given.

    Attributes:
        coincidences: (classes, classes); ordered pairs of a unit's answers / (size - 1).
        agreements: (classes, classes); the same / (size * (size - 1)).
        shares: (classes,); the class's share of each unit.
        rated, paired: (); units with one answer or more, with two or more.
    """

    coincidences: Floats
    agreements: Floats
    shares: Floats
    rated: Floats
    paired: Floats


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """NaN where the denominator is 0."""
    safe = np.where(np.abs(bottom) > TINY, bottom, np.nan)
    found: Floats = top / safe
    return found


def _alpha(sums: Sums, distance: Floats) -> Floats:
    """1 - observed / expected disagreement; `distance` (..., classes, classes) is squared already."""
    given = sums.coincidences.sum(axis=-1)
    total = given.sum(axis=-1)
    observed = (sums.coincidences * distance).sum(axis=(-2, -1))
    expected = np.einsum("...c,...k,...ck->...", given, given, np.broadcast_to(distance, sums.coincidences.shape))
    return 1.0 - _ratio((total - 1.0) * observed, expected)


def _chance_corrected(observed: Floats, expected: Floats) -> Floats:
    return _ratio(observed - expected, 1.0 - expected)


def _squared_gaps(places: Floats) -> Floats:
    found: Floats = (places[..., :, None] - places[..., None, :]) ** 2
    return found


def measures(sums: Sums, order: Order) -> dict[str, Floats]:
    """Every measure, NaN where it is undefined; each has the leading dimensions of `sums`.

    AC2 weighs disagreements quadratically by the distance of the classes in their order.
    """
    classes = sums.shares.shape[-1]
    equal = np.eye(classes)
    observed = _ratio(np.einsum("...cc->...", sums.agreements), sums.paired)
    mean = _ratio(sums.shares, sums.rated[..., None])
    missing = np.full_like(observed, np.nan)
    spread = _ratio((mean * (1.0 - mean)).sum(axis=-1), np.asarray(classes - 1.0))
    found = {
        "alpha_nominal": _alpha(sums, 1.0 - equal),
        "fleiss": _chance_corrected(observed, (mean**2).sum(axis=-1)),
        "gwet_ac1": _chance_corrected(observed, spread),
        "percent_agreement": observed,
        "alpha_ordinal": missing,
        "gwet_ac2": missing,
        "alpha_interval": missing,
    }
    if order.ordered and classes > 1:
        given = sums.coincidences.sum(axis=-1)
        found["alpha_ordinal"] = _alpha(sums, _squared_gaps(np.cumsum(given, axis=-1) - given / 2.0))
        weights = 1.0 - _squared_gaps(np.arange(classes) / (classes - 1.0))
        agreeing = _ratio((sums.agreements * weights).sum(axis=(-2, -1)), sums.paired)
        found["gwet_ac2"] = _chance_corrected(agreeing, spread * weights.sum() / classes)
    if order.values is not None:
        found["alpha_interval"] = _alpha(sums, _squared_gaps(order.values))
    return found


def sums_of(tally: Tally, classes: Sequence[str]) -> Sums:
    """The sums of a tally; classes that are not named are left out."""
    place = {name: index for index, name in enumerate(classes)}
    size = len(classes)
    coincidences, agreements, shares = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
    for (opinions, first, second), number in sorted(tally.pairs.items()):
        if opinions > 1 and number and first in place and second in place:
            cell = place[first], place[second]
            coincidences[cell] += number / (opinions - 1)
            agreements[cell] += number / (opinions * (opinions - 1))
    for (opinions, name), number in sorted(tally.given.items()):
        if name in place:
            shares[place[name]] += number / opinions
    rated = float(sum(tally.units.values()))
    paired = rated - tally.units.get(1, 0)
    return Sums(coincidences, agreements, shares, np.asarray(rated), np.asarray(paired))


def agreement(tally: Tally, classes: Sequence[str], order: Order | None = None) -> dict[str, float | None]:
    """Every measure of a tally; None where it is undefined."""
    found = measures(sums_of(tally, classes), order or Order())
    return {name: None if np.isnan(found[name]) else float(found[name]) for name in MEASURES}
