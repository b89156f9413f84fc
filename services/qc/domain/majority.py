"""Plain majority, the yardstick: what the same opinions give without any model of the people."""

from collections import Counter
from collections.abc import Sequence


def winners(symbols: Sequence[str]) -> tuple[str, ...]:
    """The most frequent symbols, sorted; several at a tie, none without opinions."""
    votes = Counter(symbols)
    top = max(votes.values(), default=0)
    return tuple(sorted(symbol for symbol, count in votes.items() if count == top))


def expected_correct(symbols: Sequence[str], truth: str) -> float:
    """The chance that majority with ties broken at random is right: 0, 1, or 1 / winners."""
    first = winners(symbols)
    return 1.0 / len(first) if truth in first else 0.0
