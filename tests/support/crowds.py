"""Made-up crowds with a known truth, for the batch methods."""

from collections.abc import Sequence

import numpy as np

from services.qc.domain.answers import Answers, Floats, Ints, answers_of


def crowd(
    people: Sequence[Floats], *, items: int, opinions: int, seed: int = 0, mix: Sequence[float] | None = None
) -> tuple[Answers, Ints]:
    """Answers and truth; `people` are confusion matrices (truth, answered), each item asks some of them at random."""
    rng = np.random.default_rng(seed)
    classes = len(people[0])
    truth = rng.choice(classes, items, p=mix).astype(np.int32)
    item = np.repeat(np.arange(items, dtype=np.int32), opinions)
    annotator = np.concatenate([rng.choice(len(people), opinions, replace=False) for _ in range(items)])
    shares = np.stack(people)[annotator, truth[item]].cumsum(axis=1)
    symbol = np.minimum((shares < rng.random(len(item))[:, None]).sum(axis=1), classes - 1)
    return answers_of(item, annotator, symbol, (items, len(people), classes)), truth


def coin(accuracy: float, classes: int = 2) -> Floats:
    """Right this often, otherwise any other class."""
    found = np.full((classes, classes), (1.0 - accuracy) / (classes - 1))
    np.fill_diagonal(found, accuracy)
    return found


def constant(classes: int, answer: int) -> Floats:
    """Always the same answer."""
    found = np.zeros((classes, classes))
    found[:, answer] = 1.0
    return found


def accuracy(posterior: Floats, truth: Ints) -> float:
    return float((posterior.argmax(axis=1) == truth).mean())
