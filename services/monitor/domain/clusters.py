"""Intervals of figures whose parts come in clusters: objects or words of one item are not independent of each other.

All is made of sums over items, which counters hold: an item that has many wrong weighs as the one trial that it is.
"""

import math
from typing import NamedTuple

from services.monitor.domain.accuracy import Z, wilson

FEWEST = 5
"""Items from which their variance is used."""
_FEW = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706)


class Sums(NamedTuple):
    """Over items: of what is counted in each (upper), out of how many parts (lower), and of their products.

    Attributes:
        upper: wrong words, objects of a class, distances.
        lower: words, objects, pairs.
        squares: of each item's upper.
        cross: each item's upper times its lower.
        lengths: squares of each item's lower.
    """

    upper: float
    lower: float
    squares: float
    cross: float
    lengths: float

    @property
    def items(self) -> float:
        """As many of equal size would tell as much (Kish 1965)."""
        return self.lower**2 / self.lengths


def quantile(freedom: float) -> float:
    """Student's t at 97.5 %, within 1 % (Abramowitz & Stegun 26.7.5; the first five from the table)."""
    if freedom <= len(_FEW):
        return _FEW[max(int(freedom), 1) - 1]
    once, twice = (Z**3 + Z) / 4, (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    return Z + once / freedom + twice / freedom**2


def ratio_interval(sums: Sums) -> tuple[float, float]:
    """95 % of upper / lower, a ratio of sums over items (linearized), which may be above 1.

    Up to 1 it is Wilson's at as many trials as would give a share that variance, fewer where few items tell it (Korn &
    Graubard 1998). Fewer than `FEWEST` items, or such as do not differ at all, are a trial each.
    """
    rate, items = sums.upper / sums.lower, max(sums.items, 1.0)
    few = wilson(min(rate, 1.0), items)
    spread = sums.squares - 2.0 * rate * sums.cross + rate**2 * sums.lengths
    if items < FEWEST or spread <= 0.0:
        return few[0], max(few[1], rate)
    variance, wide = spread / sums.lower**2 * items / (items - 1.0), quantile(items - 1.0)
    if rate >= 1.0:
        half = wide * math.sqrt(variance)
        return max(rate - half, 0.0), rate + half
    return wilson(rate, min(rate * (1.0 - rate) / variance * (Z / wide) ** 2, sums.lower))


def count_interval(items: float, total: float, squares: float) -> tuple[float, float]:
    """95 % of the mean number that an item has, from sums of the numbers and of their squares.

    The score interval of a Poisson's mean, widened or narrowed by how much more or less than a Poisson's the numbers
    vary (quasi-Poisson; McCullagh & Nelder 1989). One more item that varies as a Poisson's keeps it from being nothing.
    """
    mean = total / items
    spread = max(squares - total * mean, 0.0) / mean if total else 0.0
    factor = (spread + 1.0) / items if total else 1.0
    wide = quantile(items) ** 2 * factor / items
    half = math.sqrt(wide * mean + wide**2 / 4)
    return max(mean + wide / 2 - half, 0.0), mean + wide / 2 + half
