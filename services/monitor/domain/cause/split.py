"""A change of a rate, split exactly: over the values of a dimension, and over mechanisms where several move."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from services.monitor.domain.cause.counts import Answers, Dimension, Period, Tally

Z = 1.959964


@dataclass(frozen=True, slots=True)
class Part:
    """What one value adds to the change of the disagreement: `low` to `high` is a 95 % interval of the sum.

    Attributes:
        mix: by being more or less of the answers, against the mean.
        rate: by a rate of its own that changed.
    """

    dimension: Dimension
    value: str
    mix: float
    rate: float
    low: float
    high: float

    @property
    def total(self) -> float:
        return self.mix + self.rate


def disagreement(answers: Answers) -> Tally:
    """Answers that differ from the proposal (yes), and that equal it (no)."""
    equal = sum(n for one, n in answers.items() if one.agrees)
    return Tally(answers.total() - equal, equal)


def split(before: Period, after: Period, dimension: Dimension) -> tuple[Part, ...]:
    """The change of the disagreement over a dimension's values, largest first; the parts add up to it.

    Kitagawa 1955: mix and rate, each weighted by the mean of both periods. A value that one period lacks has the mean
    rate of that period there: a version that replaces another moves the rate by what it differs from the whole.
    """
    first, second = _rates(before, dimension), _rates(after, dimension)
    parts = kitagawa(first, second)
    found = [Part(dimension, value, *part) for value, part in parts.items()]
    return tuple(sorted(found, key=lambda part: (-abs(part.total), part.value)))


def kitagawa(before: Mapping[str, Tally], after: Mapping[str, Tally]) -> dict[str, tuple[float, float, float, float]]:
    """Per value: mix part, rate part, and the 95 % interval of their sum (delta method)."""
    n_b, n_a = (sum(one.total for one in side.values()) for side in (before, after))
    if not n_b or not n_a:
        return {}
    r_b, r_a = (sum(one.yes for one in side.values()) / n for side, n in ((before, n_b), (after, n_a)))
    found = {}
    for value in sorted(before.keys() | after.keys()):
        b, a = before.get(value, Tally()), after.get(value, Tally())
        share_b, share_a = b.total / n_b, a.total / n_a
        rate_b, rate_a = b.rate if b.total else r_b, a.rate if a.total else r_a
        share, level = (share_b + share_a) / 2, (rate_b + rate_a) / 2 - (r_b + r_a) / 2
        mix, rate = (share_a - share_b) * level, share * (rate_a - rate_b)
        noise = share**2 * (_spread(rate_b, b.total or n_b) + _spread(rate_a, a.total or n_a))
        noise += level**2 * (_spread(share_b, n_b) + _spread(share_a, n_a))
        half = Z * math.sqrt(noise)
        found[value] = (mix, rate, mix + rate - half, mix + rate + half)
    return found


def _spread(rate: float, n: int) -> float:
    return rate * (1.0 - rate) / n


def _rates(period: Period, dimension: Dimension) -> dict[str, Tally]:
    if dimension is not Dimension.CLASS:
        return {value: disagreement(answers) for value, answers in period.answers.get(dimension, {}).items()}
    found: dict[str, Tally] = {}
    for one, n in period.all_answers.items():
        yes, no = (0, n) if one.agrees else (n, 0)
        found[one.predicted.symbol] = found.get(one.predicted.symbol, Tally()).plus(Tally(yes, no))
    return found


def shapley(players: Sequence[str], worth: Callable[[frozenset[str]], float]) -> dict[str, float]:
    """What each player adds, averaged over all orders in which they may come (Shapley 1953); exact, for a few."""
    found = dict.fromkeys(players, 0.0)
    orders = list(permutations(players))
    known: dict[frozenset[str], float] = {}
    for order in orders:
        had: frozenset[str] = frozenset()
        for player in order:
            have = had | {player}
            for one in (had, have):
                if one not in known:
                    known[one] = worth(one)
            found[player] += (known[have] - known[had]) / len(orders)
            had = have
    return found


MECHANISMS = ("traffic", "model", "people")


def mechanisms(before: Period, after: Period, dimension: Dimension = Dimension.SOURCE) -> dict[str, float]:
    """The change of the disagreement over the mechanisms that make it; they add up to it. Empty without answers.

    traffic: how much comes of each value; model: what is predicted there; people: what they answer to that
    (Zhang et al. 2023, "Why did the model fail?": each mechanism of the factorised joint is one player). Where answers
    are not told apart by the dimension, traffic has no part in it.
    """
    tables = [period.answers.get(dimension, {}) for period in (before, after)]
    if not all(_complete(*side) for side in zip(tables, (before, after), strict=True)):
        tables = [{"": period.all_answers} for period in (before, after)]
    if not all(sum(answers.total() for answers in table.values()) for table in tables):
        return {}
    sides = [_Factors(table) for table in tables]

    def worth(moved: frozenset[str]) -> float:
        mix, model, people = (sides[name in moved] for name in MECHANISMS)
        return math.fsum(
            mix.share(value) * model.predicted(value, said) * people.differs(value, said)
            for value in sides[0].values | sides[1].values
            for said in sides[0].said | sides[1].said
        )

    return shapley(MECHANISMS, worth)


def _complete(table: Mapping[str, Answers], period: Period) -> bool:
    """Whether every answer of a period is told apart."""
    return sum(answers.total() for answers in table.values()) == period.all_answers.total()


class _Factors:
    """One period's P(value) P(prediction | value) P(answer differs | prediction, value); the whole where one lacks."""

    def __init__(self, table: Mapping[str, Answers]) -> None:
        self._counts: dict[tuple[str | None, str], Tally] = {}
        self._totals: dict[str | None, int] = {}
        for value, answers in table.items():
            for one, n in answers.items():
                tally = Tally(0, n) if one.agrees else Tally(n, 0)
                for key in ((value, one.predicted.symbol), (None, one.predicted.symbol)):
                    self._counts[key] = self._counts.get(key, Tally()).plus(tally)
                    self._totals[key[0]] = self._totals.get(key[0], 0) + n
        self.values = {value for value in table if self._totals.get(value)}
        self.said = {said for value, said in self._counts if value is None}

    def share(self, value: str) -> float:
        return self._totals.get(value, 0) / self._totals[None]

    def predicted(self, value: str, said: str) -> float:
        known = value if self._totals.get(value) else None
        return self._counts.get((known, said), Tally()).total / self._totals[known]

    def differs(self, value: str, said: str) -> float:
        exact = self._counts.get((value, said), Tally())
        return (exact if exact.total else self._counts.get((None, said), Tally())).rate
