"""What an opinion of each person tells, and what to expect of opinions where those who tell more are asked more.

An opinion tells as much as it is expected to lower the uncertainty about the class of an item nobody has seen: the
mutual information of answer and class, in nats, under the snapshot's columns and class mix (Lindley 1956). Somebody who
answers at random has none, somebody who confuses every class with its opposite as much as somebody who never errs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.qc.domain.answers import Floats

Column = Sequence[float]
TINY = 1e-9
NEWS = 0.1
"""By how much, of itself, a worth must change to be told again."""
MOST = 1000
"""People that a crowd is described by, at most: those with the most answers."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who could be asked.

    Attributes:
        expected: (answered, truth); what each answer of whoever is asked would add to the scores.
        worth: what an opinion of each tells, in nats.
    """

    expected: Sequence[Column]
    worth: Mapping[str, float] = field(default_factory=dict)

    def news(self, told: Mapping[str, float]) -> dict[str, float]:
        """The worths that differ clearly from those that were told."""
        return {name: one for name, one in self.worth.items() if abs(one - told.get(name, -1.0)) > NEWS * one}


def worths(likely: Floats, prior: Floats) -> Floats:
    """The information of an answer, in nats; (people,).

    Args:
        likely: (people, answered, truth); P(answer | truth).
        prior: (truth,); P(truth).
    """
    both = likely * prior
    found: Floats = (both * np.log(np.maximum(likely, TINY) / np.maximum(both.sum(axis=2, keepdims=True), TINY))).sum(
        axis=(1, 2)
    )
    return np.maximum(found, 0.0)


def crowd_of(
    names: Sequence[str], logs: Floats, prior: Floats, answers: Floats, *, heat: float, prefer: float
) -> Crowd:
    """A crowd whose people are asked in proportion to how much they answer, and to their worth to the power `prefer`.

    Args:
        names: of the people, in the order of the arrays.
        logs: (people, answered, truth); log P(answer | truth).
        prior: (truth,); P(truth).
        answers: (people,); how many each gave.
        heat: the exponent of the likelihood.
        prefer: 0: anybody alike.
    """
    likely = np.exp(logs)
    likely /= likely.sum(axis=1, keepdims=True)
    found = worths(likely, prior)
    weights = np.maximum(found, TINY) ** prefer * answers
    mixed = (likely * (weights / weights.sum())[:, None, None]).sum(axis=0)
    expected: list[Column] = (heat * np.log(np.maximum(mixed, TINY))).tolist()
    return Crowd(expected, dict(zip(names, found.tolist(), strict=True)))
