"""Polygons: intersection over union, and one outline of several by a weighted vote over the plane."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.boxes import near
from services.qc.domain.kinds.estimates import centre, centres

ROUGH = 0.005
"""How far a fused outline may lie from the vote, in parts of the root of its area."""
TIE = 1e-6
RAYS = 48
"""Directions in which outlines are averaged, beside those of all their corners."""
FOLDED = 0.05
"""The part of the rays that may meet an outline more than once for it to be averaged along them."""
AT_ONCE = 1_000_000
"""Rays times corners; above that, the faces decide."""
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
    one, two = np.array(left, dtype=object), np.array(right, dtype=object)
    at, to = near(_bounds(one), _bounds(two))
    if left is right:
        half = at <= to
        at, to = at[half], to[half]
    areas = shapely.area(one), shapely.area(two)
    most = np.minimum(np.minimum(areas[0][at], areas[1][to]), _shared_bounds(one[at], two[to]))
    worth = most > UNLIKE * (areas[0][at] + areas[1][to] - most)
    at, to = at[worth], to[worth]
    shared = shapely.area(shapely.intersection(one[at], two[to]))
    found = np.zeros((len(left), len(right)))
    found[at, to] = shared / np.maximum(areas[0][at] + areas[1][to] - shared, np.finfo(float).tiny)
    if left is right:
        found[to, at] = found[at, to]
    return found


def _bounds(regions: Floats) -> Floats:
    found: Floats = shapely.bounds(regions).T
    return found


def _shared_bounds(one: Floats, two: Floats) -> Floats:
    """The area that the bounding boxes of each pair share."""
    a, b = _bounds(one), _bounds(two)
    found: Floats = (np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])) * (
        np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    )
    return found


def fused(regions: Sequence[Region], weights: Floats) -> Region:
    """One outline of several, simplified (Douglas & Peucker 1973), without holes and lesser parts.

    Outlines that every ray from their common middle meets once are averaged along the rays, robustly. Of others the
    faces count that more than half of the weight encloses.
    """
    outline = averaged(regions, weights**2)
    if outline is None:
        won = voted(regions, weights)
        outline = Polygon(_largest(won).exterior)
    simple = outline.simplify(ROUGH * float(np.sqrt(outline.area)))
    return simple if isinstance(simple, Polygon) and simple.is_valid and simple.area > 0.0 else outline


def averaged(regions: Sequence[Region], precision: Floats) -> Region | None:
    """The mean outline along rays from the middle; None where outlines fold too much or do not hold the middle."""
    if any(not isinstance(each, Polygon) or len(each.interiors) for each in regions):
        return None
    middles = np.array([each.centroid.coords[0] for each in regions])
    middle = centre(middles, precision, 0.02 * float(np.sqrt(regions[0].area)))
    rings = [np.array(each.exterior.coords)[:-1] - middle for each in regions]
    corners = np.concatenate([np.arctan2(points[:, 1], points[:, 0]) for points in rings])
    angles = np.unique(np.concatenate([corners, np.linspace(-np.pi, np.pi, RAYS, endpoint=False)]))
    if len(angles) * sum(map(len, rings)) > AT_ONCE:
        return None
    radii, folded = np.empty((len(rings), len(angles))), 0.0
    for row, points in enumerate(rings):
        radii[row], more = _radii(points, angles)
        folded += precision[row] / precision.sum() * more
    if (radii <= 0.0).any() or folded > FOLDED:
        return None
    mean = centres(radii[..., None], np.repeat(precision[:, None], len(angles), axis=1), 0.02 * radii.mean(axis=0))[
        :, 0
    ]
    outline = Polygon(np.stack([mean * np.cos(angles), mean * np.sin(angles)], axis=1) + middle)
    return outline if outline.is_valid else None


def _radii(points: Floats, angles: Floats) -> tuple[Floats, float]:
    """How far a ring reaches in each direction, 0 where it does not; and the part of rays that meet it repeatedly."""
    x, y = points[:, 0], points[:, 1]
    dx, dy = np.roll(x, -1) - x, np.roll(y, -1) - y
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    start = cosine * y - sine * x  # to the left of the ray above 0
    end = np.roll(start, -1, axis=1)
    crossed = (start > 0) != (end > 0)
    slope = cosine * dy - sine * dx
    reach = np.where(crossed, (x * dy - y * dx) / np.where(crossed, slope, 1.0), 0.0)
    found: Floats = reach.max(axis=1, initial=0.0)
    return found, float(((reach > 0.0).sum(axis=1) > 1).mean())


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

    def fuse(self, extents: Sequence[Region], weights: Floats) -> Region:
        """See `fused`."""
        return fused(extents, weights)
