"""The area that polygons share, for many pairs at once and without finding where they cross.

A polygon is the signed sum of the regions under its edges, those of the top positive, those of the bottom negative. So
two share the signed sum, over all pairs of their edges, of the integral of the lower one where both are; as the signs
of each polygon's edges add up to nothing everywhere, that is minus half the integral of how far the edges are apart.
It is exact for simple polygons, holes and several parts included.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from services.qc.domain.answers import Floats, Ints, Whole

AT_ONCE = 64_000
"""Pairs of edges that are looked at in one go; they fit a processor's cache."""
CELLS = 60_000
"""Of the coarse grid; two bytes hold them."""
TOO_MANY = 60_000
"""Of one pair of polygons; above that, the sweep of a geometry library is faster."""


@dataclass(frozen=True, slots=True)
class Edges:
    """The edges of several polygons, padded to the same number by edges of no width.

    Attributes:
        table: (5, polygons * most); of each edge the left end, the right end, slope and height, so that y is
            slope * x + height, and 1 along the top, -1 along the bottom.
        cells: (2, polygons, most); columns of a coarse grid that hold each edge: the first, and the one after it.
        size: (polygons,); edges.
    """

    table: Floats
    cells: Any
    size: Ints

    @property
    def most(self) -> int:
        return int(self.cells.shape[2])


def edges_of(points: Floats, after: Floats, owner: Whole, size: Whole, grain: float) -> Edges:
    """Edges from their ends.

    Args:
        points: (edges, 2); where each begins, polygon after polygon, counter-clockwise but for holes.
        after: (edges, 2); where it ends.
        owner: (edges,); index of the polygon.
        size: (polygons,); edges of each.
        grain: width of a cell.
    """
    (x0, y0), (x1, y1) = points.T, after.T
    place = np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size)
    wide = x1 - x0
    slope = np.where(wide == 0.0, 0.0, (y1 - y0) / np.where(wide == 0.0, 1.0, wide))
    table = np.zeros((5, len(size), int(size.max(initial=0))))
    table[:, owner, place] = np.minimum(x0, x1), np.maximum(x0, x1), slope, y0 - slope * x0, np.where(wide < 0, 1.0, -1)
    cells = np.zeros((2, *table.shape[1:]), dtype=np.int16)
    cells[:, owner, place] = np.floor(table[0, owner, place] / grain), np.ceil(table[1, owner, place] / grain)
    return Edges(table.reshape(5, -1), cells, size.astype(np.int32))


def _edges_of_regions(regions: Any, origin: Floats, grain: float) -> Edges:
    parts, whose = shapely.get_parts(shapely.orient_polygons(regions), return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    points, inside = points - origin, ring[1:] == ring[:-1]
    owner = whose[part[ring[:-1][inside]]]
    size = np.bincount(owner, minlength=len(regions))
    return edges_of(points[:-1][inside], points[1:][inside], owner, size, grain)


def _grid(low: Floats, high: Floats) -> tuple[Floats, float]:
    """The middle, and the width of a cell."""
    return (low + high) / 2.0, max(float(high[0] - low[0]) / CELLS, float(np.finfo(float).tiny))


def shared(left: Any, right: Any, at: Ints, to: Ints) -> Floats:
    """The area that each pair shares.

    Args:
        left: (polygons,); valid, of shapely.
        right: (polygons,); likewise.
        at: (pairs,); indices into left.
        to: (pairs,); indices into right.
    """
    found = np.zeros(len(at))
    if not len(at):
        return found
    bounds = shapely.bounds(np.concatenate([left, right]))
    origin, grain = _grid(bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0))
    one = _edges_of_regions(left, origin, grain)
    two = one if left is right else _edges_of_regions(right, origin, grain)
    most = one.size[at].astype(np.int64), two.size[to].astype(np.int64)
    large = most[0] * most[1] > TOO_MANY
    found[large] = shapely.area(shapely.intersection(left[at[large]], right[to[large]]))
    order = np.argsort(most[0] + most[1], kind="stable")
    order = order[~large[order]]
    for chosen in _chunks(most[0][order], most[1][order], order):
        a, b = at[chosen], to[chosen]
        found[chosen] = _of_pairs(one, two, a, b, (int(most[0][chosen].max()), int(most[1][chosen].max())))
    return np.maximum(found, 0.0)


def _chunks(one: Whole, two: Whole, order: Whole) -> list[Whole]:
    """Pairs, by falling likeness of their numbers of edges, so many at once as AT_ONCE allows."""
    chunks: list[Whole] = []
    start = 0
    while start < len(order):
        many = max(int(AT_ONCE // max(one[start] * two[start], 1)), 1)
        while many > 1 and one[start : start + many].max() * two[start : start + many].max() * many > 2 * AT_ONCE:
            many //= 2
        chunks.append(order[start : start + many])
        start += many
    return chunks


def _of_pairs(one: Edges, two: Edges, at: Ints, to: Ints, edges: tuple[int, int]) -> Floats:
    """(pairs,); none of which has more edges than `edges`."""
    mine_cells, their_cells = one.cells[:, at, : edges[0], None], two.cells[:, to, None, : edges[1]]
    near = (mine_cells[0] < their_cells[1]) & (their_cells[0] < mine_cells[1])
    grid = edges[0] * edges[1]
    counts = np.count_nonzero(near.reshape(len(at), grid), axis=1)
    rest = np.flatnonzero(near) - np.repeat(np.arange(len(at)) * grid, counts)
    mine = np.repeat(np.arange(edges[0]), edges[1]).take(rest) + np.repeat(at.astype(np.int64) * one.most, counts)
    theirs = np.tile(np.arange(edges[1]), edges[0]).take(rest) + np.repeat(to.astype(np.int64) * two.most, counts)
    left, right, slope, first, sign = one.table.take(mine, axis=1)
    other = two.table.take(theirs, axis=1)
    wide = np.minimum(right, other[1]) - np.maximum(left, other[0], out=left)
    np.maximum(wide, 0.0, out=wide)
    slope -= other[2]
    first += slope * left - other[3]  # how far the edges are apart where both begin, and where one of them ends
    last = first + slope * wide
    mean = np.abs(first + last)
    crossed = np.flatnonzero(first * last < 0.0)
    start, end = first[crossed], last[crossed]
    mean[crossed] = (start * start + end * end) / np.abs(start - end)
    mean *= wide
    mean *= sign * other[4]
    sums = np.add.reduceat(np.append(mean, 0.0), np.cumsum(counts) - counts)
    found: Floats = np.where(counts > 0, -0.25 * sums, 0.0)
    return found
