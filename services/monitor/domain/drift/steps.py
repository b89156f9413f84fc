"""Many events of a detector in one go: R' = (g R + 1) L, event after event, is R' = A R + B for all of them.

Where there are few different events, A and B of every word of some events are worked out once, and a block is a few
words. Otherwise the ratios of some runs of events are multiplied side by side.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]
RUN = 8
"""Events whose ratios are multiplied one by one, for all runs of a block at once; then the runs are."""
LONGEST, MOST_BYTES = 6, 1 << 18
"""Events in a word, and what the tables of all words may take: more would not stay in a processor's own memory."""
_ONES = np.ones(RUN)
_dots: Any = np.vecdot  # its stub knows no axis


class Steps(Protocol):
    """How a block is taken in."""

    def after(self, r: Floats, rows: Rows) -> Floats:
        """(alternatives,) R after events, one or more, that are given by their rows in the table of ratios."""
        ...


def steps(ratios: Floats, fading: Floats) -> Steps:
    """What is fastest.

    Args:
        ratios: (events, alternatives) L.
        fading: (alternatives,) g.
    """
    kinds, bytes_each = len(ratios), 2 * fading.nbytes
    length = 1
    while length < LONGEST and kinds ** (length + 1) * bytes_each <= MOST_BYTES:
        length += 1
    return Words(ratios, fading, length) if length > 1 else Runs(ratios, fading)


class Words:
    """Tables of A and B for all words of `length` events; word a, b, c of k different events is row (a k + b) k + c."""

    def __init__(self, ratios: Floats, fading: Floats, length: int) -> None:
        kinds, width = ratios.shape
        self._kinds, self._length = kinds, length
        self._places = kinds ** np.arange(length - 1, -1, -1)
        faded = ratios * fading
        a, b = faded, ratios
        self._shorter = []
        for _ in range(length - 1):
            self._shorter.append((a, b))
            a = (a[:, None] * faded).reshape(-1, width)
            b = (b[:, None] * faded + ratios).reshape(-1, width)
        self._a, self._b = a, b

    def after(self, r: Floats, rows: Rows) -> Floats:
        """See `Steps`."""
        rest = len(rows) % self._length
        if rest:
            word = 0
            for row in rows[:rest].tolist():
                word = word * self._kinds + row
            a, b = self._shorter[rest - 1]
            r = a[word] * r + b[word]
        if rest == len(rows):
            return r
        words = rows[rest:].reshape(-1, self._length)[::-1] @ self._places
        later, b = self._a.take(words, axis=0), self._b.take(words, axis=0)
        np.multiply.accumulate(later, axis=0, out=later)
        result: Floats = later[-1] * r + b[0] + _dots(later[:-1], b[1:], axis=0)
        return result


class Runs:
    """Products of ratios: A is that of all, and B the sum of those of the last 1, 2, ... events over g.

    Cumulative products wait for each other; those of all runs are independent.
    """

    def __init__(self, ratios: Floats, fading: Floats) -> None:
        self._faded, self._fading = ratios * fading, fading

    def after(self, r: Floats, rows: Rows) -> Floats:
        """See `Steps`."""
        rest = len(rows) % RUN
        if rest:
            products = np.multiply.accumulate(self._faded.take(rows[rest - 1 :: -1], axis=0), axis=0)
            r = products[-1] * r + products.sum(axis=0) / self._fading
        if rest == len(rows):
            return r
        parts = self._faded.take(rows[: rest - 1 if rest else None : -1].reshape(-1, RUN).T, axis=0)
        for k in range(1, RUN):
            np.multiply(parts[k], parts[k - 1], out=parts[k])
        totals = (_ONES @ parts.reshape(RUN, -1)).reshape(parts.shape[1:])
        products = np.multiply.accumulate(parts[-1], axis=0)
        total = totals[0] + np.einsum("ij,ij->j", totals[1:], products[:-1])
        result: Floats = products[-1] * r + total / self._fading
        return result
