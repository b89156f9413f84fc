"""How well a share of what was seen is known, where trials come by items.

Words, objects and pixels of one item are right or wrong together, so there are fewer trials than words. How many there
are is told by the variance of the ratio over items (linearized), and fewer still where that is known from few items
(Korn & Graubard 1998); the interval is that of Jeffreys' beta posterior with so many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, gammaincinv, stdtrit

from services.qc.domain.answers import Floats, Ints
from services.qc.domain.kinds.measures import Interval

SIDE = 0.025
NORMAL = 1.959964
JEFFREYS = 0.5
TINY = 1e-12
LARGEST = 1e3
"""Trials that one unit of what was seen is worth at most, where its hits are parts of a unit."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over items; each (people,).

    Attributes:
        hits, seen: the ratio that is meant.
        items: with anything seen.
        squares, cross, seen_squares: of hits, of hits times seen, of seen; by item.
    """

    hits: Floats
    seen: Floats
    items: Floats
    squares: Floats
    cross: Floats
    seen_squares: Floats

    @property
    def share(self) -> Floats:
        found: Floats = self.hits / np.maximum(self.seen, TINY)
        return found


def summed(who: Ints, hits: Floats, seen: Floats, people: int) -> Sums:
    """Of rows, each of one person and one item; (rows,)."""
    each: list[Floats] = [hits, seen, np.where(seen > 0.0, 1.0, 0.0), hits * hits, hits * seen, seen * seen]
    return Sums(*(np.bincount(who, values, minlength=people).astype(np.float64) for values in each))


def trials(sums: Sums, *, whole: bool = True) -> Floats:
    """As how many independent trials the sums are; (people,).

    Args:
        sums: over items.
        whole: a hit is there or not; else it is a part of what was seen, and varies less than that.
    """
    share = sums.share
    apart = np.maximum(sums.squares - 2.0 * share * sums.cross + share**2 * sums.seen_squares, 0.0)
    rest = np.maximum(sums.items - 1.0, 1.0)
    variance = apart / np.maximum(sums.seen, TINY) ** 2 * sums.items / rest
    most = sums.seen if whole else sums.seen * LARGEST
    found = np.minimum(np.maximum(share * (1.0 - share), TINY) / np.maximum(variance, TINY), most)
    found = np.where(variance > TINY, found, sums.seen)
    few: Floats = np.where(sums.items > 1.0, found * (NORMAL / stdtrit(rest, 1.0 - SIDE)) ** 2, np.minimum(found, 1.0))
    return few


def interval(sums: Sums, *, whole: bool = True) -> Floats:
    """95 % of hits over seen; (people, 2). Arguments are those of `trials`."""
    number, share = trials(sums, whole=whole), np.clip(sums.share, 0.0, 1.0)
    ends = [betaincinv(share * number + JEFFREYS, (1.0 - share) * number + JEFFREYS, at) for at in (SIDE, 1.0 - SIDE)]
    return np.stack(ends, axis=1)


def rate(number: float, answers: float, squares: float) -> Interval:
    """95 % of how many there are in an answer (Jeffreys' gamma posterior), which may come in heaps.

    Args:
        number: in all answers.
        answers: more than 0.
        squares: sum of the squares of each answer's number.
    """
    mean = number / answers
    heaps = 1.0
    if answers > 1.0 and mean > 0.0:
        heaps = max((squares / answers - mean**2) * answers / (answers - 1.0) / mean, 1.0)
    low, high = (float(gammaincinv(number / heaps + JEFFREYS, at)) * heaps / answers for at in (SIDE, 1.0 - SIDE))
    return low, high


def around(estimate: float, ends: Floats) -> Interval:
    """An interval that holds the estimate, which a crowd may have drawn out of it."""
    return min(float(ends[0]), estimate), max(float(ends[1]), estimate)


def shares_of(
    people: Sequence[str], told: Mapping[str, Sums], estimates: Mapping[str, Floats] | None = None
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, Interval]]]:
    """Skills and their intervals by annotator, of those who were seen.

    Args:
        people: annotators.
        told: name of the skill -> sums of hits, whole ones, over what was seen.
        estimates: name of the skill -> (people,), where it is not the plain share.
    """
    skills: dict[str, dict[str, float]] = {who: {} for who in people}
    known: dict[str, dict[str, Interval]] = {who: {} for who in people}
    for name, sums in told.items():
        values, ends = (estimates or {}).get(name, sums.share), interval(sums)
        for at, who in enumerate(people):
            if sums.seen[at] > 0.0:
                skills[who][name] = float(values[at])
                known[who][name] = around(float(values[at]), ends[at])
    return skills, known
