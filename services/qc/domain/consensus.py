"""From opinions to a posterior over values: Dawid-Skene with a two-level prior, one item at a time.

An annotator's confusion row is a MAP estimate: own counts shrunk to a row made of the own accuracy on the diagonal and
the crowd's confusions off it; the own accuracy is shrunk to the crowd's, which is anchored. So a new annotator is the
crowd, and a spammer, whose rows are all alike, adds about no evidence.

Sources: Dawid & Skene 1979 (the model); Kim & Ghahramani 2012 (priors on the rows); the cavity counts leave out what
the item itself added to its annotators' counts. Cost: O(opinions * classes).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.qc.domain.counts import ANY, EQUAL, MILLS, OTHER, Cell, Confusion, Parameters, Priors
from services.qc.domain.scale import Kind, Scale

TINY = 1e-6
SMOOTHING = 2.0
NOBODY = Confusion()


@dataclass(frozen=True, slots=True)
class Opinion:
    """One answer as the model sees it.

    `counted` is the posterior in mills (truth -> mills) by which this very answer was judged already, where its item
    has a label; it is taken out of the annotator's counts before the annotator's word is weighed (cavity).
    """

    annotator_id: str
    symbol: str
    counted: Mapping[str, int] = field(default_factory=dict)


def crowd_accuracy(parameters: Parameters, size: int) -> float:
    """The crowd's accuracy, anchored, and never below the floor."""
    priors, crowd = parameters.priors, parameters.crowd
    measured = (crowd.correct + priors.accuracy_answers * priors.accuracy) / (crowd.total + priors.accuracy_answers)
    return max(measured, _floor(priors, size))


def _floor(priors: Priors, size: int) -> float:
    return 1.0 / size + priors.floor * (1.0 - 1.0 / size)


def _without(opinion: Opinion, own: Confusion) -> tuple[float, float]:
    """Own judged and correct answers, less what this opinion itself was counted as."""
    if not opinion.counted:
        return own.total, own.correct
    correct = opinion.counted.get(opinion.symbol, 0) / MILLS
    return max(own.total - 1.0, 0.0), max(own.correct - correct, 0.0)


def own_accuracy(opinion: Opinion, parameters: Parameters, size: int) -> float:
    """The annotator's accuracy, shrunk to the crowd's, strictly between 0 and 1."""
    priors = parameters.priors
    total, correct = _without(opinion, parameters.annotators.get(opinion.annotator_id, NOBODY))
    shrunk = (correct + priors.own_answers * crowd_accuracy(parameters, size)) / (total + priors.own_answers)
    return min(shrunk, 1.0 - TINY)


def _column(opinion: Opinion, classes: Sequence[str], parameters: Parameters) -> tuple[float, ...]:
    """The log of P(this answer | each class is true), for one annotator; shape (classes,)."""
    size = len(classes)
    priors, crowd = parameters.priors, parameters.crowd
    own = parameters.annotators.get(opinion.annotator_id, NOBODY)
    accuracy = max(own_accuracy(opinion, parameters, size), _floor(priors, size))
    answered = opinion.symbol
    column = []
    for truth in classes:
        if truth == answered:
            expected = accuracy
        else:
            wrong = crowd.rows.get(truth, 0.0) - crowd.cells.get((truth, truth), 0.0)
            share = (crowd.cells.get((truth, answered), 0.0) + 1.0) / (wrong + size - 1.0)
            expected = (1.0 - accuracy) * share
        mine = opinion.counted.get(truth, 0) / MILLS
        seen = max(own.cells.get((truth, answered), 0.0) - mine, 0.0)
        row = max(own.rows.get(truth, 0.0) - mine, seen)
        likelihood = (seen + priors.row_answers * expected) / (row + priors.row_answers)
        column.append(math.log(max(likelihood, TINY)))
    return tuple(column)


def _remembered(opinion: Opinion, classes: tuple[str, ...], parameters: Parameters) -> tuple[float, ...]:
    if opinion.counted:
        return _column(opinion, classes, parameters)
    known = opinion.annotator_id in parameters.annotators
    key = (classes, opinion.annotator_id if known else "", opinion.symbol)
    found = parameters.columns.get(key)
    if found is None:
        found = parameters.columns[key] = _column(opinion, classes, parameters)
    return found


def _combine(columns: Sequence[Sequence[float]], prior: Sequence[float], repeat: float) -> list[float]:
    """Log prior plus weighted log likelihoods, normalised to probabilities.

    People err together on a hard item, so `repeat` of each opinion counts in full, and the rest as one opinion that
    is shared among them in proportion to what each can tell (the range of its column). One opinion counts in full, and
    one that tells nothing takes nothing from the others.
    """
    telling = [max(column) - min(column) for column in columns]
    whole = math.fsum(telling)
    weights = [repeat + (1.0 - repeat) * (part / whole if whole > 0.0 else 0.0) for part in telling]
    scores = [
        start + math.fsum(weight * column[place] for weight, column in zip(weights, columns, strict=True))
        for place, start in enumerate(prior)
    ]
    top = max(scores)
    shares = [math.exp(score - top) for score in scores]
    mass = math.fsum(shares)
    return [share / mass for share in shares]


def _closed(opinions: Sequence[Opinion], classes: tuple[str, ...], parameters: Parameters) -> dict[str, float]:
    size, priors = len(classes), parameters.priors
    given = [parameters.answered.get(name, 0) + SMOOTHING for name in classes]
    mass = sum(given)
    prior = [math.log(priors.class_share * n / mass + (1.0 - priors.class_share) / size) for n in given]
    columns = [_remembered(opinion, classes, parameters) for opinion in opinions]
    return dict(zip(classes, _combine(columns, prior, priors.repeat), strict=True))


def _open(opinions: Sequence[Opinion], size: int, parameters: Parameters) -> dict[str, float]:
    """One-coin model over the values given, beside all those that nobody gave (their mass is left out)."""
    symbols = tuple(sorted({opinion.symbol for opinion in opinions}))
    whole = max(size, len(symbols) + 1)
    rest = whole - len(symbols)
    prior = [0.0] * len(symbols) + [math.log(rest)]
    columns = []
    for opinion in opinions:
        accuracy = max(own_accuracy(opinion, parameters, whole), _floor(parameters.priors, whole))
        wrong = math.log(max((1.0 - accuracy) / (whole - 1), TINY))
        right = math.log(accuracy)
        columns.append([right if symbol == opinion.symbol else wrong for symbol in symbols] + [wrong])
    shares = _combine(columns, prior, parameters.priors.repeat)
    return dict(zip(symbols, shares, strict=False))


def posterior(opinions: Sequence[Opinion], scale: Scale, parameters: Parameters) -> dict[str, float]:
    """P(value | opinions), over the classes of a closed scale or the values given on an open one.

    Closed: adds up to 1. Open: what is missing to 1 is the chance that nobody gave the true value.
    Independent of the order of the opinions up to rounding: they are added up exactly.

    Raises:
        ValueError: the scale is numeric (see `numeric.py`).
    """
    if scale.kind is Kind.CLOSED:
        return _closed(opinions, scale.classes, parameters)
    if scale.kind is Kind.OPEN:
        return _open(opinions, scale.size, parameters) if opinions else {}
    raise ValueError("a numeric scale has no posterior over symbols")


def weights_of(distribution: Mapping[str, float] | None, symbol: str) -> dict[str, int]:
    """A label's posterior in mills, the fact by which its answers are judged; all on `symbol` where it has none.

    What the distribution leaves to values that nobody gave is under the empty name. What rounds to nothing goes to the
    decided value, so the mills of a label always add up to 1000.
    """
    shares = dict(distribution or {symbol: 1.0})
    shares[ANY] = max(1.0 - math.fsum(shares.values()), 0.0)
    mills = {name: round(share * MILLS) for name, share in sorted(shares.items()) if name != symbol}
    kept = {name: weight for name, weight in mills.items() if weight > 0}
    return {symbol: max(MILLS - sum(kept.values()), 0), **kept}


def judge(
    symbol: str, truth: str, weights: Mapping[str, int], kind: Kind, *, near: bool
) -> dict[Cell, tuple[int, int]]:
    """The cells that one judged answer adds to: (truth, answered) -> (answers, mills).

    Args:
        symbol: what was answered.
        truth: what the label says.
        weights: the label's posterior in mills.
        kind: on a closed scale confusions are kept; on the others only equal or not.
        near: on a numeric scale, whether the answer is within the tolerance of the label.
    """
    if kind is Kind.CLOSED:
        return {(name, symbol): (int(name == truth), weight) for name, weight in weights.items()}
    if kind is Kind.NUMERIC:
        return {(ANY, EQUAL if near else OTHER): (1, MILLS)}
    equal = weights.get(symbol, 0)
    cells = {(ANY, EQUAL): (int(symbol == truth), equal), (ANY, OTHER): (int(symbol != truth), MILLS - equal)}
    return {cell: found for cell, found in cells.items() if any(found)}
