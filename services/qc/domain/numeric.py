"""One number from several: no annotator model, as on real crowds none beat the plain mean (research: quality, 3.18).

A scale with steps takes the median, so that the label is a value of the scale that somebody gave; a scale that allows
any number takes the mean. Neither has a posterior: a label of this path carries none.
"""

import math
from collections.abc import Sequence
from statistics import median_low

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
