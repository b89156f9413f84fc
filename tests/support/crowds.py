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


def two_kinds(people: int, *, items: int, opinions: int, seed: int = 0) -> tuple[Answers, Ints]:
    """Two classes; a third of the items are of the first and hard: people answer them by chance."""
    easy, hard = coin(0.98), np.full((2, 2), 0.5)
    share = items // 3
    first, truth = crowd([easy] * people, items=items - share, opinions=opinions, seed=seed)
    second, _ = crowd([hard] * people, items=share, opinions=opinions, seed=seed + 1)
    columns = (
        np.concatenate([first.item, second.item + first.items]),
        np.concatenate([first.annotator, second.annotator]),
        np.concatenate([first.symbol, second.symbol]),
    )
    return answers_of(*columns, (items, people, 2)), np.concatenate([truth, np.zeros(share, dtype=np.int32)])


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
