"""The order of the queue: one score, higher first. Its weights are the policy's (`policy.order`).

    score = value + spread + urgency_weight * urgency - created / age_days

- `value`, 0 to 1: the weighted mean of what the policy asks for of
  - `least_confidence`: 1 - confidence, stretched so that an even distribution is 1;
  - `margin`: 1 - the gap between the two best classes;
  - `entropy`: of the distribution, of the greatest that it could have;
  - `disagreement`: the chance that two of the project's people answer differently, by the model's distribution and by
    how people are known to confuse classes, of the greatest that it could be;
  - `random`: a draw of the item's own.
  Where the model gave no distribution, its confidence alone speaks. An abstention is 1: nothing is known. For the items
  that chance has drawn to be explored the value is another draw, whatever the model or other items say: people's
  answers to those are a fair sample of the stream at any time, and they come up more the surer the model is of the
  rest. Beside them what is held out from training is 0 once a model has said something: labels of it make no model
  surer, so doubt would ask for ever more of it, and the trainer's gate is served best by what chance has drawn
  (decision 103). Audits have the policy's value, so that nobody can tell that a task is an audit of a sure prediction.
- `spread`, -1 to 1: what other items say (domain/spread.py): up for what is far from all that was queued lately, down
  for what is nearly the same as something that was.
- `urgency`, 0 to 1: of the relabel request; a doubted label outranks every first look.
- `created / age_days`: the item's age. So many days of waiting outweigh the whole range of value, so nothing starves.
  Every score ages at the same rate, so the item's creation time, since `EPOCH`, stands for its age, and a stored score
  never has to be touched as time goes by.

Rounds that somebody has begun come before untouched ones, whatever their score: an item half done is a label late.
Sources: Settles, Active Learning Literature Survey (2009), sections 3.1 (margin, entropy) and 3.2 (disagreement).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.assignment.domain.draws import Draws
from services.assignment.domain.guess import Guess
from shared.events import Order

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
DAY_S = 86_400.0
LEAST_CLASSES = 2
USUAL = Order()
"""The order of a policy that says nothing about it."""
NO_DRAWS = Draws(1.0, 1.0)

Confusions = Mapping[str, Mapping[str, float]]
"""Truth -> answer -> P(answer | truth), over the project's people; a class that is missing is answered rightly."""


@dataclass(frozen=True, slots=True)
class Standpoint:
    """What an item is ordered by, besides its prediction.

    Attributes:
        order: of its policy; None is the usual one.
        draws: of the item.
        confusions: of the project's people.
        spread: what other items say.
    """

    order: Order | None = None
    draws: Draws = NO_DRAWS
    confusions: Confusions = field(default_factory=dict)
    spread: float = 0.0


NOWHERE = Standpoint()


def value(guess: Guess | None, at: Standpoint, *, audit: bool = False) -> float:
    """How much a label of the item is worth: 0 to 1."""
    order = at.order or USUAL
    if _explored(order, at.draws):
        return at.draws.order
    if audit:
        return order.audits
    if order.explore > 0.0 and guess is not None and guess.held_out and guess.value is not None:
        return 0.0
    known = {"random": at.draws.order} | figures(guess, at.confusions)
    return math.fsum(getattr(order, name) * figure for name, figure in known.items()) / weight_of_all(order)


FIGURES = ("least_confidence", "margin", "entropy", "disagreement")


def weight_of_all(order: Order) -> float:
    """The sum of the weights of what is averaged; 1 where there is none."""
    return math.fsum(getattr(order, name) for name in (*FIGURES, "random", "diversity")) or 1.0


def figures(guess: Guess | None, confusions: Confusions) -> dict[str, float]:
    """What the model's prediction says, by name: each 0 (sure) to 1 (nothing is known)."""
    if guess is None or guess.value is None or guess.confidence is None:
        return dict.fromkeys(FIGURES, 1.0)
    doubt = 1.0 - guess.confidence
    classes = len(guess.distribution or ())
    if guess.distribution is None or classes < LEAST_CLASSES:
        found = dict.fromkeys(FIGURES, doubt)
        return found if guess.margin is None else found | {"margin": 1.0 - guess.margin}
    even = 1.0 - 1.0 / classes
    entropy = guess.entropy if guess.entropy is not None else _entropy(guess.distribution)
    return {
        "least_confidence": min(1.0, doubt / even),
        "margin": 1.0 - guess.margin if guess.margin is not None else doubt,
        "entropy": min(1.0, entropy / math.log(classes)),
        "disagreement": min(1.0, _disagreement(guess.distribution, confusions) / even),
    }


def priority(
    guess: Guess | None,
    created_at: datetime,
    *,
    urgency: float = 0.0,
    audit: bool = False,
    at: Standpoint = NOWHERE,
) -> float:
    """The score of a round; see the module's page."""
    order = at.order or USUAL
    age = (created_at - EPOCH).total_seconds() / DAY_S / order.age_days
    spread = 0.0 if _explored(order, at.draws) else at.spread
    return value(guess, at, audit=audit) + spread + order.urgency * urgency - age


def _explored(order: Order, draws: Draws) -> bool:
    return draws.explore < order.explore


def _entropy(distribution: Mapping[str, float]) -> float:
    return -math.fsum(p * math.log(p) for p in distribution.values() if p > 0.0)


def _disagreement(distribution: Mapping[str, float], confusions: Confusions) -> float:
    """1 - the sum over answers of P(answer) squared (Gini)."""
    answers: dict[str, float] = {}
    for truth, share in distribution.items():
        for answer, given in confusions.get(truth, {truth: 1.0}).items():
            answers[answer] = answers.get(answer, 0.0) + share * given
    return max(0.0, 1.0 - math.fsum(p * p for p in answers.values()))
