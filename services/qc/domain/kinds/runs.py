"""Masks as run lengths: nothing here ever holds a pixel, so work and memory go by the runs that somebody sent.

Positions count down the columns, as COCO does. A mask is the starts and ends of its runs of ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.qc.domain.answers import Floats, Ints
from services.qc.domain.kinds.boxes import near

Places = NDArray[np.int64]
MAX_PIXELS = 100_000_000
AT_ONCE = 4_000_000
"""Runs that are looked at in one go."""


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
    sizes = np.array([len(each.starts) for each in left], dtype=np.int64)
    offsets = np.cumsum(sizes) - sizes
    starts, ends = (np.concatenate([getattr(each, name) for each in left]) for name in ("starts", "ends"))
    covered = _Covered(right)
    found = np.zeros(len(at), dtype=np.int64)
    until = np.cumsum(sizes[at])
    low = 0
    while low < len(at):
        high = max(int(np.searchsorted(until, (until[low - 1] if low else 0) + AT_ONCE, side="right")), low + 1)
        number = sizes[at[low:high]]
        pair = np.repeat(np.arange(high - low), number)
        row = np.arange(len(pair)) - np.repeat(np.cumsum(number) - number - offsets[at[low:high]], number)
        which = to[low:high][pair]
        share = covered.until(which, ends[row]) - covered.until(which, starts[row])
        found[low:high] = np.bincount(pair, share, minlength=high - low).astype(np.int64)
        low = high
    return found


class _Covered:
    """How many pixels of each mask lie before a position."""

    def __init__(self, masks: Sequence[Runs]) -> None:
        self.pixels = max((each.height * each.width for each in masks), default=0) + 1
        self.starts = np.concatenate([each.starts + self.pixels * i for i, each in enumerate(masks)])
        self.lengths = np.concatenate([each.ends - each.starts for each in masks])
        self.before = np.concatenate([[0], np.cumsum(self.lengths)])
        sizes = np.array([len(each.starts) for each in masks], dtype=np.int64)
        self.first = np.cumsum(sizes) - sizes

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
    one = np.array([each.bounds() for each in left], dtype=np.float64).reshape(-1, 4).T
    two = np.array([each.bounds() for each in right], dtype=np.float64).reshape(-1, 4).T
    at, to = near(one, two)
    if left is right:
        half = at <= to
        at, to = at[half], to[half]
    shared = np.zeros((len(left), len(right)))
    if len(at):
        shared[at, to] = intersections(left, right, at, to)
    if left is right:
        shared[to, at] = shared[at, to]
    areas = [np.array([each.area for each in side], dtype=np.float64) for side in (left, right)]
    return shared, areas[0], areas[1]


def iou(left: Sequence[Runs], right: Sequence[Runs]) -> Floats:
    """Intersection over union of each pair; 0 for two empty masks."""
    shared, one, two = overlaps(left, right)
    found: Floats = shared / np.maximum(one[:, None] + two - shared, 1.0)
    return found


def dice(left: Sequence[Runs], right: Sequence[Runs]) -> Floats:
    """Dice of each pair, 2 |A and B| / (|A| + |B|); 0 for two empty masks."""
    shared, one, two = overlaps(left, right)
    found: Floats = 2.0 * shared / np.maximum(one[:, None] + two, 1.0)
    return found
