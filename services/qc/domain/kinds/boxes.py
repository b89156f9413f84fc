"""Boxes, turned ones too: intersection over union, and one box of several."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely

from services.qc.domain.answers import Floats, Ints
from services.qc.domain.kinds.clusters import Alike
from services.qc.domain.kinds.grouped import Grouped
from services.qc.domain.kinds.intervals import overlapping
from services.qc.domain.kinds.weighted import weighted_median

ALL_PAIRS = 1_000_000
"""Pairs of boxes above which a tree of them is faster than looking at all."""

AT_ONCE = 4_000
"""Pairs of turned boxes that are looked at in one go; they fit a processor's cache."""


class Rect(NamedTuple):
    """Top-left corner and size before it is turned, in pixels; clockwise degrees about the centre."""

    x: float
    y: float
    width: float
    height: float
    rotation: float = 0.0


def rows_of(rects: Sequence[Rect]) -> Floats:
    """(rects, 5)."""
    return np.array(rects, dtype=np.float64).reshape(-1, 5)


def _upright(rows: Floats) -> tuple[Floats, bool]:
    """Left, top, right, bottom of what each box covers; and whether all stand upright, so that this is all of them."""
    half_width, half_height = rows[:, 2] / 2, rows[:, 3] / 2
    x, y = rows[:, 0] + half_width, rows[:, 1] + half_height
    turned = rows[:, 4] % 180.0
    if turned.any():
        angle = np.radians(turned)
        cosine, sine = np.abs(np.cos(angle)), np.abs(np.sin(angle))
        half_width, half_height = half_width * cosine + half_height * sine, half_width * sine + half_height * cosine
    return np.stack([x - half_width, y - half_height, x + half_width, y + half_height]), not (turned % 90.0).any()


def corners(rows: Floats) -> Floats:
    """(boxes, 4, 2); in the order in which y down makes them clockwise."""
    angle = np.radians(rows[:, 4])
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * rows[:, 2:3] / 2
    across = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * rows[:, 3:4] / 2
    middle_ = rows[:, :2] + rows[:, 2:4] / 2
    return np.stack(
        [middle_ - along - across, middle_ + along - across, middle_ + along + across, middle_ - along + across], axis=1
    )


def iou(left: Floats, right: Floats) -> Floats:
    """Intersection over union of each pair.

    Args:
        left: (n, 5); as `Rect`.
        right: (m, 5).

    Returns:
        (n, m).
    """
    (one, upright), (two, standing) = _upright(left), _upright(right)
    at, to = near(one, two)
    found = np.zeros((len(left), len(right)))
    found[at, to] = _shares(left, right, (one, two) if upright and standing else None, at, to)
    return found


def likeness(rows: Floats) -> Alike:
    """Intersection over union of all with each other; (n, 5)."""
    bounds, upright = _upright(rows)
    at, to = near_each_other(bounds)
    return Alike(at, to, _shares(rows, rows, (bounds, bounds) if upright else None, at, to))


def _shares(left: Floats, right: Floats, bounds: tuple[Floats, Floats] | None, at: Ints, to: Ints) -> Floats:
    """Intersection over union of pairs; `bounds` of upright boxes alone."""
    if bounds:
        one, two = bounds
        wide = np.minimum(one[2, at], two[2, to]) - np.maximum(one[0, at], two[0, to])
        shared = wide * (np.minimum(one[3, at], two[3, to]) - np.maximum(one[1, at], two[1, to]))
    else:
        shared = np.empty(len(at))
        for low in range(0, len(at), AT_ONCE):
            part = slice(low, low + AT_ONCE)
            shared[part] = shared_by_turned(left[at[part]], right[to[part]])
    areas = left[:, 2] * left[:, 3], right[:, 2] * right[:, 3]
    found: Floats = shared / np.maximum(areas[0][at] + areas[1][to] - shared, np.finfo(float).tiny)
    return found


def shared_by_turned(left: Floats, right: Floats) -> Floats:
    """The area that boxes share, pair by pair, by Green's theorem: what lies within the left one below each edge.

    Seen from the left box, which then stands upright around 0, 0, that is the integral of the height along the edges of
    the right one, no height or place beyond the rim.

    Args:
        left: (pairs, 5); as `Rect`.
        right: (pairs, 5).
    """
    away = right[:, :2] + right[:, 2:4] / 2 - left[:, :2] - left[:, 2:4] / 2
    turn = np.radians(left[:, 4])
    cosine, sine = np.cos(turn), np.sin(turn)
    seen = right.copy()
    seen[:, 0] = cosine * away[:, 0] + sine * away[:, 1] - right[:, 2] / 2
    seen[:, 1] = cosine * away[:, 1] - sine * away[:, 0] - right[:, 3] / 2
    seen[:, 4] -= left[:, 4]
    x, y = np.ascontiguousarray(corners(seen).T)  # each (4, pairs)
    wide, high = left[:, 2] / 2, left[:, 3] / 2
    dx, dy = np.roll(x, -1, axis=0) - x, np.roll(y, -1, axis=0) - y
    begin = np.clip(x, -wide, wide)
    along = np.roll(begin, -1, axis=0) - begin
    steep = dy / np.where(dx == 0.0, 1.0, dx)
    one = y + (begin - x) * steep
    two = one + along * steep
    low, top = np.clip(one, -high, high), np.clip(two, -high, high)
    inner, before, after = np.abs(top - low), np.abs(one - low), np.abs(two - top)
    parts = inner + before + after  # of the edge, and how high it is there
    mean = (inner * (low + top) / 2 + before * low + after * top) / np.where(parts == 0.0, 1.0, parts)
    found: Floats = np.abs((along * np.where(parts == 0.0, low, mean)).sum(axis=0))
    return found


def near(one: Floats, two: Floats) -> tuple[Ints, Ints]:
    """The pairs of upright boxes that share some area.

    Args:
        one: (4, n); left, top, right, bottom.
        two: (4, m).

    Returns:
        Indices into one and into two.
    """
    if one.shape[1] * two.shape[1] <= ALL_PAIRS:
        found = (two[0] < one[2, :, None]) & (two[2] > one[0, :, None])
        found &= (two[1] < one[3, :, None]) & (two[3] > one[1, :, None])
        at, to = np.divmod(np.flatnonzero(found), two.shape[1])
        return at.astype(np.int32), to.astype(np.int32)
    finite = np.flatnonzero(np.isfinite(two).all(axis=0)), np.flatnonzero(np.isfinite(one).all(axis=0))
    tree, asked = shapely.STRtree(shapely.box(*two[:, finite[0]])), shapely.box(*one[:, finite[1]])
    where, what = tree.query(asked)
    at, to = finite[1][where], finite[0][what]
    kept = (two[0, to] < one[2, at]) & (two[2, to] > one[0, at]) & (two[1, to] < one[3, at]) & (two[3, to] > one[1, at])
    return at[kept].astype(np.int32), to[kept].astype(np.int32)


def near_each_other(bounds: Floats) -> tuple[Ints, Ints]:
    """The pairs of upright boxes, (4, n), that share some area, each once: indices, the lesser first."""
    left, top, right, bottom = bounds
    if len(left) ** 2 <= ALL_PAIRS:
        one, two = overlapping(left, right)
        shared = (top[one] < bottom[two]) & (top[two] < bottom[one])
        one, two = one[shared].astype(np.int32), two[shared].astype(np.int32)
        return np.minimum(one, two), np.maximum(one, two)
    at, to = near(bounds, bounds)
    half = at < to
    return at[half], to[half]


def fused(rows: Floats, weights: Floats, sizes: Sequence[int]) -> list[Rect]:
    """One box of each group: each edge a robust weighted mean; turned ones by centre, size and direction.

    A box turned by 90 degrees with its sides exchanged is the same box, so directions are averaged on the circle of a
    quarter turn, and each box is read in the way that is nearest to the mean.

    Args:
        rows: (boxes, 5); groups one after the other.
        weights: (boxes,); positive; inverse standard deviations.
        sizes: (groups,); boxes of each.
    """
    grouped, precision = Grouped.of(sizes), weights**2
    turned = grouped.sums((rows[:, 4] % 180.0 != 0.0).astype(np.float64)) > 0.0
    found = np.empty((len(turned), 5))
    for sort, way in ((False, _fused_upright), (True, _fused_turned)):
        which = turned == sort
        if which.any():
            own = which[grouped.group]
            found[which] = way(rows[own], precision[own], Grouped.of(grouped.sizes[which]))
    return [Rect(*row) for row in found.tolist()]


def _scales(rows: Floats, grouped: Grouped) -> Floats:
    found: Floats = 0.02 * grouped.sums(np.sqrt(rows[:, 2] * rows[:, 3])) / grouped.sizes
    return found


def _fused_upright(rows: Floats, precision: Floats, grouped: Grouped) -> Floats:
    edges = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    middle = grouped.centres(edges, precision, _scales(rows, grouped))
    return np.concatenate([middle[:, :2], middle[:, 2:] - middle[:, :2], np.zeros((len(middle), 1))], axis=1)


def _fused_turned(rows: Floats, precision: Floats, grouped: Grouped) -> Floats:
    angle = _directions(rows[:, 4], precision, grouped)[grouped.group]
    quarters = np.round((angle - rows[:, 4]) / 90.0)
    turned = rows[:, 4] + 90.0 * quarters
    size = np.where((quarters % 2 != 0.0)[:, None], rows[:, [3, 2]], rows[:, 2:4])
    where = np.concatenate([rows[:, :2] + rows[:, 2:4] / 2, size], axis=1)
    middle = grouped.centres(where, precision, _scales(rows, grouped))
    rotation = grouped.centres(turned[:, None], precision, np.full(len(middle), 2.0))[:, 0]
    return _as_most(middle, rotation, rows[:, 4], precision, grouped)


def _directions(degrees: Floats, weights: Floats, grouped: Grouped) -> Floats:
    """The middles of directions on the circle of a quarter turn: means, then medians of the differences to them."""
    turns = 4.0 * np.radians(degrees)
    mean = np.arctan2(grouped.sums(weights * np.sin(turns)), grouped.sums(weights * np.cos(turns)))
    mean = np.degrees(mean) / 4.0
    apart = (degrees - mean[grouped.group] + 45.0) % 90.0 - 45.0
    found: Floats = mean + weighted_median(grouped.dense(apart, np.inf), grouped.dense(weights))
    return found


def _as_most(middle: Floats, rotation: Floats, drawn: Floats, weights: Floats, grouped: Grouped) -> Floats:
    """The same boxes, told by the quarter turns that the drawn ones are nearest to; (groups, 5)."""
    turned = rotation + 90.0 * np.arange(4)[:, None]
    off = np.abs((drawn - turned[:, grouped.group] + 180.0) % 360.0 - 180.0)
    quarter = np.argmin([grouped.sums(weights * each) for each in off], axis=0)
    size = np.where((quarter % 2 != 0)[:, None], middle[:, [3, 2]], middle[:, 2:])
    told = (turned[quarter, np.arange(len(middle))] + 180.0) % 360.0 - 180.0
    return np.concatenate([middle[:, :2] - size / 2, size, told[:, None]], axis=1)


class BoxGeometry:
    """Boxes for the engine; see `clusters.Geometry`."""

    least = 0.4

    def similarity(self, left: Sequence[Rect], right: Sequence[Rect]) -> Floats:
        """Intersection over union."""
        return iou(rows_of(left), rows_of(right))

    def likeness(self, extents: Sequence[Rect]) -> Alike:
        """See `likeness`."""
        return likeness(rows_of(extents))

    def fuse(self, extents: Sequence[Rect], weights: Floats) -> Rect:
        """See `fused`."""
        return fused(rows_of(extents), weights, [len(extents)])[0]

    def fuse_all(self, groups: Sequence[Sequence[Rect]], weights: Sequence[Floats]) -> list[Rect]:
        """See `fused`."""
        rows = rows_of([each for group in groups for each in group])
        return fused(rows, np.concatenate(weights), [len(group) for group in groups])
