"""One number from several.

Where people are alike, or nothing is known of them, a scale with steps takes the median, so that the label is a value
of the scale that somebody gave, and a scale that allows any number takes the mean. Where a snapshot knows people's
offsets and spreads (`raters`), these say what the number is, and on a scale with steps the label is the value given
that is nearest to it. A label has a posterior only where something is known of people.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from services.qc.domain.raters import Raters, judge
from services.qc.domain.scale import Scale


def estimate(numbers: Sequence[float], scale: Scale) -> float:
    """The label of one or more numbers.

    Raises:
        ValueError: there are none.
    """
    if not numbers:
        raise ValueError("no numbers to estimate from")
    return median_low(sorted(numbers)) if scale.stepped else math.fsum(numbers) / len(numbers)


def near(number: float, centre: float, scale: Scale) -> bool:
    """Whether a number is within the scale's tolerance of another."""
    return abs(number - centre) <= scale.tolerance * (1 + 1e-9)


def settled(numbers: Sequence[float], scale: Scale) -> bool:
    """Whether more than half of the numbers, and at least two, lie within the tolerance of the estimate."""
    if len(numbers) < 2:  # noqa: PLR2004  # one number has nothing to agree with
        return False
    centre = estimate(numbers, scale)
    return sum(near(number, centre, scale) for number in numbers) * 2 > len(numbers)


@dataclass(frozen=True, slots=True)
class Number:
    """A label: P(it is within the tolerance of the true number), and its standard error."""

    number: float
    posterior: float
    error: float


def judged(given: Sequence[tuple[str, float]], scale: Scale, raters: Raters) -> Number:
    """The label of one or more numbers by people of whom something is known.

    Args:
        given: by whom, and what; in an order that says nothing.
        scale: of the project.
        raters: what is known.

    Raises:
        ValueError: there are none.
    """
    found, numbers = judge(given, raters, scale.tolerance), [number for _, number in given]
    label = found.number
    if not raters.people:
        label = estimate(numbers, scale)
    elif scale.stepped:
        label = min(sorted(numbers), key=lambda number: abs(number - found.number))
    label = min(max(label, scale.low), scale.high)
    error = math.hypot(found.error, label - found.number)
    return Number(label, found.within(label, scale.tolerance * (1 + 1e-9)), error)
