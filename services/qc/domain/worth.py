"""What more opinions are worth: by how much they are expected to lower the chance of a wrong label.

Before an opinion is asked for, its answer is only likely: it may confirm the leading class or make another lead. The
mean, over what strangers could answer, of the best class's probability afterwards, less that of now, is the expected
gain (value of information; Howard 1966). One opinion often cannot change the label where two could, so several are
looked at ahead. Of the classes, the two likeliest are looked at: what a third one could do is left out.
"""

import math
from collections.abc import Sequence

Column = Sequence[float]
AHEAD = 6
"""Opinions looked at ahead, at most."""


def _answers(stranger: Sequence[Column], first: int, second: int) -> list[tuple[float, float]]:
    """P(answer | first true), P(answer | second true), for: first, second, anything else."""
    found = [(math.exp(stranger[given][first]), math.exp(stranger[given][second])) for given in range(len(stranger))]
    masses = [math.fsum(one[side] for one in found) for side in (0, 1)]
    scaled = [(one / masses[0], two / masses[1]) for one, two in found]
    rest = [max(1.0 - scaled[first][side] - scaled[second][side], 0.0) for side in (0, 1)]
    return [scaled[first], scaled[second], (rest[0], rest[1])]


def gain(shares: Sequence[float], stranger: Sequence[Column], number: int) -> float:
    """By how much `number` opinions by strangers are expected to raise the probability of the best class.

    Args:
        shares: P(class), two classes or more.
        stranger: (answered, truth); log P(answered | truth).
        number: of opinions.
    """
    first, second = sorted(range(len(shares)), key=lambda place: -shares[place])[:2]
    (a1, a2), (b1, b2), (c1, c2) = _answers(stranger, first, second)
    best = []
    for agree in range(number + 1):
        for other in range(number + 1 - agree):
            rest = number - agree - other
            ways = math.comb(number, agree) * math.comb(number - agree, other)
            one = shares[first] * a1**agree * b1**other * c1**rest
            two = shares[second] * a2**agree * b2**other * c2**rest
            best.append(ways * max(one, two))
    return max(math.fsum(best) - shares[first], 0.0)


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
