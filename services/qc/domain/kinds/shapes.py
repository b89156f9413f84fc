"""Values of the contract with shapes in them, as objects for the engine and back."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import BaseModel

from services.qc.domain.kinds.boxes import BoxGeometry, Rect
from services.qc.domain.kinds.clusters import Drawn
from services.qc.domain.kinds.drawn import Drawings
from services.qc.domain.kinds.kind import Kind
from services.qc.domain.kinds.masks import MaskGeometry
from services.qc.domain.kinds.polygons import PolygonGeometry, region, ring
from services.qc.domain.kinds.runs import Runs, runs_of
from services.qc.domain.kinds.segments import DRAWN as SEGMENTS
from services.qc.domain.kinds.tracks import Path, TrackGeometry
from shared.labels import Box, Boxes, Keyframe, Mask, Masks, Polygon, Polygons, Track, Tracks

DIGITS = 3
"""Of a fused coordinate: a thousandth of a pixel."""
NARROW = 0.001


def read_boxes(value: Boxes) -> list[Drawn[Rect]]:
    return [Drawn(Rect(b.x, b.y, b.width, b.height, b.rotation), b.label) for b in value.boxes]


def write_boxes(objects: Sequence[Drawn[Rect]], _: Sequence[Boxes]) -> Boxes:
    return Boxes(boxes=tuple(Box(**_sides(one.extent), label=one.label) for one in objects))


def _sides(rect: Rect) -> dict[str, float]:
    found = {name: round(each, DIGITS) for name, each in rect._asdict().items()}
    return found | {name: max(found[name], NARROW) for name in ("width", "height")}


def read_polygons(value: Polygons) -> list[Drawn[Any]]:
    """What encloses nothing that can be measured is left out."""
    found = [(region(each.points), each.label) for each in value.polygons]
    return [Drawn(area, label) for area, label in found if area is not None]


def write_polygons(objects: Sequence[Drawn[Any]], _: Sequence[Polygons]) -> Polygons:
    return Polygons(polygons=tuple(_polygon(one) for one in objects))


def _polygon(one: Drawn[Any]) -> Polygon:
    """Rounded where that leaves the ring simple."""
    points = ring(one.extent)
    try:
        return Polygon(points=tuple((round(x, DIGITS), round(y, DIGITS)) for x, y in points), label=one.label)
    except ValueError:
        return Polygon(points=points, label=one.label)


def read_masks(value: Masks) -> list[Drawn[Runs]]:
    return [Drawn(runs_of(each.counts, value.height, value.width), each.label) for each in value.masks]


def write_masks(objects: Sequence[Drawn[Runs]], values: Sequence[Masks]) -> Masks:
    masks = tuple(Mask(counts=one.extent.counts(), label=one.label) for one in objects)
    return Masks(width=values[0].width, height=values[0].height, masks=masks)


def read_tracks(value: Tracks) -> list[Drawn[Path]]:
    return [
        Drawn(
            Path(
                np.array([each.frame for each in track.frames], dtype=np.int32),
                np.array([(k.x, k.y, k.x + k.width, k.y + k.height) for k in track.frames], dtype=np.float64),
            ),
            track.label,
        )
        for track in value.tracks
    ]


def write_tracks(objects: Sequence[Drawn[Path]], _: Sequence[Tracks]) -> Tracks:
    """Fused tracks are numbered: they are nobody's."""
    return Tracks(
        tracks=tuple(
            Track(id=f"t{place}", label=one.label, frames=keyframes(one.extent)) for place, one in enumerate(objects)
        )
    )


def keyframes(path: Path) -> tuple[Keyframe, ...]:
    return tuple(
        Keyframe(frame=frame, **_sides_of(*edges))
        for frame, edges in zip(path.frames.tolist(), path.edges.tolist(), strict=True)
    )


def _sides_of(left: float, top: float, right: float, bottom: float) -> dict[str, float]:
    found = _sides(Rect(left, top, right - left, bottom - top))
    return {name: found[name] for name in ("x", "y", "width", "height")}


def without_gaps(value: Tracks, most: int) -> Tracks:
    """Tracks with boxes on the line between their keyframes where these lie more than so many frames apart."""
    tracks = []
    for track, drawn in zip(value.tracks, read_tracks(value), strict=True):
        frames = {each.frame for each in track.frames}
        for before, after in pairwise(sorted(frames)):
            frames.update(range(before, after, most))
        every = np.array(sorted(frames), dtype=np.int32)
        path = Path(every, drawn.extent.at(every.astype(np.float64)))
        tracks.append(track.model_copy(update={"frames": keyframes(path)}))
    return Tracks(tracks=tuple(tracks))


DRAWINGS: Mapping[str, Drawings[Any, Any]] = {
    "boxes": Drawings(BoxGeometry(), read_boxes, write_boxes, list),
    "polygons": Drawings(PolygonGeometry(), read_polygons, write_polygons, ring),
    "masks": Drawings(MaskGeometry(), read_masks, write_masks, Runs.counts),
    "segments": SEGMENTS,
    "tracks": Drawings(TrackGeometry(), read_tracks, write_tracks, keyframes),
}
"""Kinds whose labels are objects with an extent."""


def _kind(name: str, of: type[BaseModel]) -> Kind[Any]:
    drawings = DRAWINGS[name]
    return Kind(
        name,
        of.model_validate,
        lambda value: value.model_dump(mode="json"),
        drawings.fuse,
        drawings.majority,
        drawings.measure,
        "mean_iou",
        drawings.distance,
    )


SHAPES: Mapping[str, Kind[Any]] = {
    name: _kind(name, of)
    for name, of in (("boxes", Boxes), ("polygons", Polygons), ("masks", Masks), ("tracks", Tracks))
}
"""Shapes as kinds beside the others; their values in JSON are those of the contract."""
