"""Masks as run lengths: nothing here ever holds a pixel, so work and memory go by the runs that somebody sent.

Positions count down the columns, as COCO does. A mask is the starts and ends of its runs of ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from services.qc.domain.answers import Bools, Floats, Ints, Whole
from services.qc.domain.kinds.boxes import near, near_each_other
from services.qc.domain.kinds.clusters import Alike
from services.qc.domain.kinds.strips import Places, Strips, by_level, strips_of
from services.qc.domain.kinds.strips import shared as shared_of_strips

MAX_PIXELS = 100_000_000
AT_ONCE = 4_000_000
"""Runs that are looked at in one go."""
COLUMNS = 16
"""Of a mask that are enough to tell it from others."""
UNLIKE = 0.1
"""Pairs whose bounds allow no more overlap than this are taken to have none."""


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """One mask.

    Attributes:
        starts, ends: (runs,); of ones, increasing, never touching.
        height, width: of the picture.
    """

    starts: Places
    ends: Places
    height: int
    width: int

    @property
    def area(self) -> int:
        return int((self.ends - self.starts).sum())

    def counts(self) -> tuple[int, ...]:
        """COCO run lengths, the zeros first."""
        edges = np.concatenate([np.stack([self.starts, self.ends], axis=1).ravel(), [self.height * self.width]])
        found = np.diff(edges, prepend=0).tolist()
        return tuple(found if found[-1] or len(found) == 1 else found[:-1])

    def bounds(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom, the last two exclusive; zeros for an empty mask."""
        if not len(self.starts):
            return (0, 0, 0, 0)
        left, right = self.starts // self.height, (self.ends - 1) // self.height
        if (left != right).any():  # a run that turns the corner touches both rims
            return (int(left[0]), 0, int(right[-1]) + 1, self.height)
        top, bottom = (self.starts % self.height).min(), ((self.ends - 1) % self.height).max()
        return (int(left[0]), int(top), int(right[-1]) + 1, int(bottom) + 1)


def runs_of(counts: Sequence[int], height: int, width: int) -> Runs:
    """A mask from COCO run lengths.

    Raises:
        ValueError: they do not add up to the picture, or it is too large.
    """
    if height * width > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels exceed the limit of {MAX_PIXELS}")
    lengths = np.asarray(counts, dtype=np.int64)
    if lengths.size and (lengths.min() < 0 or lengths.max() > MAX_PIXELS):
        raise ValueError("a run is negative or longer than a picture may be")
    if lengths.sum() != height * width:
        raise ValueError(f"counts add up to {lengths.sum()}, not to {height * width} pixels")
    edges = np.cumsum(lengths)
    starts, ends = edges[:-1:2], edges[1::2]
    return tidy(starts[: len(ends)], ends, height, width)


def tidy(starts: Places, ends: Places, height: int, width: int) -> Runs:
    """Runs in order, without the empty ones, those that touch made one."""
    kept = ends > starts
    starts, ends = starts[kept], ends[kept]
    apart = starts[1:] > ends[:-1]
    first, last = np.concatenate([[True], apart]), np.concatenate([apart, [True]])
    size = len(starts)
    return Runs(starts[first[:size]], ends[last[:size]], height, width)


def counts_of(text: str) -> list[int]:
    """COCO's compressed counts: five bits a character, low first, each after the third less the one two before.

    Raises:
        ValueError: it is no such text.
    """
    found: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 30:  # noqa: PLR2004  # six bits; no run needs more than seven letters
            raise ValueError(f"{letter!r} does not belong to compressed run lengths")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            value -= (1 << shift) if bits & 0x10 else 0
            found.append(value + (found[-2] if len(found) > 2 else 0))  # noqa: PLR2004  # the first three stand whole
            value = shift = 0
    if shift:
        raise ValueError("compressed run lengths end in the middle of a number")
    return found


def intersections(left: Sequence[Runs], right: Sequence[Runs], at: Ints, to: Ints) -> Places:
    """Pixels that each pair shares.

    Args:
        left: of one picture.
        right: of the same.
        at: (pairs,); indices into left.
        to: (pairs,); indices into right.
    """
    one = _flat(left)
    return _intersections(one, one if left is right else _flat(right), at, to)


def _intersections(one: "_Flat", two: "_Flat", at: Ints, to: Ints) -> Places:
    first = one.strips()
    second = first if one is two else two.strips()
    if first is None or second is None:
        return _searched(one, _Covered(two), at, to)
    return shared_of_strips(first, second, at, to)


@dataclass(frozen=True)
class _Flat:
    """The runs of several masks of one picture, one mask after the other."""

    starts: Places
    ends: Places
    sizes: Places
    height: int
    pixels: int

    @cached_property
    def column(self) -> Places:
        """(runs,); where each begins."""
        return self.starts // self.height

    @property
    def turned(self) -> Bools:
        """(runs,); whether it goes on in the next column."""
        return self.ends > (self.column + 1) * self.height

    @property
    def areas(self) -> Floats:
        """(masks,)."""
        before = np.concatenate([[0], np.cumsum(self.ends - self.starts)])
        last = np.cumsum(self.sizes)
        found: Floats = (before[last] - before[last - self.sizes]).astype(np.float64)
        return found

    def strips(self) -> Strips | None:
        return strips_of(self.starts, self.ends, self.sizes, self.height)

    def edges(self) -> tuple[Floats, Floats]:
        """Bounds as `Runs.bounds` gives, (4, masks), and areas, (masks,)."""
        bounds, there = np.zeros((4, len(self.sizes))), self.sizes > 0
        if not there.any():
            return bounds, self.areas
        left, goes_on = self.column, self.turned
        right = left.copy()
        right[goes_on] = (self.ends[goes_on] - 1) // self.height
        last = np.cumsum(self.sizes)[there] - 1
        first = last + 1 - self.sizes[there]
        top = np.minimum.reduceat(self.starts - left * self.height, first)
        bottom = np.maximum.reduceat(self.ends - 1 - right * self.height, first) + 1
        turned = np.maximum.reduceat(goes_on, first)  # a run that turns the corner touches both rims
        bounds[:, there] = left[first], np.where(turned, 0, top), right[last] + 1, np.where(turned, self.height, bottom)
        return bounds, self.areas

    def coarse(self, masks: Whole, level: Whole) -> "_Flat":
        """So many masks, any of them repeatedly, with one column of 2 ** level of theirs, put together."""
        first, count = (np.cumsum(self.sizes) - self.sizes)[masks], self.sizes[masks]
        row = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count - first, count)
        owner, column = np.repeat(np.arange(len(masks)), count), self.column[row]
        kept = np.flatnonzero(column & ((1 << level) - 1)[owner] == 0)
        row, owner, column = row[kept], owner[kept], column[kept]
        away = (column - (column >> level[owner])) * self.height
        sizes = np.bincount(owner, minlength=len(masks))
        return _Flat(self.starts[row] - away, self.ends[row] - away, sizes, self.height, self.pixels)


def _flat(masks: Sequence[Runs]) -> _Flat:
    starts, ends = np.concatenate([m.starts for m in masks]), np.concatenate([m.ends for m in masks])
    sizes = np.array([len(each.starts) for each in masks], dtype=np.int64)
    return _Flat(starts, ends, sizes, masks[0].height, masks[0].height * masks[0].width)


def _searched(one: _Flat, covered: "_Covered", at: Ints, to: Ints) -> Places:
    """As `intersections`, by searching where each run of the one begins and ends among those of the other."""
    sizes = one.sizes
    offsets = np.cumsum(sizes) - sizes
    found = np.zeros(len(at), dtype=np.int64)
    until = np.cumsum(sizes[at])
    low = 0
    while low < len(at):
        high = max(int(np.searchsorted(until, (until[low - 1] if low else 0) + AT_ONCE, side="right")), low + 1)
        number = sizes[at[low:high]]
        pair = np.repeat(np.arange(high - low), number)
        row = np.arange(len(pair)) - np.repeat(np.cumsum(number) - number - offsets[at[low:high]], number)
        which = to[low:high][pair]
        share = covered.until(which, one.ends[row]) - covered.until(which, one.starts[row])
        found[low:high] = np.bincount(pair, share, minlength=high - low).astype(np.int64)
        low = high
    return found


class _Covered:
    """How many pixels of each mask lie before a position."""

    def __init__(self, masks: _Flat) -> None:
        self.pixels = masks.pixels + 1
        self.starts = masks.starts + np.repeat(np.arange(len(masks.sizes)) * self.pixels, masks.sizes)
        self.lengths = masks.ends - masks.starts
        self.before = np.concatenate([[0], np.cumsum(self.lengths)])
        self.first = np.cumsum(masks.sizes) - masks.sizes

    def until(self, which: Ints, position: Places) -> Places:
        """(queries,)."""
        last = np.searchsorted(self.starts, which.astype(np.int64) * self.pixels + position, side="left") - 1
        inside = last >= self.first[which]
        last = np.maximum(last, 0)
        whole = self.before[last] - self.before[self.first[which]]
        rest = np.minimum(position + which.astype(np.int64) * self.pixels - self.starts[last], self.lengths[last])
        found: Places = np.where(inside, whole + rest, 0)
        return found


def overlaps(left: Sequence[Runs], right: Sequence[Runs]) -> tuple[Floats, Floats, Floats]:
    """Pixels that each pair shares, (left, right); and those of each mask of either side."""
    flat = _flat(left)
    flats = flat, flat if left is right else _flat(right)
    (one, area), (two, other) = (each.edges() for each in flats)
    at, to = near(one, two)
    if left is right:
        half = at <= to
        at, to = at[half], to[half]
    shared = np.zeros((len(left), len(right)))
    if len(at):
        shared[at, to] = _intersections(*flats, at, to)
    if left is right:
        shared[to, at] = shared[at, to]
    return shared, area, other


def iou(left: Sequence[Runs], right: Sequence[Runs]) -> Floats:
    """Intersection over union of each pair; 0 for two empty masks."""
    shared, one, two = overlaps(left, right)
    found: Floats = shared / np.maximum(one[:, None] + two - shared, 1.0)
    return found


def likeness(masks: Sequence[Runs]) -> Alike:
    """About `iou` of all with each other: by some columns of wide masks; not where bounds allow next to nothing."""
    flat = _flat(masks)
    bounds, area = flat.edges()
    at, to = near_each_other(bounds)
    wide = np.minimum(bounds[2, at], bounds[2, to]) - np.maximum(bounds[0, at], bounds[0, to])
    high = np.minimum(bounds[3, at], bounds[3, to]) - np.maximum(bounds[1, at], bounds[1, to])
    most = np.minimum(np.minimum(area[at], area[to]), wide * high)
    worth = most > UNLIKE * (area[at] + area[to] - most)
    at, to = at[worth], to[worth]
    columns = np.maximum(bounds[2] - bounds[0], 1.0) * (not flat.turned.any())
    level = np.floor(np.log2(np.maximum(columns / COLUMNS, 1.0))).astype(np.int32)
    which, levels, one, two = by_level(at, to, np.maximum(level[at], level[to]))
    some = flat.coarse(which, levels)
    area, shared = some.areas, _intersections(some, some, one, two)
    found: Floats = shared / np.maximum(area[one] + area[two] - shared, 1.0)
    return Alike(at, to, found)


def dice(left: Sequence[Runs], right: Sequence[Runs]) -> Floats:
    """Dice of each pair, 2 |A and B| / (|A| + |B|); 0 for two empty masks."""
    shared, one, two = overlaps(left, right)
    found: Floats = 2.0 * shared / np.maximum(one[:, None] + two, 1.0)
    return found
