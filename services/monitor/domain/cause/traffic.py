"""The suspicion that what comes in has changed and nothing else: other shares of the same classes, or of sources."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping

from services.monitor.domain.cause.counts import (
    Answered,
    Answers,
    Dimension,
    Period,
    Predicted,
    Predictions,
    Tally,
    added,
)
from services.monitor.domain.cause.evidence import known

STEPS = 200
ENOUGH = 1e-7
TINY = 1e-9
DRAWN = 2.0
"""Answers that a class's own pattern counts for in each of its bands, and the class itself in its pattern."""
ACCURACY = 0.9
"""Of people, where nothing says it."""


def people_accuracy(period: Period) -> float:
    """How often people are right: on gold; else what their agreement implies, errors taken as independent."""
    gold = added(period.gold.values())
    if gold.total >= ENOUGH_GOLD:
        return min(max(gold.rate, 0.5), 0.99)
    agreed = max((added(by.values()) for by in period.agreement.values()), key=lambda t: t.total, default=Tally())
    return min(max(math.sqrt(agreed.rate), 0.5), 0.99) if agreed.total >= ENOUGH_GOLD else ACCURACY


ENOUGH_GOLD = 50


class Joint:
    """Predictions of a period and what is true of them, P(class | prediction), by people's answers.

    Answers are no sample of the traffic, since the confident are asked about less; but given the prediction they are,
    so each prediction's answers are weighted to the traffic's. People err: an answer is the truth with their accuracy,
    else any other class, and that is undone.
    """

    def __init__(self, predictions: Predictions, answers: Answers, accuracy: float) -> None:
        self.traffic, self.total, self.accuracy = predictions, predictions.total(), accuracy
        near: dict[str, Counter[str]] = defaultdict(Counter)
        exact: dict[Predicted, Counter[str]] = defaultdict(Counter)
        for one, n in answers.items():
            near[one.predicted.symbol][one.symbol] += n
            exact[one.predicted][one.symbol] += n
        self.symbols = sorted({one.symbol for one in answers} | {one.symbol for one in predictions})
        self._near, self._exact, self.answered = near, exact, answers.total()
        self._true: dict[Predicted, dict[str, float]] = {}
        self.shares = dict.fromkeys(self.symbols, TINY)
        for said, n in predictions.items():
            for name, p in self.true(said).items():
                self.shares[name] += n * p / self.total

    def true(self, said: Predicted) -> Mapping[str, float]:
        """P(class | prediction); a prediction never made is taken for what it says."""
        found = self._true.get(said)
        if found is None:
            found = self._true[said] = self._clean(self._answered(said))
        return found

    def _answered(self, said: Predicted) -> dict[str, float]:
        near, exact = self._near[said.symbol], self._exact[said]
        wide, own = near.total() + DRAWN, exact.total() + DRAWN
        base = {
            s: (near[s] + DRAWN * (0.9 * (s == said.symbol) + 0.1 / len(self.symbols))) / wide for s in self.symbols
        }
        return {s: (exact[s] + DRAWN * base[s]) / own for s in self.symbols}

    def _clean(self, answered: Mapping[str, float]) -> dict[str, float]:
        wrong = self._wrong
        clean = {s: max((p - wrong) / (self.accuracy - wrong), TINY) for s, p in answered.items()}
        total = math.fsum(clean.values())
        return {s: p / total for s, p in clean.items()}

    @property
    def _wrong(self) -> float:
        return (1.0 - self.accuracy) / max(len(self.symbols) - 1, 1)

    def answers(self, true: Mapping[str, float]) -> dict[str, float]:
        """What people answer where the classes have these shares."""
        return {s: self._wrong + (self.accuracy - self._wrong) * p for s, p in true.items()}


def prior_shift(was: Joint, looks: Joint, predictions: Predictions, answers: Answers) -> tuple[float, dict[str, float]]:
    """That the classes have other shares, and that each looks to the model and to people as it did.

    Args:
        was: the period before.
        looks: by what traffic each class looks as it does; the same or more.
        predictions: of the period after.
        answers: of it.

    Returns:
        The log Bayes factor (approximate: a penalty of half the log of the predictions for each free share), and by
        how much the share of each class has changed. The shares are the mixture's of maximum likelihood by the
        predictions (Saerens, Latinne & Decaestecker 2002).
    """
    total = predictions.total()
    if not total or not was.total:
        return 0.0, {}
    alike = {
        said: {name: n / looks.total * p / looks.shares[name] for name, p in looks.true(said).items()}
        for said, n in looks.traffic.items()
    }
    blank = dict.fromkeys(looks.symbols, 0.0)
    then = _mixture([(n / was.total, alike.get(said, blank)) for said, n in was.traffic.items()], was.shares)
    now = _mixture([(n / total, alike.get(said, blank)) for said, n in predictions.items()], then)
    tilt = {said: max(_mean(now, row), TINY) / max(_mean(then, row), TINY) for said, row in alike.items()}
    whole = math.fsum(n / was.total * tilt.get(said, 1.0) for said, n in was.traffic.items())
    gain = math.fsum(n * math.log(tilt.get(said, 1.0) / whole) for said, n in predictions.items())
    told_gain = 0.0
    for one, n in answers.items():
        row = alike.get(one.predicted)
        if row is not None and one.symbol in now:
            told = [
                was.answers({name: side[name] * p / max(_mean(side, row), TINY) for name, p in row.items()})
                for side in (then, now)
            ]
            told_gain += n * math.log(told[1][one.symbol] / told[0][one.symbol])
    gain = gain * known(was.total, total) + told_gain * known(was.answered, answers.total())
    penalty = (len(now) - 1) / 2 * math.log(total)
    return gain - penalty, {name: share - then[name] for name, share in now.items()}


def _mean(shares: Mapping[str, float], row: Mapping[str, float]) -> float:
    return math.fsum(shares.get(name, 0.0) * p for name, p in row.items())


def _mixture(rows: list[tuple[float, Mapping[str, float]]], start: Mapping[str, float]) -> dict[str, float]:
    """The shares under which the rows are likeliest, by EM. A row: its weight, and how likely each class makes it."""
    shares = {name: max(share, 1e-3) for name, share in start.items()}
    for _ in range(STEPS):
        fresh = dict.fromkeys(shares, TINY)
        for weight, row in rows:
            lift = max(_mean(shares, row), TINY)
            for name, p in row.items():
                if name in fresh:
                    fresh[name] += weight * shares[name] * p / lift
        total = math.fsum(fresh.values())
        fresh = {name: share / total for name, share in fresh.items()}
        moved = max(abs(fresh[name] - shares[name]) for name in shares)
        shares = fresh
        if moved < ENOUGH:
            break
    return shares


def other_mix(before: Period, after: Period, dimension: Dimension) -> tuple[float, str]:
    """That the values of a dimension have other shares of the traffic and each is as it was.

    Returns:
        The log likelihood ratio, without a free parameter: what the new shares make of the old predictions and
        answers; and the value that moves the predictions most.
    """
    tables, now = before.predictions.get(dimension, {}), after.predictions.get(dimension, {})
    whole = sum(tables.values(), Predictions())
    total, total_now = whole.total(), sum(table.total() for table in now.values())
    if not total or not total_now:
        return 0.0, ""
    expected: Counter[Predicted] = Counter()
    moved = {"": 0.0}
    for value in tables.keys() | now.keys():
        table = tables.get(value) or whole
        n = table.total()
        share, old = now.get(value, Predictions()).total() / total_now, tables.get(value, Predictions()).total() / total
        away = math.fsum(abs(table[said] / n - whole[said] / total) for said in whole) / 2
        moved[value] = abs(share - old) * away
        for said, times in table.items():
            expected[said] += share * times / n  # type: ignore[assignment]  # shares
    seen = sum(now.values(), Predictions())
    gain = math.fsum(n * math.log(expected[said] / (whole[said] / total)) for said, n in seen.items() if whole[said])
    return gain * known(total, total_now) + _answers_mix(before, after, dimension), max(
        sorted(moved), key=moved.__getitem__
    )


def _answers_mix(before: Period, after: Period, dimension: Dimension) -> float:
    """The same of answers given predictions."""
    tables, now = before.answers.get(dimension, {}), after.answers.get(dimension, {})
    whole, seen = sum(tables.values(), Answers()), sum(now.values(), Answers())
    classes = max(len({one.symbol for one in whole}), 1)
    given = {value: _given(table) for value, table in tables.items()}
    pooled, comes = _given(whole), {value: _given(table) for value, table in now.items()}
    gain = 0.0
    for one, n in seen.items():
        base = (whole[one] + 1.0 / classes) / (pooled[one.predicted] + 1.0)
        of = {value: table[one.predicted] for value, table in comes.items() if table[one.predicted]}
        all_of = sum(of.values())
        likely = math.fsum(
            times / all_of * _rate(tables.get(value, Answers()), given.get(value, Counter()), one, base)
            for value, times in of.items()
        )
        gain += n * math.log(likely / base)
    return gain * known(whole.total(), seen.total())


def _rate(table: Answers, given: Counter[Predicted], one: Answered, base: float) -> float:
    return (table[one] + 5.0 * base) / (given[one.predicted] + 5.0)


def _given(table: Answers) -> Counter[Predicted]:
    found: Counter[Predicted] = Counter()
    for one, n in table.items():
        found[one.predicted] += n
    return found
