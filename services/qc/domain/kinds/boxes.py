"""Boxes, turned ones too: intersection over union, and one box of several."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.qc.domain.answers import Floats, Ints
from services.qc.domain.kinds.estimates import centre
from services.qc.domain.kinds.weighted import weighted_median

EDGE = 1e-9


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
    if left is right:  # each pair once
        half = at <= to
        at, to = at[half], to[half]
    if upright and standing:
        wide = np.minimum(one[2, at], two[2, to]) - np.maximum(one[0, at], two[0, to])
        shared = wide * (np.minimum(one[3, at], two[3, to]) - np.maximum(one[1, at], two[1, to]))
    else:
        shared = crossing(corners(left)[at], corners(right)[to])
    areas = left[:, 2] * left[:, 3], right[:, 2] * right[:, 3]
    found = np.zeros((len(left), len(right)))
    found[at, to] = shared / np.maximum(areas[0][at] + areas[1][to] - shared, np.finfo(float).tiny)
    if left is right:
        found[to, at] = found[at, to]
    return found


def near(one: Floats, two: Floats) -> tuple[Ints, Ints]:
    """The pairs of upright boxes that share some area.

    Args:
        one: (4, n); left, top, right, bottom.
        two: (4, m).

    Returns:
        Indices into one and into two.
    """
    order = np.argsort(two[0], kind="stable")
    start = np.searchsorted(two[0][order], one[0] - (two[2] - two[0]).max(initial=0.0), side="left")
    end = np.searchsorted(two[0][order], one[2], side="left")
    number = np.maximum(end - start, 0)
    at = np.repeat(np.arange(one.shape[1]), number)
    to = order[np.arange(len(at)) - np.repeat(np.cumsum(number) - number - start, number)]
    kept = (two[2, to] > one[0, at]) & (two[1, to] < one[3, at]) & (two[3, to] > one[1, at])
    return at[kept].astype(np.int32), to[kept].astype(np.int32)


def crossing(one: Floats, two: Floats) -> Floats:
    """The area that the convex quadrilaterals of each pair share, by Green's theorem along what bounds it.

    That boundary is the part of each one's edges inside the other; where edges coincide, those of the first.

    Args:
        one: (pairs, 4, 2).
        two: (pairs, 4, 2), of the same sense of rotation.
    """
    origin = one.mean(axis=1, keepdims=True)
    one, two = one - origin, two - origin
    twice = _inside(one, two, -EDGE) + _inside(two, one, EDGE)
    found: Floats = np.maximum(twice, 0.0) / 2.0
    return found


def _inside(one: Floats, two: Floats, least: float) -> Floats:
    """The sum of the cross products along the parts of one's edges inside two; those along its edges if least < 0."""
    (x, y), (u, v) = np.moveaxis(one, 2, 0), np.moveaxis(two, 2, 0)
    dx, dy, du, dv = (np.roll(each, -1, axis=1) - each for each in (x, y, u, v))
    long = np.maximum(np.hypot(du, dv), np.finfo(float).tiny)
    nx, ny = (-dv / long)[:, None], (du / long)[:, None]
    reach = (np.abs(two).max(axis=(1, 2)) + np.abs(one).max(axis=(1, 2)))[:, None, None]
    height = (x[:, :, None] * nx + y[:, :, None] * ny) - (u[:, None] * nx + v[:, None] * ny)
    climb = dx[:, :, None] * nx + dy[:, :, None] * ny
    level = np.abs(climb) <= EDGE * reach
    where = -height / np.where(level, 1.0, climb)
    start = np.where(~level & (climb > 0), where, 0.0).max(axis=2, initial=0.0)
    end = np.where(~level & (climb < 0), where, 1.0).min(axis=2, initial=1.0)
    kept = (end > start) & ~(level & (height < least * reach)).any(axis=2)
    cross = (x * dy - y * dx) * (end - start)  # of the points at start and end of each part
    found: Floats = (cross * kept).sum(axis=1)
    return found


def fused(rows: Floats, weights: Floats) -> Rect:
    """One box of several: each edge a robust weighted mean; turned ones by centre, size and direction.

    A box turned by 90 degrees with its sides exchanged is the same box, so directions are averaged on the circle of a
    quarter turn, and each box is read in the way that is nearest to the mean.

    Args:
        rows: (boxes, 5).
        weights: (boxes,); positive; inverse standard deviations.
    """
    precision = weights**2
    scale = 0.02 * float(np.sqrt(rows[:, 2] * rows[:, 3]).mean())
    if not (rows[:, 4] % 180.0).any():
        edges = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        left, top, right, bottom = centre(edges, precision, scale).tolist()
        return Rect(left, top, right - left, bottom - top)
    angle = _direction(rows[:, 4], precision)
    quarters = np.round((angle - rows[:, 4]) / 90.0)
    turned = rows[:, 4] + 90.0 * quarters
    swapped = quarters % 2 != 0
    size = np.where(swapped[:, None], rows[:, [3, 2]], rows[:, 2:4])
    where = np.concatenate([rows[:, :2] + rows[:, 2:4] / 2, size], axis=1)
    x, y, width, height = centre(where, precision, scale).tolist()
    rotation = float(centre(turned[:, None], precision, 2.0)[0])
    return _as_most(Rect(x - width / 2, y - height / 2, width, height, rotation), rows, precision)


def _direction(degrees: Floats, weights: Floats) -> float:
    """The middle of directions on the circle of a quarter turn: the mean, then the median of the differences to it."""
    turns = np.exp(4j * np.radians(degrees))
    mean = float(np.degrees(np.angle((weights * turns).sum())) / 4.0)
    apart = (degrees - mean + 45.0) % 90.0 - 45.0
    return mean + float(weighted_median(apart[:, None], weights[:, None])[0])


def _as_most(rect: Rect, rows: Floats, weights: Floats) -> Rect:
    """The same box, told by the quarter turn that the drawn ones are nearest to."""
    turned = [rect.rotation + 90.0 * quarter for quarter in range(4)]
    near = [float(weights @ np.abs((rows[:, 4] - each + 180.0) % 360.0 - 180.0)) for each in turned]
    quarter = int(np.argmin(near))
    x, y = rect.x + rect.width / 2, rect.y + rect.height / 2
    width, height = (rect.height, rect.width) if quarter % 2 else (rect.width, rect.height)
    rotation = (turned[quarter] + 180.0) % 360.0 - 180.0
    return Rect(x - width / 2, y - height / 2, width, height, rotation)


class BoxGeometry:
    """Boxes for the engine; see `clusters.Geometry`."""

    least = 0.4

    def similarity(self, left: Sequence[Rect], right: Sequence[Rect]) -> Floats:
        """Intersection over union."""
        rows = rows_of(left)
        return iou(rows, rows if left is right else rows_of(right))

    def fuse(self, extents: Sequence[Rect], weights: Floats) -> Rect:
        """See `fused`."""
        return fused(rows_of(extents), weights)
