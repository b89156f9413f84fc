"""One number from those of people of whom a snapshot knows how they give numbers, and how far off it may be.

The model is that of `kinds.ratings`: the item's number, each person's offset, and an error with the person's spread;
here with a difficulty of the item as well, which scales all errors to it (variance inverse gamma), so that people who
are near to each other say more and people who are far apart say less. What is left of the number is Student's t
(Gelman et al., Bayesian Data Analysis, 3.2), and its posterior is the chance that the label is within the tolerance.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import gammaln, stdtr

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.ratings import Numbers, People, bounded

FREEDOMS = np.array([2.0, 3, 4, 6, 8, 12, 20, 50, 1000])
SCALES = np.linspace(0.5, 1.2, 15)
UNIT = 1_000_000
"""Parts of a tolerance that snapshots count in."""
OFFSET, SPREAD, MET, TYPICAL, FREEDOM = "offset", "spread", "met", "typical", "freedom"
LEAST = 1e-3
"""Of the tolerance: no spread is smaller."""


@dataclass(frozen=True, slots=True)
class Raters:
    """What a snapshot knows of people, in tolerances of the scale.

    Attributes:
        people: annotator -> offset and spread; empty: people are alike, as far as can be told.
        met: annotator -> answers behind that, which others met.
        typical: spread of anyone else.
        freedom: degrees of freedom of how difficult items are; the fewer, the more they differ.
    """

    people: Mapping[str, tuple[float, float]]
    typical: float
    freedom: float
    met: Mapping[str, float] = field(default_factory=dict)


def raters_of(cells: Iterable[tuple[str, str, int]]) -> Raters | None:
    """What a snapshot holds of people: (annotator, what, parts of a tolerance); None where it holds nothing."""
    of_all = dict[str, float]()
    people = dict[str, dict[str, float]]()
    for who, what, parts in cells:
        (people.setdefault(who, {}) if who else of_all)[what] = parts / UNIT
    if TYPICAL not in of_all or FREEDOM not in of_all:
        return None
    known = {who: (own.get(OFFSET, 0.0), own[SPREAD]) for who, own in people.items() if SPREAD in own}
    return Raters(known, of_all[TYPICAL], of_all[FREEDOM], {who: people[who].get(MET, 0.0) for who in known})


@dataclass(frozen=True, slots=True)
class Judged:
    """The number of an item, the standard error of it, and the degrees of freedom of that."""

    number: float
    error: float
    freedom: float

    def within(self, label: float, tolerance: float) -> float:
        """P(a label is no farther than this from the true number)."""
        ends = [(sign * tolerance + label - self.number) / self.error for sign in (-1.0, 1.0)]
        low, high = stdtr(self.freedom, np.array(ends)).tolist()
        return float(min(max(high - low, 0.0), 1.0))


def judge(given: Sequence[tuple[str, float]], raters: Raters, tolerance: float) -> Judged:
    """The number of one item.

    Args:
        given: by whom, and what; at least one, in an order that says nothing.
        raters: what is known of people.
        tolerance: of the scale.

    Raises:
        ValueError: there are none.
    """
    if not given:
        raise ValueError("no numbers to judge")
    known = [raters.people.get(who, (0.0, raters.typical)) for who, _ in given]
    offset = np.array([one for one, _ in known]) * tolerance
    spread = np.maximum([one for _, one in known], LEAST) * tolerance
    number, each = np.array([one for _, one in given]), np.arange(len(given), dtype=np.int32)
    weight = spread**-2.0
    if raters.people:
        weight *= bounded(Numbers(each * np.int32(0), each, number, 1, len(given)), People(offset, spread))
    own, mass = number - offset, float(weight.sum())
    middle = float(weight @ own) / mass
    freedom = raters.freedom + len(given) - 1.0
    scale = (raters.freedom + float(weight @ (own - middle) ** 2)) / freedom
    return Judged(middle, math.sqrt(scale / mass), freedom)


def difficulty(given: Numbers, people: People) -> tuple[float, float]:
    """How much items differ in difficulty, by the marginal likelihood of the answers that others met.

    Returns:
        Degrees of freedom, and the factor on the spreads that goes with them.
    """
    number = given.by_item(np.ones_like(given.number))
    weight = people.spread[given.who] ** -2.0
    own = given.number - people.offset[given.who]
    middle = given.by_item(weight * own) / np.maximum(given.by_item(weight), 1e-300)
    apart = given.by_item(weight * (own - middle[given.item]) ** 2)
    met = number > 1.0
    free, apart = number[met] - 1.0, apart[met]
    if not met.any():
        return float(FREEDOMS[-1]), 1.0
    spent = float(free.sum()) * np.log(SCALES)
    found = np.array([[_likelihood(free, apart / s**2, nu) for s in SCALES] for nu in FREEDOMS]) - spent
    best = np.unravel_index(int(found.argmax()), found.shape)
    return float(FREEDOMS[best[0]]), float(SCALES[best[1]])


def _likelihood(free: Floats, apart: Floats, freedom: float) -> float:
    """Of residuals of items of this many free ones, whose squares add up to so much; up to what is constant."""
    half = 0.5 * (freedom + free)
    each = gammaln(half) - gammaln(0.5 * freedom) + 0.5 * freedom * np.log(freedom) - half * np.log(freedom + apart)
    return float(each.sum())
