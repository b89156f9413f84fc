"""Time segments with a class: objects on a line."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.qc.domain.kinds.drawn import Drawings
from services.qc.domain.kinds.intervals import Interval, Line
from services.qc.domain.kinds.kind import Kind
from services.qc.domain.kinds.objects import Drawn
from shared.labels import Segment, Segments


def parse(raw: Any) -> Segments:
    """Read `{"segments": [...]}` or a bare list; each segment an object or [start, end, class], in seconds.

    Raises:
        ValueError: says which segment is wrong.
    """
    listed = raw.get("segments") if isinstance(raw, Mapping) else raw
    if not isinstance(listed, list):
        raise ValueError('segments are a list, or {"segments": [...]}')  # noqa: TRY004  # it is data, not a call
    return Segments(segments=tuple(_segment(each, place) for place, each in enumerate(listed)))


def _segment(raw: Any, place: int) -> Segment:
    if isinstance(raw, list):
        if len(raw) != 3:  # noqa: PLR2004
            raise ValueError(f"segments[{place}] is [start, end, class]")
        raw = {"start": raw[0], "end": raw[1], "label": raw[2]}
    return Segment.model_validate(raw)


def encode(value: Segments) -> Any:
    return [[each.start, each.end, each.label] for each in value.segments]


def _read(value: Segments) -> list[Drawn[Interval]]:
    return [Drawn((each.start, each.end), each.label) for each in value.segments]


def _write(objects: Sequence[Drawn[Interval]], _: Sequence[Segments]) -> Segments:
    ordered = sorted(objects, key=lambda each: (each.extent, each.label))
    return Segments(segments=tuple(Segment(start=e.extent[0], end=e.extent[1], label=e.label) for e in ordered))


def _units(value: Segments) -> list[tuple[float, float, str]]:
    return [(each.start, each.end, each.label) for each in value.segments]


DRAWN = Drawings(Line(), _read, _write, list)
SEGMENTS = Kind(
    "segments", parse, encode, DRAWN.fuse, DRAWN.majority, DRAWN.measure, "mean_iou", DRAWN.distance, _units
)
