"""Polygons: intersection over union, and one outline of several by a weighted vote over the plane."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.boxes import near

ROUGH = 0.005
"""How far a fused outline may lie from the vote, in parts of the root of its area."""
TIE = 1e-6

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
    shared = shapely.area(shapely.intersection(one[at], two[to]))
    areas = shapely.area(one), shapely.area(two)
    found = np.zeros((len(left), len(right)))
    found[at, to] = shared / np.maximum(areas[0][at] + areas[1][to] - shared, np.finfo(float).tiny)
    if left is right:
        found[to, at] = found[at, to]
    return found


def _bounds(regions: Floats) -> Floats:
    found: Floats = shapely.bounds(regions).T
    return found


def fused(regions: Sequence[Region], weights: Floats) -> Region:
    """What those who hold more than half of the weight enclose; a tie is the heaviest one's to decide.

    The outlines cut the plane into faces, inside which all agree, so the vote is exact and needs no pixels; the outline
    of what won is simplified (Douglas & Peucker 1973), and its holes and lesser parts are left out.
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
    if not isinstance(won, AREAS) or won.is_empty:
        return regions[heavy]
    outline = Polygon(_largest(won).exterior)
    simple = outline.simplify(ROUGH * float(np.sqrt(outline.area)))
    return simple if isinstance(simple, Polygon) and simple.is_valid and simple.area > 0.0 else outline


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
