"""How much likelier counts are under a change than without one: log Bayes factors, in nats.

Each compares two periods' multinomial counts: one distribution for each against one for both, under Dirichlet priors
(Good 1965; Gunel & Dickey 1974). More parameters are paid for by themselves, so hypotheses of different sizes compare.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from services.monitor.domain.cause.counts import Answered, Answers, Predicted, Predictions, Tally

PRIOR = 0.5
"""Of each cell (Jeffreys 1946)."""
TINY = 1e-9
K = TypeVar("K", bound=Hashable)
H = TypeVar("H", bound=Hashable)


def changed(before: Mapping[K, float], after: Mapping[K, float]) -> float:
    """That the distribution over the cells is not the same in both periods."""
    cells = before.keys() | after.keys()
    if len(cells) < 2 or not any(before.values()) or not any(after.values()):  # noqa: PLR2004  # one cell says nothing
        return 0.0
    first = [before.get(cell, 0) for cell in cells]
    second = [after.get(cell, 0) for cell in cells]
    both = [a + b for a, b in zip(first, second, strict=True)]
    return _marginal(first) + _marginal(second) - _marginal(both)


def _marginal(counts: Sequence[float]) -> float:
    """Log likelihood of a sequence with these counts under the prior, the distribution integrated out."""
    mass = PRIOR * len(counts)
    cells = math.fsum(math.lgamma(PRIOR + n) for n in counts if n) - math.lgamma(PRIOR) * sum(n > 0 for n in counts)
    return math.lgamma(mass) - math.lgamma(mass + sum(counts)) + cells


def answers_changed(before: Answers, after: Answers) -> float:
    """That what people answer, given the proposal, is not the same: evenly over how finely one looks at it.

    Given class and confidence; given the class; or only whether they agree with it.
    """
    looks: tuple[Callable[[Answered], tuple[Hashable, Hashable]], ...] = (
        lambda one: (one.predicted, one.symbol),
        lambda one: (one.predicted.symbol, one.symbol),
        lambda one: ("", one.agrees),
    )
    return mixed([_given(_split(before, look), _split(after, look)) for look in looks])


def _split(
    answers: Answers, look: Callable[[Answered], tuple[Hashable, Hashable]]
) -> dict[Hashable, Counter[Hashable]]:
    found: dict[Hashable, Counter[Hashable]] = defaultdict(Counter)
    for one, n in answers.items():
        given, cell = look(one)
        found[given][cell] += n
    return found


def _given(before: Mapping[H, Counter[K]], after: Mapping[H, Counter[K]]) -> float:
    """Each row has changed or has not, as likely beforehand: what moves in few rows is not drowned by the others."""
    return math.fsum(mixed([0.0, changed(before[given], after[given])]) for given in before.keys() & after.keys())


def predictions_changed(before: Predictions, after: Predictions) -> float:
    """That what is predicted is not the same: the classes, and within each class the confidence."""
    classes: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    bands: tuple[dict[str, Counter[int]], dict[str, Counter[int]]] = (defaultdict(Counter), defaultdict(Counter))
    for place, side in enumerate((before, after)):
        for said, n in side.items():
            classes[place][said.symbol] += n
            bands[place][said.symbol][said.band] += n
    return mixed([0.0, changed(*classes)]) + _given(*bands)


MOVES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of a class that may be called another since, each as likely as the others beforehand."""


def known(before: int, after: int) -> float:
    """What is left of a likelihood ratio against a period before that is itself only estimated from counts.

    Were both periods the same, one estimate would lie between them: of two periods as large as each other, half.
    """
    return before / max(before + after, 1)


def class_moved(before: Answers, after: Answers) -> float:
    """That a share of what was called one class is called another, and nothing else; over all pairs of classes."""
    symbols = sorted({one.symbol for one in before} | {one.symbol for one in after})
    pairs = [(a, b) for a in symbols for b in symbols if a != b]
    given = _split(before, lambda one: (one.predicted, one.symbol))
    near = _split(before, lambda one: (one.predicted.symbol, one.symbol))
    rows: dict[Hashable, dict[str, float]] = {}
    for said in {one.predicted for one in after}:
        wide = near.get(said.symbol, Counter())
        own = given.get(said, Counter())
        rows[said] = {
            s: (own[s] + (wide[s] + PRIOR) / (wide.total() + PRIOR * len(symbols))) / (own.total() + 1.0)
            for s in symbols
        }
    return mixed([_moved(after, rows, a, b) for a, b in pairs]) * known(before.total(), after.total())


def _moved(after: Answers, rows: Mapping[Hashable, Mapping[str, float]], a: str, b: str) -> float:
    left = sum(n for one, n in after.items() if one.symbol == a)
    came = [(n, rows[one.predicted][a] / rows[one.predicted][b]) for one, n in after.items() if one.symbol == b]
    gains = []
    for share in MOVES:
        stays = left * math.log(1.0 - share + TINY)
        gains.append(stays + math.fsum(n * math.log1p(share * ratio) for n, ratio in came))
    return mixed(gains)


def class_shares(predictions: Predictions, answers: Answers) -> dict[str, float]:
    """How often people answered each class, of all the traffic, as counts that are worth their number.

    The confident are asked about less, so each prediction's answers weigh as much as it is of the traffic; weights that
    differ cost what they cost in precision (Kish's effective size).
    """
    asked: Counter[Predicted] = Counter()
    for one, n in answers.items():
        asked[one.predicted] += n
    weights = {said: predictions[said] / n for said, n in asked.items() if predictions[said]}
    shares: dict[str, float] = defaultdict(float)
    for one, n in answers.items():
        shares[one.symbol] += n * weights.get(one.predicted, 0.0)
    squares = math.fsum(asked[said] * weight * weight for said, weight in weights.items())
    total = math.fsum(shares.values())
    worth = total / squares if squares else 0.0
    return {symbol: share * worth for symbol, share in shares.items()}


def fell(before: Tally, after: Tally) -> float:
    """That a rate fell; where it rose, as much as an unchanged one says against a change."""
    cells = ({True: before.yes, False: before.no}, {True: after.yes, False: after.no})
    gain = changed(*cells)
    return gain if after.rate < before.rate else min(gain, 0.0)


def mixed(gains: list[float]) -> float:
    """The log of the mean of Bayes factors: one of several ways, each as likely as the others beforehand."""
    if not gains:
        return 0.0
    top = max(gains)
    return top + math.log(math.fsum(math.exp(one - top) for one in gains) / len(gains))
