"""Shapes in JSON, as a column of a recorded crowd: our label values, with or without their kind, and COCO's forms.

Recorded crowds hold what the contract would refuse (rings that cross themselves, empty masks, boxes without size). What
can be read is; the rest is left out, object by object, and counted.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.qc.domain.kinds.boxes import BoxGeometry, Rect
from services.qc.domain.kinds.clusters import Drawn
from services.qc.domain.kinds.masks import MaskGeometry
from services.qc.domain.kinds.polygons import PolygonGeometry, region, ring
from services.qc.domain.kinds.runs import Runs, counts_of, runs_of
from services.qc.domain.kinds.tracks import Path, TrackGeometry

NAMES = ("label", "class", "category", "category_id", "name")
ANY = "object"
LARGEST = 1e60
"""Of coordinates; areas and their products stay finite."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """How a kind is read and written.

    Attributes:
        objects: the key of the list of objects in a label.
        geometry: for the engine.
        read: an object, and the label around it, to an extent; raises ValueError, KeyError or TypeError.
        write: an extent to the fields of an object.
    """

    objects: str
    geometry: Any
    read: Callable[[Any, Json], Any]
    write: Callable[[Any], dict[str, Any]]


@dataclass
class Refused:
    """Objects that were left out: how many for each reason."""

    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def number(self) -> int:
        return sum(self.reasons.values())


def _rect(data: Any, _: Json) -> Rect:
    if isinstance(data, Mapping) and "bbox" in data:
        data = data["bbox"]
    if isinstance(data, Sequence):
        x, y, width, height = (float(each) for each in data)
        found = Rect(x, y, width, height)
    elif "x1" in data or "xmin" in data:
        one, two = (("x1", "y1"), ("x2", "y2")) if "x1" in data else (("xmin", "ymin"), ("xmax", "ymax"))
        x, y = (float(data[name]) for name in one)
        found = Rect(x, y, float(data[two[0]]) - x, float(data[two[1]]) - y)
    else:
        width, height = float(data.get("width", data.get("w"))), float(data.get("height", data.get("h")))
        found = Rect(float(data["x"]), float(data["y"]), width, height, float(data.get("rotation") or 0.0))
    if not all(abs(each) < LARGEST for each in found):
        raise ValueError(f"a number that is not finite, or {LARGEST:g} and more")
    if found.width <= 0 or found.height <= 0:
        raise ValueError("a box without size")
    return found


def _points(data: Any, _: Json) -> Any:
    if isinstance(data, Mapping):
        data = data.get("points", data.get("segmentation", data.get("polygon")))
    if data and isinstance(data[0], Mapping):
        data = [(point["x"], point["y"]) for point in data]
    flat = np.asarray(data[0] if len(data) == 1 else data, dtype=np.float64).reshape(-1, 2)
    if not (np.abs(flat) < LARGEST).all():
        raise ValueError(f"a number that is not finite, or {LARGEST:g} and more")
    found = region([(x, y) for x, y in flat.tolist()]) if len(flat) > 2 else None  # noqa: PLR2004  # of a triangle
    if found is None:
        raise ValueError("a polygon without area")
    return found


def _runs(data: Any, around: Json) -> Runs:
    for inner in ("segmentation", "rle", "mask"):
        data = data[inner] if isinstance(data.get(inner), Mapping) else data
    height, width = data["size"] if "size" in data else (_own(data, around, "height"), _own(data, around, "width"))
    counts = counts_of(data["counts"]) if isinstance(data["counts"], str) else data["counts"]
    found = runs_of(counts, int(height), int(width))
    if not len(found.starts):
        raise ValueError("a mask without a pixel")
    return found


def _own(data: Json, around: Json, name: str) -> Any:
    return data[name] if name in data else around[name]


def _path(data: Any, _: Json) -> Path:
    keys = data if isinstance(data, Sequence) else data.get("frames", data.get("keyframes", data.get("boxes")))
    rows = {int(key["frame"]): _rect(key, {}) for key in keys}
    if not rows:
        raise ValueError("a track without a frame")
    frames = sorted(rows)
    edges = [[r.x, r.y, r.x + r.width, r.y + r.height] for r in (rows[frame] for frame in frames)]
    return Path(np.array(frames, dtype=np.int32), np.array(edges))


def _write_path(path: Path) -> dict[str, Any]:
    names = ("x", "y", "width", "height")
    rows = np.concatenate([path.edges[:, :2], path.edges[:, 2:] - path.edges[:, :2]], axis=1)
    boxes = [dict(zip(names, (round(each, 4) for each in row), strict=True)) for row in rows.tolist()]
    return {"frames": [{"frame": int(frame)} | box for frame, box in zip(path.frames, boxes, strict=True)]}


def _write_rect(rect: Rect) -> dict[str, Any]:
    return {name: round(value, 4) for name, value in rect._asdict().items() if name != "rotation" or value}


SHAPES: Mapping[str, Shape] = {
    "boxes": Shape("boxes", BoxGeometry(), _rect, _write_rect),
    "polygons": Shape(
        "polygons", PolygonGeometry(), _points,
        lambda area: {"points": [[round(x, 4), round(y, 4)] for x, y in ring(area)]},
    ),
    "masks": Shape("masks", MaskGeometry(), _runs, lambda runs: {"counts": list(runs.counts())}),
    "tracks": Shape("tracks", TrackGeometry(), _path, _write_path),
}  # fmt: skip


def read_shapes(text: str, shape: Shape, refused: Refused) -> tuple[Drawn[Any], ...]:
    """The objects of one label.

    Raises:
        ValueError: it is no JSON, or nothing of the kind.
    """
    data = json.loads(text)
    around: Json = data if isinstance(data, Mapping) else {}
    if isinstance(data, Mapping):
        held = data[shape.objects] if isinstance(data.get(shape.objects), list) else None
        data = [data] if held is None and len(data) > 1 else held
    if not isinstance(data, list):
        raise ValueError(f"no list of objects; give {{{shape.objects!r}: [...]}} or the list itself")  # noqa: TRY004  # of the text
    if data and all(isinstance(each, int | float) for each in data):
        data = [data]
    found = []
    for one in data:
        try:
            found.append(Drawn(shape.read(one, around), _name(one)))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, IndexError) as error:
            refused.reasons[f"{type(error).__name__}: {error}"[:120]] += 1
    return tuple(found)


def _name(data: Any) -> str:
    if isinstance(data, Mapping):
        for key in (*NAMES, "labels"):
            value = data.get(key)
            if isinstance(value, str | int) and value != "":
                return str(value)
            if isinstance(value, list) and value and isinstance(value[0], str):
                return value[0]
    return ANY


def write_shapes(objects: Sequence[Drawn[Any]], kind: str) -> str:
    """A label value of the contract as JSON."""
    shape = SHAPES[kind]
    listed = [shape.write(one.extent) | {"label": one.label} for one in objects]
    document: dict[str, Any] = {"kind": kind}
    if kind == "tracks":
        listed = [{"id": str(place)} | one for place, one in enumerate(listed)]
    if kind == "masks" and objects:
        document |= {"width": objects[0].extent.width, "height": objects[0].extent.height}
    return json.dumps(document | {shape.objects: listed}, separators=(",", ":"))
