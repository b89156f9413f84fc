"""The answers of a project as arrays: what the batch methods work on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
Whole = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Answers:
    """One entry per answer, at most one by one annotator to one item.

    Attributes:
        item, annotator, symbol: shape (answers,), indices; sorted by item.
        items, annotators, classes: how many of each there are; some may have no answer.
    """

    item: Ints
    annotator: Ints
    symbol: Ints
    items: int
    annotators: int
    classes: int

    def __len__(self) -> int:
        return len(self.item)

    @cached_property
    def cell(self) -> Ints:
        """(annotator, symbol) as one index; shape (answers,)."""
        return self.annotator * np.int32(self.classes) + self.symbol

    @cached_property
    def votes(self) -> Floats:
        """How often each class was given; shape (items, classes)."""
        flat = self.item.astype(np.int64) * self.classes + self.symbol
        counted = np.bincount(flat, minlength=self.items * self.classes)
        found: Floats = counted.reshape(self.items, self.classes).astype(np.float64)
        return found

    @cached_property
    def opinions(self) -> Floats:
        """Answers per item; shape (items,)."""
        found: Floats = self.votes.sum(axis=1)
        return found

    @cached_property
    def by_item(self) -> csr_array:
        """1 where an item got an answer in a cell; shape (items, annotators * classes)."""
        starts = np.zeros(self.items + 1, dtype=np.int32)
        np.cumsum(np.bincount(self.item, minlength=self.items), out=starts[1:])
        ones = np.ones(len(self), dtype=np.float64)
        return csr_array((ones, self.cell, starts), shape=(self.items, self.annotators * self.classes))

    @cached_property
    def by_cell(self) -> csr_array:
        """The transpose of `by_item`, ready to be multiplied."""
        return self.by_item.T.tocsr()

    def only(self, kept: Bools) -> "Answers":
        """The answers where `kept` is true; items, annotators and classes keep their indices."""
        return Answers(
            self.item[kept], self.annotator[kept], self.symbol[kept], self.items, self.annotators, self.classes
        )


def answers_of(
    item: Sequence[int] | Whole,
    annotator: Sequence[int] | Whole,
    symbol: Sequence[int] | Whole,
    sizes: tuple[int, int, int],
) -> Answers:
    """Answers in the order in which they came; of repeats by one annotator to one item the last counts.

    Args:
        item: (answers,); index of the item.
        annotator: (answers,); index of who answered.
        symbol: (answers,); index of the class given.
        sizes: how many items, annotators and classes there are.

    Raises:
        ValueError: an index is out of its range.
    """
    columns = [np.asarray(column, dtype=np.int32) for column in (item, annotator, symbol)]
    for column, size, name in zip(columns, sizes, ("item", "annotator", "class"), strict=True):
        if len(column) and not 0 <= int(column.min()) <= int(column.max()) < size:
            raise ValueError(f"an {name} index is outside 0 to {size - 1}")
    items, people, symbols = columns
    key = items.astype(np.int64) * max(sizes[1], 1) + people
    _, last = np.unique(key[::-1], return_index=True)
    kept = len(key) - 1 - last  # np.unique sorts by item, then annotator
    return Answers(items[kept], people[kept], symbols[kept], *sizes)
