"""Consensus on a scale without a list of classes: people differ in their accuracy only, and any value may be the truth.

The accuracy of an annotator is shrunk to the crowd's, which is anchored; what the item itself added to its annotators'
counts is left out again (cavity). Cost: O(opinions * values given).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.qc.domain.counts import MILLS, Confusion, Parameters

TINY = 1e-6
NOBODY = Confusion()


@dataclass(frozen=True, slots=True)
class Opinion:
    """One answer as the models see it.

    `counted` is the posterior in mills (truth -> mills) by which this very answer was judged already, where its item
    has a label; on an open scale it is taken out of the annotator's counts before the annotator's word is weighed.
    """

    annotator_id: str
    symbol: str
    counted: Mapping[str, int] = field(default_factory=dict)


def crowd_accuracy(parameters: Parameters, size: int) -> float:
    """The crowd's accuracy, anchored, and never below the floor."""
    priors, crowd = parameters.priors, parameters.crowd
    measured = (crowd.correct + priors.accuracy_answers * priors.accuracy) / (crowd.total + priors.accuracy_answers)
    return max(measured, _floor(parameters, size))


def _floor(parameters: Parameters, size: int) -> float:
    return 1.0 / size + parameters.priors.floor * (1.0 - 1.0 / size)


def own_accuracy(opinion: Opinion, parameters: Parameters, size: int) -> float:
    """The annotator's accuracy, shrunk to the crowd's, strictly between 0 and 1; without what this opinion added."""
    own = parameters.annotators.get(opinion.annotator_id, NOBODY)
    total, correct = own.total, own.correct
    if opinion.counted:
        total, correct = max(total - 1.0, 0.0), max(correct - opinion.counted.get(opinion.symbol, 0) / MILLS, 0.0)
    priors = parameters.priors
    shrunk = (correct + priors.own_answers * crowd_accuracy(parameters, size)) / (total + priors.own_answers)
    return min(shrunk, 1.0 - TINY)


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


def open_posterior(opinions: Sequence[Opinion], size: int, parameters: Parameters) -> dict[str, float]:
    """P(value) over the values given; what is missing to 1 is the chance that nobody gave the true one.

    Args:
        opinions: at least one.
        size: how many values there are.
        parameters: the snapshot.
    """
    symbols = tuple(sorted({opinion.symbol for opinion in opinions}))
    whole = max(size, len(symbols) + 1)
    rest = whole - len(symbols)
    prior = [0.0] * len(symbols) + [math.log(rest)]
    columns = []
    for opinion in opinions:
        accuracy = max(own_accuracy(opinion, parameters, whole), _floor(parameters, whole))
        wrong = math.log(max((1.0 - accuracy) / (whole - 1), TINY))
        right = math.log(accuracy)
        columns.append([right if symbol == opinion.symbol else wrong for symbol in symbols] + [wrong])
    shares = _combine(columns, prior, parameters.priors.repeat)
    return dict(zip(symbols, shares, strict=False))
