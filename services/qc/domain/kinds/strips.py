"""Masks column by column: what pairs share is looked up in arrays instead of searched among runs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.qc.domain.answers import Ints, Whole

Places = NDArray[np.int64]
SPARSE = 4
"""Columns per run, on average, above which the columns between runs would cost too much."""
DEEPEST = 6
"""Runs in a column, above which searches are as fast."""
AT_ONCE = 16_000
"""Columns that are looked at in one go; they fit a processor's cache."""


@dataclass(frozen=True, slots=True)
class Strips:
    """The columns of several masks, one mask after the other.

    Attributes:
        left, width, offset: (masks,); the first column, how many there are, and where its columns begin.
        low, high: (runs in a column, columns of all masks); rows of each run, both 0 where there is none.
        more: (masks,); runs that are not the first of their column; column, top, bottom: (all of those,).
    """

    left: Places
    width: Places
    offset: Places
    low: Ints
    high: Ints
    more: Places
    column: Places
    top: Ints
    bottom: Ints


def strips_of(starts: Places, ends: Places, sizes: Places, height: int) -> Strips | None:
    """The columns of masks of one picture.

    Args:
        starts: (runs,); of all masks, one after the other.
        ends: (runs,).
        sizes: (masks,); runs of each.
        height: of the picture.

    Returns:
        None where a run goes on in the next column, a column has many runs, or few columns have one.
    """
    if not len(starts):
        return None
    column, there = starts // height, sizes > 0
    last = np.cumsum(sizes)[there]
    left, width = np.zeros((2, len(sizes)), dtype=np.int64)
    left[there] = column[last - sizes[there]]
    width[there] = column[last - 1] - left[there] + 1
    if width.sum() > SPARSE * len(starts) or (ends > (column + 1) * height).any():
        return None
    offset = np.cumsum(width) - width
    cell = column + np.repeat(offset - left, sizes)
    place = np.arange(len(cell))
    rank = place - np.maximum.accumulate(np.where(np.diff(cell, prepend=-1) != 0, place, 0))
    depth = int(rank.max()) + 1
    if depth > DEEPEST:
        return None
    top, bottom = (starts - column * height).astype(np.int32), (ends - column * height).astype(np.int32)
    low, high = np.zeros((2, depth, int(width.sum())), dtype=np.int32)
    low[rank, cell], high[rank, cell] = top, bottom
    later = rank > 0
    more = np.bincount(np.repeat(np.arange(len(sizes)), sizes)[later], minlength=len(sizes))
    return Strips(left, width, offset, low, high, more, column[later], top[later], bottom[later])


def by_level(at: Ints, to: Ints, level: Ints) -> tuple[Whole, Whole, Ints, Ints]:
    """Shapes that are compared at several levels of detail, once for each level.

    Args:
        at: (pairs,); indices of shapes.
        to: (pairs,); likewise.
        level: (pairs,); at which they are compared.

    Returns:
        Of each shape and level that anything is compared at, its index and the level; and where the pairs' are.
    """
    least, shapes = int(level.min(initial=0)), int(max(at.max(initial=0), to.max(initial=0))) + 1
    wanted = np.concatenate([at, to]) + np.tile(level - least, 2).astype(np.int64) * shapes
    held, place = np.unique(wanted, return_inverse=True)
    levels, which = np.divmod(held, shapes)
    return which, levels + least, place[: len(at)].astype(np.int32), place[len(at) :].astype(np.int32)


def shared(one: Strips, two: Strips, at: Ints, to: Ints) -> Places:
    """Pixels that each pair shares; (pairs,), of indices into one and two."""
    later = _laters(one, two, (at, to), len(two.low)) + _laters(two, one, (to, at), 1)
    return _firsts(one, two, at, to) + later


def _firsts(one: Strips, two: Strips, at: Ints, to: Ints) -> Places:
    """Pixels that each pair shares in the first runs of columns; (pairs,)."""
    first = np.maximum(one.left[at], two.left[to])
    number = np.maximum(np.minimum(one.left[at] + one.width[at], two.left[to] + two.width[to]) - first, 0)
    from_one, from_two = one.offset[at] + first - one.left[at], two.offset[to] + first - two.left[to]
    found = np.zeros(len(at), dtype=np.int64)
    until = np.cumsum(number)
    low = 0
    while low < len(at):
        high = max(int(np.searchsorted(until, (until[low - 1] if low else 0) + AT_ONCE, side="right")), low + 1)
        count = number[low:high]
        before = np.cumsum(count) - count
        step = np.arange(int(count.sum()))
        mine = step + np.repeat(from_one[low:high] - before, count)
        theirs = step + np.repeat(from_two[low:high] - before, count)
        rows = np.zeros(len(step) + 1, dtype=np.int32)
        tops = np.maximum(one.low[0][mine], two.low[0][theirs])
        np.maximum(np.minimum(one.high[0][mine], two.high[0][theirs]) - tops, 0, out=rows[:-1])
        found[low:high] = np.where(count > 0, np.add.reduceat(rows, before), 0)
        low = high
    return found


def _laters(one: Strips, two: Strips, pairs: tuple[Ints, Ints], depth: int) -> Places:
    """Pixels that later runs of the one have in common with so many runs of each column of the other; (pairs,)."""
    at, to = pairs
    number = one.more[at]
    pair = np.repeat(np.arange(len(at)), number)
    if not len(pair):
        return np.zeros(len(at), dtype=np.int64)
    starts = np.cumsum(one.more) - one.more
    row = np.arange(len(pair)) + np.repeat(starts[at] - np.cumsum(number) + number, number)
    other = to[pair]
    column = one.column[row] - two.left[other]
    inside = (column >= 0) & (column < two.width[other])
    pair, row, cell = pair[inside], row[inside], (column + two.offset[other])[inside]
    top, bottom = one.top[row], one.bottom[row]
    both = np.zeros(len(pair), dtype=np.int64)
    for layer in range(depth):
        both += np.maximum(np.minimum(bottom, two.high[layer][cell]) - np.maximum(top, two.low[layer][cell]), 0)
    return np.bincount(pair, both, minlength=len(at)).astype(np.int64)
