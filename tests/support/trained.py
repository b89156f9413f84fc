"""Digits as feature vectors with the labels that people give them: what the trainer's tests learn from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from shared.bus.records import Outgoing, outgoing
from shared.events import FeaturesContent, Item, Label, Path
from shared.labels import Choice
from shared.topics import ITEMS, LABELS

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Digit:
    """One picture as 64 numbers, and what its writer meant."""

    number: int
    content: FeaturesContent
    truth: str

    @property
    def item_id(self) -> str:
        return f"d{self.number}"


@cache
def digits() -> tuple[Digit, ...]:
    """All 1,797 in an order drawn once."""
    rows, truths = load_digits(return_X_y=True)
    order = np.random.default_rng(5).permutation(len(rows))
    return tuple(
        Digit(number, FeaturesContent(features=tuple(map(float, rows[place]))), str(truths[place]))
        for number, place in enumerate(order.tolist())
    )


def as_items(project: str, some: Iterable[Digit], at: datetime) -> list[Outgoing]:
    made = [Item(project_id=project, item_id=one.item_id, content=one.content, created_at=at) for one in some]
    return [outgoing(ITEMS, one, source="test") for one in made]


def as_labels(
    project: str, some: Sequence[Digit], at: datetime, *, wrong_share: float = 0.05, seed: int = 3
) -> list[Outgoing]:
    """As people would label them, `wrong_share` of them wrongly."""
    random = np.random.default_rng([seed, len(some), some[0].number])
    made = []
    for one in some:
        said = str(random.integers(10)) if random.random() < wrong_share else one.truth
        made.append(
            Label(
                project_id=project,
                item_id=one.item_id,
                version=1,
                value=Choice(choice=said),
                path=Path.CONSENSUS,
                posterior=0.97,
                opinions=2,
                project_version=1,
                item_created_at=at,
                labelled_at=at,
            )
        )
    return [outgoing(LABELS, one, source="qc") for one in made]
