"""The order of the queue: one score, higher first.

    score = uncertainty + 2 * urgency - created / day

- `uncertainty`, 0 to 1: the mean of `1 - margin` and `entropy / ln(classes)` of the model's distribution, or
  `1 - confidence` where it gave none; 1 for an abstention (nothing is known) and for audits (certificates wait for
  them; and one value for all tells nobody that a task is an audit of a sure prediction).
- `urgency`, 0 to 1: of the relabel request; a doubted label outranks every first look.
- `created / day`: the item's age. One day of waiting outweighs the whole range of uncertainty, so nothing starves.
  Every score ages at the same rate, so the item's creation time, in days since `EPOCH`, stands for its age, and a
  stored score never has to be touched as time goes by.

Rounds that somebody has begun come before untouched ones, whatever their score: an item half done is a label late.
Sources: Settles, Active Learning Literature Survey (2009), sections 3.1 (margin, entropy).
"""

import math
from datetime import UTC, datetime

from services.assignment.domain.guess import Guess

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
DAY_S = 86_400.0
URGENCY_WEIGHT = 2.0
LEAST_CLASSES = 2


def uncertainty(guess: Guess | None) -> float:
    """How little the model knows: 0 (sure) to 1 (nothing)."""
    if guess is None or guess.value is None or guess.confidence is None:
        return 1.0
    parts = []
    if guess.margin is not None:
        parts.append(1.0 - guess.margin)
    classes = len(guess.distribution or ())
    if guess.entropy is not None and classes >= LEAST_CLASSES:
        parts.append(min(1.0, guess.entropy / math.log(classes)))
    return sum(parts) / len(parts) if parts else 1.0 - guess.confidence


def priority(guess: Guess | None, created_at: datetime, *, urgency: float = 0.0, audit: bool = False) -> float:
    """The score of a round; see the module's page."""
    doubt = 1.0 if audit else uncertainty(guess)
    return doubt + URGENCY_WEIGHT * urgency - (created_at - EPOCH).total_seconds() / DAY_S
