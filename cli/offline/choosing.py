"""Whose recorded answer comes next, where the people who answered an item are asked by what their opinions tell."""

from collections.abc import Container, Iterator, Mapping

import numpy as np

from services.assignment.domain.fit import drawn
from services.qc.domain.answers import Answers

Given = tuple[int, int, int]
"""Item, annotator, symbol."""


def arriving(answers: Answers, seed: int) -> Iterator[Given]:
    """Everything that was recorded, in an order drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(answers))
    columns = (column[order].tolist() for column in (answers.item, answers.annotator, answers.symbol))
    return zip(*columns, strict=True)


class Choosing:
    """One opinion after the other on each open item, in rounds over the items in an order drawn anew.

    Args:
        answers: one by each annotator to an item at most.
        seed: of all that is drawn.
        prefer: the power of the worth.
        ended: items that take no more for now.

    Attributes:
        worth: by annotator, as far as they are known; others count as the mean.
    """

    def __init__(self, answers: Answers, seed: int, prefer: float, ended: Container[int]) -> None:
        self._chance = np.random.default_rng(seed)
        self._prefer = prefer
        self._ended = ended
        self._left: list[list[tuple[int, int]]] = [[] for _ in range(answers.items)]
        for item, annotator, symbol in arriving(answers, seed):
            self._left[item].append((annotator, symbol))
        self.worth: Mapping[str, float] = {}

    def __iter__(self) -> Iterator[Given]:
        while waiting := [item for item, left in enumerate(self._left) if left and item not in self._ended]:
            self._chance.shuffle(waiting)
            for item in waiting:
                if item not in self._ended:
                    yield (item, *self._left[item].pop(self._place(item)))

    def _place(self, item: int) -> int:
        left = self._left[item]
        if not self.worth or len(left) == 1:
            return len(left) - 1
        people = [str(annotator) for annotator, _ in left]
        return people.index(drawn(people, self.worth, prefer=self._prefer, chance=self._chance.random()))
