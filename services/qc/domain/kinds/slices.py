"""How alike polygons are, near enough to tell which are one: what they share along slices instead of over the plane.

Slices stand on a grid that is as fine as a polygon is small, in powers of two; a pair is compared on the coarser grid
of its two, so that equal ones share all. It is exact to some parts in a thousand.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from services.qc.domain.answers import Floats, Ints, Whole
from services.qc.domain.kinds.strips import DEEPEST, Strips, by_level
from services.qc.domain.kinds.strips import shared as shared_of_strips

FINE = 32
"""Slices through the width of a polygon: so many, or down to half of it."""
STEPS = 1 << 20
"""Heights along a slice are told in these parts of the height of all polygons."""
WITHIN = 1.0 - 1e-6


@dataclass(frozen=True, slots=True)
class Lines:
    """The edges of several polygons, those that stand upright left out.

    Attributes:
        owner: (edges,); index of the polygon.
        first, last: (edges,); x of the left end and of the right one.
        slope, height: (edges,); y is slope * x + height.
    """

    owner: Ints
    first: Floats
    last: Floats
    slope: Floats
    height: Floats

    def scaled(self, polygons: Whole, steps: Floats) -> "Lines":
        """Those of so many polygons, any of them repeatedly, with x told in steps of each one's own."""
        number = np.bincount(self.owner, minlength=int(polygons.max(initial=0)) + 1)
        count = number[polygons]
        row = np.arange(int(count.sum())) - np.repeat(
            np.cumsum(count) - count - (np.cumsum(number) - number)[polygons], count
        )
        owner = np.repeat(np.arange(len(polygons), dtype=np.int32), count)
        step = steps[owner]
        return Lines(owner, self.first[row] / step, self.last[row] / step, self.slope[row] * step, self.height[row])


def lines_of(regions: Any) -> Lines:
    """The edges of polygons of shapely, their heights from 0 to just below 1, from the left of all."""
    low, high = (np.array(each) for each in np.split(shapely.total_bounds(regions), 2))
    parts, whose = shapely.get_parts(regions, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    points = (points - low) / np.array([1.0, max(high[1] - low[1], np.finfo(float).tiny) / WITHIN])
    begin, end = points[:-1], points[1:]
    kept = (ring[1:] == ring[:-1]) & (begin[:, 0] != end[:, 0])
    begin, end = begin[kept], end[kept]
    slope = (end[:, 1] - begin[:, 1]) / (end[:, 0] - begin[:, 0])
    return Lines(
        whose[part[ring[:-1][kept]]].astype(np.int32),
        np.minimum(begin[:, 0], end[:, 0]),
        np.maximum(begin[:, 0], end[:, 0]),
        slope,
        begin[:, 1] - slope * begin[:, 0],
    )


def strips_at(lines: Lines, polygons: int) -> Strips | None:
    """What polygons hold of the slices at whole x; None where a slice meets one of them very often."""
    begin, end = np.ceil(lines.first).astype(np.int64), np.ceil(lines.last).astype(np.int64)
    left, right = np.full(polygons, np.iinfo(np.int64).max), np.zeros(polygons, dtype=np.int64)
    np.minimum.at(left, lines.owner, begin)
    np.maximum.at(right, lines.owner, end)
    left = np.minimum(left, right)
    width = right - left
    offset = np.cumsum(width) - width
    number = end - begin
    edge = np.repeat(np.arange(len(number)), number)
    column = np.arange(len(edge)) - np.repeat(np.cumsum(number) - number - begin, number)
    owner = lines.owner[edge]
    met = np.clip(lines.slope[edge] * column + lines.height[edge], 0.0, WITHIN)
    met = np.sort(offset[owner] + column - left[owner] + met)  # by slice, then by height; each is met an even time
    cell = met[::2].astype(np.int64)
    low, high = ((met[which::2] - cell) * STEPS for which in (0, 1))
    place = np.arange(len(cell))
    rank = place - np.maximum.accumulate(np.where(np.diff(cell, prepend=-1) != 0, place, 0))
    depth = int(rank.max(initial=0)) + 1
    if depth > DEEPEST:
        return None
    table = np.zeros((2, depth, int(width.sum())), dtype=np.int32)
    table[:, rank, cell] = low, high
    later = rank > 0
    whose = np.searchsorted(offset + width, cell[later], side="right")
    more = np.bincount(whose, minlength=polygons)
    inner = cell[later] - offset[whose] + left[whose]
    bottom, top = table[:, rank[later], cell[later]]
    return Strips(left, width, offset, table[0], table[1], more, inner, bottom, top)


def overlap(regions: Any, at: Ints, to: Ints) -> Floats | None:
    """About the intersection over union of pairs; None where the outlines are too folded for slices.

    Args:
        regions: (polygons,); valid, of shapely, none without an area.
        at: (pairs,); indices into them.
        to: (pairs,); likewise.
    """
    lines, bounds = lines_of(regions), shapely.bounds(regions)
    level = np.ceil(np.log2((bounds[:, 2] - bounds[:, 0]) / FINE)).astype(np.int32)
    coarser = np.maximum(level[at], level[to])
    polygons, steps, one, two = by_level(at, to, coarser)
    strips = strips_at(lines.scaled(polygons, np.ldexp(1.0, steps)), len(polygons))
    if strips is None:
        return None
    held = np.concatenate([[0], np.cumsum((strips.high - strips.low).sum(axis=0, dtype=np.int64))])
    area = held[strips.offset + strips.width] - held[strips.offset]
    both = shared_of_strips(strips, strips, one, two)
    found: Floats = both / np.maximum(area[one] + area[two] - both, 1)
    return found
