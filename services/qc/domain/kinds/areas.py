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
        left, right: (polygons, edges); of each edge.
        slope, height: (polygons, edges); y is slope * x + height.
        sign: (polygons, edges); 1 along the top, -1 along the bottom.
        cells: (2, polygons, edges); columns of a coarse grid that hold each edge: the first, and the one after it.
        size: (polygons,); edges that are not upright.
    """

    left: Floats
    right: Floats
    slope: Floats
    height: Floats
    sign: Floats
    cells: Any
    size: Ints


def edges_of(regions: Any, origin: Floats, grain: float) -> Edges:
    """The edges of polygons.

    Args:
        regions: (polygons,); of shapely.
        origin: (2,); a point in the middle of all of them.
        grain: width of a cell.
    """
    parts, whose = shapely.get_parts(shapely.orient_polygons(regions), return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    points = points - origin
    inside = ring[1:] == ring[:-1]
    (x0, y0), (x1, y1) = points[:-1][inside].T, points[1:][inside].T
    owner = whose[part[ring[:-1][inside]]]
    wide = x0 != x1
    x0, y0, x1, y1, owner = x0[wide], y0[wide], x1[wide], y1[wide], owner[wide]
    size = np.bincount(owner, minlength=len(regions))
    place = np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size)
    slope = (y1 - y0) / (x1 - x0)
    table = np.zeros((5, len(regions), int(size.max(initial=0))))
    table[:, owner, place] = (
        np.minimum(x0, x1), np.maximum(x0, x1), slope, y0 - slope * x0, np.where(x1 < x0, 1.0, -1.0)
    )  # fmt: skip
    cells = np.zeros((2, *table.shape[1:]), dtype=np.int16)
    cells[0, owner, place] = np.floor(table[0, owner, place] / grain)
    cells[1, owner, place] = np.ceil(table[1, owner, place] / grain)
    left, right, slopes, heights, signs = table
    return Edges(left, right, slopes, heights, signs, cells, size.astype(np.int32))


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
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    origin, grain = (low + high) / 2.0, max(float(high[0] - low[0]) / CELLS, np.finfo(float).tiny)
    one = edges_of(left, origin, grain)
    two = one if left is right else edges_of(right, origin, grain)
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
    pair = np.repeat(np.arange(len(at)), counts)
    rest = np.flatnonzero(near) - pair * grid
    mine = np.repeat(np.arange(edges[0]), edges[1])[rest] + (at.astype(np.int64) * one.left.shape[1])[pair]
    theirs = np.tile(np.arange(edges[1]), edges[0])[rest] + (to.astype(np.int64) * two.left.shape[1])[pair]
    start = np.maximum(one.left.ravel()[mine], two.left.ravel()[theirs])
    wide = np.minimum(one.right.ravel()[mine], two.right.ravel()[theirs]) - start
    slope = one.slope.ravel()[mine] - two.slope.ravel()[theirs]
    first = one.height.ravel()[mine] - two.height.ravel()[theirs] + slope * start
    last = first + slope * wide
    crossed = first * last < 0.0
    apart = np.where(crossed, np.abs(first - last), 1.0)
    mean = np.where(crossed, (first * first + last * last) / apart, np.abs(first + last))
    mean *= np.maximum(wide, 0.0) * one.sign.ravel()[mine] * two.sign.ravel()[theirs]
    sums = np.add.reduceat(np.append(mean, 0.0), np.cumsum(counts) - counts)
    found: Floats = np.where(counts > 0, -0.25 * sums, 0.0)
    return found
