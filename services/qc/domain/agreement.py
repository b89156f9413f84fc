"""Percent agreement, exactly, from integers. Chance-corrected measures belong to a later step."""

from collections import Counter
from collections.abc import Iterable, Mapping


def agreeing_pairs(symbols: Iterable[str]) -> int:
    """How many pairs of the opinions are equal."""
    return sum(n * (n - 1) // 2 for n in Counter(symbols).values())


def percent_agreement(rounds: Mapping[int, tuple[int, int]]) -> float | None:
    """The mean over rounds of the share of equal pairs.

    Args:
        rounds: opinions in a round (two or more) -> (how many such rounds, their agreeing pairs in all).

    Returns:
        0 to 1, or None where no round has two opinions.
    """
    number = sum(count for count, _ in rounds.values())
    if number == 0:
        return None
    return sum(pairs / (n * (n - 1) / 2) for n, (_, pairs) in sorted(rounds.items())) / number
