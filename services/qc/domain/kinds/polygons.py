"""Polygons: intersection over union, and one outline of several by a weighted vote over the plane."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon

from services.qc.domain.answers import Floats, Ints, Whole
from services.qc.domain.kinds.areas import shared as areas_of
from services.qc.domain.kinds.boxes import near, near_each_other
from services.qc.domain.kinds.clusters import Alike
from services.qc.domain.kinds.estimates import centres
from services.qc.domain.kinds.grouped import Grouped
from services.qc.domain.kinds.rays import Rings, crossings
from services.qc.domain.kinds.slices import overlap

ROUGH = 0.005
"""How far a fused outline may lie from the vote, in parts of the root of its area."""
TIE = 1e-6
RAYS = 32
"""Directions in which outlines are averaged, beside those of all their corners."""
DETAIL = 2
"""Rays are no more than so many times `RAYS`, or the corners of the finest outline."""
FOLDED = 0.05
"""The part of the rays that may meet an outline more than once for it to be averaged along them."""
POLYGON = 3
EVEN = np.linspace(-np.pi, np.pi, RAYS, endpoint=False)
UNLIKE = 0.1
"""Pairs whose bounding boxes allow no more overlap than this have none."""

Region: TypeAlias = Any
"""A polygon or several, of shapely, which has no types."""
AREAS = (Polygon, MultiPolygon)


def region(points: Sequence[tuple[float, float]]) -> Region | None:
    """What a ring encloses; of one that crosses itself each loop counts, None where nothing is left.

    Checked labels are simple; recorded ones need not be.
    """
    found = Polygon(points)
    if not found.is_valid:
        parts = [each for each in shapely.get_parts(shapely.make_valid(found)) if isinstance(each, Polygon)]
        whole = shapely.union_all(parts)
        if not isinstance(whole, AREAS):
            return None
        found = whole
    return found if found.area > 0.0 else None


def ring(found: Region) -> tuple[tuple[float, float], ...]:
    """The outline of the largest part of a region, not closed."""
    return tuple(zip(*(axis[:-1].tolist() for axis in _largest(found).exterior.xy), strict=True))


def iou(left: Sequence[Region], right: Sequence[Region]) -> Floats:
    """Intersection over union of each pair; (left, right)."""
    one = np.array(left, dtype=object)
    two = one if left is right else np.array(right, dtype=object)
    at, to = _worth(one, two, near(shapely.bounds(one).T, shapely.bounds(two).T))
    found = np.zeros((len(left), len(right)))
    found[at, to] = _shares(one, two, at, to)
    return found


def likeness(regions: Sequence[Region]) -> Alike:
    """About the intersection over union of all with each other, along slices; exact where they are folded."""
    one = np.array(regions, dtype=object)
    at, to = _worth(one, one, near_each_other(shapely.bounds(one).T))
    shares = overlap(one, at, to)
    return Alike(at, to, _shares(one, one, at, to) if shares is None else shares)


def _shares(one: Any, two: Any, at: Ints, to: Ints) -> Floats:
    """Intersection over union of pairs."""
    shared = areas_of(one, two, at, to)
    found: Floats = shared / np.maximum(shapely.area(one)[at] + shapely.area(two)[to] - shared, np.finfo(float).tiny)
    return found


def _worth(one: Any, two: Any, pairs: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """The pairs whose bounding boxes allow some overlap; indices into one and into two."""
    a, b, (at, to) = shapely.bounds(one).T, shapely.bounds(two).T, pairs
    left, right = shapely.area(one)[at], shapely.area(two)[to]
    wide = np.minimum(a[2, at], b[2, to]) - np.maximum(a[0, at], b[0, to])
    high = np.minimum(a[3, at], b[3, to]) - np.maximum(a[1, at], b[1, to])
    most = np.minimum(np.minimum(left, right), wide * high)
    worth = most > UNLIKE * (left + right - most)
    return at[worth], to[worth]


def fused(regions: Sequence[Region], weights: Floats, sizes: Sequence[int]) -> list[Region]:
    """One outline of each group, simplified (Douglas & Peucker 1973), without holes and lesser parts.

    Outlines that every ray from their common middle meets once are averaged along the rays, robustly. Of others the
    faces count that more than half of the weight encloses.

    Args:
        regions: groups one after the other.
        weights: (regions,); positive.
        sizes: (groups,); regions of each.
    """
    outlines = averaged(regions, weights**2, sizes)
    ends = np.cumsum(sizes).tolist()
    for at, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        if outlines[at] is None:
            won = voted(regions[end - size : end], weights[end - size : end])
            outlines[at] = Polygon(_largest(won).exterior)
    rough = ROUGH * np.sqrt(shapely.area(outlines))
    simple = shapely.simplify(outlines, rough, preserve_topology=False)
    fine = shapely.is_valid(simple) & (shapely.get_type_id(simple) == POLYGON) & (shapely.area(simple) > 0.0)
    for at in np.nonzero(~fine)[0].tolist():
        careful = shapely.simplify(outlines[at], rough[at])
        simple[at] = careful if isinstance(careful, Polygon) and careful.is_valid and careful.area > 0 else outlines[at]
    return list(simple)


def averaged(regions: Sequence[Region], precision: Floats, sizes: Sequence[int]) -> list[Region | None]:
    """The mean outline of each group along rays from its middle; None where outlines fold too much or miss the middle.

    Args:
        regions: groups one after the other.
        precision: (regions,); inverse variances.
        sizes: (groups,); regions of each.
    """
    grouped, every = Grouped.of(sizes), np.array(regions, dtype=object)
    size = np.sqrt(shapely.area(every))
    first = np.cumsum(grouped.sizes) - grouped.sizes
    middles = shapely.get_coordinates(shapely.centroid(every))
    middle = grouped.centres(middles, precision, 0.02 * size[first])
    whole = (shapely.get_type_id(every) == POLYGON) & (shapely.get_num_interior_rings(every) == 0)
    drawn = every.copy()
    drawn[~whole] = shapely.convex_hull(every[~whole])
    drawn = shapely.orient_polygons(drawn)
    points, ring = shapely.get_coordinates(shapely.get_exterior_ring(drawn), return_index=True)
    kept = np.append(ring[1:] == ring[:-1], False)  # the last corner is the first
    points, ring = points[kept] - middle[grouped.group[ring[kept]]], ring[kept]
    corners = np.bincount(ring, minlength=len(every)).astype(np.int32)
    rings = Rings(points, (np.cumsum(corners) - corners).astype(np.int32), corners)
    directions = _directions(rings.angle, grouped.group[ring], np.maximum.reduceat(corners, first))
    outlines = _along(rings, directions, grouped, precision, middle)
    return [
        None if parts else each for parts, each in zip((grouped.sums(~whole) > 0.0).tolist(), outlines, strict=True)
    ]


def _directions(corners: Floats, group: Ints, most: Ints) -> tuple[Floats, Whole]:
    """Evenly spread directions and those of all corners; where that is more than the drawn detail is worth, fewer.

    Args:
        corners: (corners,); from -pi to pi.
        group: (corners,); whose.
        most: (groups,); corners of the outline that has most of them.

    Returns:
        The directions of all groups, increasing in each, one after the other; and how many each has.
    """
    groups = len(most)
    turns = np.concatenate([corners, np.tile(EVEN, groups)]) / (4.0 * np.pi) + 0.5  # within a whole
    found = np.unique(np.concatenate([group, np.repeat(np.arange(groups), RAYS)]) + turns)
    owner = found.astype(np.int64)
    number = np.bincount(owner, minlength=groups)
    told = np.minimum(number, np.maximum(DETAIL * RAYS, DETAIL * most).astype(np.int64))
    place = np.arange(int(told.sum())) - np.repeat(np.cumsum(told) - told, told)
    step = np.repeat((number - 1) / (told - 1), told)
    chosen = np.repeat(np.cumsum(number) - number, told) + np.round(place * step).astype(np.int64)
    return (found - owner - 0.5)[chosen] * (4.0 * np.pi), told


def _along(
    rings: Rings, directions: tuple[Floats, Whole], grouped: Grouped, precision: Floats, middle: Floats
) -> list[Region | None]:
    """The mean outlines along rays.

    Args:
        rings: of all regions.
        directions: of the rays of all groups, and how many each has; as `_directions` gives.
        grouped: the rings.
        precision: (rings,).
        middle: (groups, 2).
    """
    rays, number = directions
    owner = np.repeat(np.arange(len(number)), number)
    ring, column, far = crossings(rings, grouped.group, rays, number)
    shape = int(grouped.sizes.max()), len(rays)
    cell = grouped.place[ring] * len(rays) + column
    radii = np.zeros(shape)
    np.maximum.at(radii.reshape(-1), cell, far)
    heavy = np.repeat(grouped.dense(precision), number, axis=1)
    again = (np.bincount(cell, minlength=radii.size).reshape(shape) > 1) * heavy
    folded = np.bincount(owner, again.sum(axis=0)) / number
    failed = np.bincount(owner, ((radii <= 0.0) & (heavy > 0.0)).any(axis=0), minlength=len(number)) > 0
    failed |= folded / grouped.sums(precision) > FOLDED
    mean_radius = radii.sum(axis=0) / np.maximum((heavy > 0.0).sum(axis=0), 1)
    mean = centres(radii[..., None], heavy, 0.02 * mean_radius)[:, 0]
    ends = np.stack([mean * np.cos(rays), mean * np.sin(rays)], axis=1) + middle[owner]
    closed = shapely.linearrings(ends, indices=owner)
    outlines = shapely.polygons(closed)
    return [None if bad else each for bad, each in zip(failed.tolist(), outlines, strict=True)]


def voted(regions: Sequence[Region], weights: Floats) -> Region:
    """What those who hold more than half of the weight enclose; a tie is the heaviest one's to decide.

    The outlines cut the plane into faces, inside which all agree, so the vote is exact and needs no pixels.
    """
    heavy = int(np.argmax(weights))
    share = weights / weights.sum() * (1.0 - TIE)
    share[heavy] += TIE
    outlines = shapely.union_all([shapely.boundary(each) for each in regions])
    faces = shapely.get_parts(shapely.polygonize([outlines]))
    inside = shapely.point_on_surface(faces)
    shapely.prepare(list(regions))
    held = sum(part * shapely.intersects(each, inside) for part, each in zip(share, regions, strict=True))
    won = shapely.union_all(faces[held > 0.5])  # noqa: PLR2004  # half of the weight
    return regions[heavy] if not isinstance(won, AREAS) or won.is_empty else won


def _largest(found: Region) -> Region:
    parts = list(shapely.get_parts(found))
    return max(parts, key=lambda part: part.area)


class PolygonGeometry:
    """Polygons for the engine; see `clusters.Geometry`."""

    least = 0.4

    def similarity(self, left: Sequence[Region], right: Sequence[Region]) -> Floats:
        """Intersection over union."""
        return iou(left, right)

    def likeness(self, extents: Sequence[Region]) -> Alike:
        """See `likeness`."""
        return likeness(extents)

    def fuse(self, extents: Sequence[Region], weights: Floats) -> Region:
        """See `fused`."""
        return fused(extents, weights, [len(extents)])[0]

    def fuse_all(self, groups: Sequence[Sequence[Region]], weights: Sequence[Floats]) -> list[Region]:
        """See `fused`."""
        return fused([each for group in groups for each in group], np.concatenate(weights), list(map(len, groups)))
