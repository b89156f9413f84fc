"""What more opinions are worth: by how much they are expected to lower the chance of a wrong label.

Before an opinion is asked for, its answer is only likely: it may confirm the leading class or make another lead. The
mean, over what strangers could answer, of the best class's probability afterwards, less that of now, is the expected
gain (value of information; Howard 1966). One opinion often cannot change the label where two could, so several are
looked at ahead. Of the classes, the two likeliest are looked at: what a third one could do is left out.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from services.qc.domain.answers import Floats

Column = Sequence[float]
AHEAD = 6
"""Opinions looked at ahead where each is weighed against its price, at most."""


def _answers(stranger: Sequence[Column], first: int, second: int) -> list[tuple[float, float]]:
    """P(answer | first true), P(answer | second true), for: first, second, anything else."""
    found = [(math.exp(stranger[given][first]), math.exp(stranger[given][second])) for given in range(len(stranger))]
    masses = [math.fsum(one[side] for one in found) for side in (0, 1)]
    scaled = [(one / masses[0], two / masses[1]) for one, two in found]
    rest = [max(1.0 - scaled[first][side] - scaled[second][side], 0.0) for side in (0, 1)]
    return [scaled[first], scaled[second], (rest[0], rest[1])]


@lru_cache(maxsize=256)
def _outcomes(number: int) -> tuple[Floats, Floats]:
    """How so many answers can fall on three kinds: in how many ways (outcomes,), and how many of each kind (3, ..)."""
    found = [(a, b, number - a - b) for a in range(number + 1) for b in range(number + 1 - a)]
    ways = [float(math.comb(number, a) * math.comb(number - a, b)) for a, b, _ in found]
    return np.array(ways), np.array(found, dtype=np.float64).T


def gain(shares: Sequence[float], stranger: Sequence[Column], number: int) -> float:
    """By how much `number` opinions by strangers are expected to raise the probability of the best class.

    Args:
        shares: P(class), two classes or more.
        stranger: (answered, truth); log P(answered | truth).
        number: of opinions.
    """
    first, second = sorted(range(len(shares)), key=lambda place: -shares[place])[:2]
    told = _answers(stranger, first, second)
    ways, given = _outcomes(number)
    one, two = (
        shares[place] * ways * np.prod(np.array([answer[side] for answer in told])[:, None] ** given, axis=0)
        for side, place in enumerate((first, second))
    )
    return max(float(np.maximum(one, two).sum()) - shares[first], 0.0)


def worth_asking(
    shares: Sequence[float], stranger: Sequence[Column], *, left: int, opinion: float, error: float
) -> bool:
    """Whether some number of further opinions is expected to save more than it costs.

    Args:
        shares: P(class) as it stands.
        stranger: as of `gain`.
        left: opinions that the project still allows.
        opinion: cost of one.
        error: cost of a wrong label.
    """
    return any(error * gain(shares, stranger, n) > n * opinion for n in range(1, min(left, AHEAD) + 1))
