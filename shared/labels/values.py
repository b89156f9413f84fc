"""The label union. Every value is frozen, finite and well-formed by itself; `schema.py` checks it against a project."""

import hashlib
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from shared.labels.rings import ring_fault
from shared.labels.text import NoNul

MAX_OBJECTS = 10_000
MAX_POINTS = 10_000
MAX_ALL_POINTS = 50_000
MAX_ALL_RUNS = 2_000_000
MAX_PIXELS = 100_000_000
MAX_FRAMES = 1_000_000
MAX_TEXT = 100_000
MAX_SYMBOL = 2_000
MAX_PARTS = 20


ClassName = Annotated[str, Field(min_length=1, max_length=200), NoNul()]
ObjectId = Annotated[str, Field(min_length=1, max_length=100), NoNul()]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e9)]
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e7)]
Point = tuple[Finite, Finite]


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def _bounded(data: Any, objects: str, parts: str, most: int) -> None:
    """Refuses what all objects hold together, by counting alone, before any of it is looked at."""
    held = data.get(objects) if isinstance(data, dict) else None
    if isinstance(held, list | tuple):
        found = [one.get(parts) for one in held if isinstance(one, dict)]
        number = sum(len(each) for each in found if isinstance(each, list | tuple))
        if number > most:
            raise ValueError(f"{objects} hold {number} {parts} together; at most {most} are taken")


class Choice(Value):
    """One class out of the project's list."""

    kind: Literal["choice"] = "choice"
    choice: ClassName


def _sorted_unique(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


class Choices(Value):
    """Any number of classes; kept sorted and unique, so equal sets are equal values."""

    kind: Literal["choices"] = "choices"
    choices: Annotated[tuple[ClassName, ...], Field(max_length=1000), AfterValidator(_sorted_unique)]


class Rating(Value):
    """A number on the project's scale."""

    kind: Literal["rating"] = "rating"
    rating: Finite


class Span(Value):
    """Characters `start` (inclusive) to `end` (exclusive) of the text, in Unicode code points."""

    start: Annotated[int, Field(ge=0, le=10_000_000)]
    end: Annotated[int, Field(ge=1, le=10_000_000)]
    label: ClassName
    id: ObjectId | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"span ends at {self.end}, not after its start {self.start}")
        return self


class Spans(Value):
    kind: Literal["spans"] = "spans"
    spans: Annotated[tuple[Span, ...], Field(max_length=MAX_OBJECTS)]


class Relation(Value):
    head: ObjectId
    tail: ObjectId
    label: ClassName


class Relations(Value):
    """Labelled arcs between spans that carry an id."""

    kind: Literal["relations"] = "relations"
    spans: Annotated[tuple[Span, ...], Field(max_length=MAX_OBJECTS)]
    relations: Annotated[tuple[Relation, ...], Field(max_length=MAX_OBJECTS)]

    @model_validator(mode="after")
    def _ends_exist(self) -> Self:
        known = {span.id for span in self.spans}
        for place, arc in enumerate(self.relations):
            for end in (arc.head, arc.tail):
                if end not in known:
                    raise ValueError(f"relations[{place}] names the span {end!r}, which is not in spans")
        return self


class Box(Value):
    """A rectangle in pixels: top-left corner, size, clockwise rotation in degrees about the centre."""

    x: Finite
    y: Finite
    width: Positive
    height: Positive
    rotation: Annotated[float, Field(allow_inf_nan=False, ge=-360, le=360)] = 0.0
    label: ClassName


class Boxes(Value):
    kind: Literal["boxes"] = "boxes"
    boxes: Annotated[tuple[Box, ...], Field(max_length=MAX_OBJECTS)]


class Polygon(Value):
    """A simple ring of at least three points in pixels, not closed explicitly."""

    points: Annotated[tuple[Point, ...], Field(min_length=3, max_length=MAX_POINTS)]
    label: ClassName

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        ring = [*self.points, self.points[0]]
        twice = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring))
        if abs(twice) <= 1e-9:  # noqa: PLR2004  # a degenerate ring, in square pixels
            raise ValueError("the polygon has no area")
        fault = ring_fault(self.points)
        if fault is not None:
            raise ValueError(f"the polygon is not simple: {fault}")
        return self


class Polygons(Value):
    kind: Literal["polygons"] = "polygons"
    polygons: Annotated[tuple[Polygon, ...], Field(max_length=MAX_OBJECTS)]

    @model_validator(mode="before")
    @classmethod
    def _not_too_many_points(cls, data: Any) -> Any:
        _bounded(data, "polygons", "points", MAX_ALL_POINTS)
        return data


class Mask(Value):
    """A binary mask as COCO run lengths: column-major, starting with the zeros."""

    counts: Annotated[tuple[Annotated[int, Field(ge=0, le=MAX_PIXELS)], ...], Field(min_length=1, max_length=1_000_000)]
    label: ClassName


class Masks(Value):
    kind: Literal["masks"] = "masks"
    width: Annotated[int, Field(ge=1, le=65_535)]
    height: Annotated[int, Field(ge=1, le=65_535)]
    masks: Annotated[tuple[Mask, ...], Field(max_length=1000)]

    @model_validator(mode="before")
    @classmethod
    def _not_too_many_runs(cls, data: Any) -> Any:
        _bounded(data, "masks", "counts", MAX_ALL_RUNS)
        return data

    @model_validator(mode="after")
    def _covers_the_image(self) -> Self:
        pixels = self.width * self.height
        if pixels > MAX_PIXELS:
            raise ValueError(f"{self.width} x {self.height} pixels exceed the limit of {MAX_PIXELS}")
        for place, mask in enumerate(self.masks):
            if sum(mask.counts) != pixels:
                raise ValueError(f"masks[{place}].counts add up to {sum(mask.counts)}, not to {pixels} pixels")
            if not any(mask.counts[1::2]):
                raise ValueError(f"masks[{place}] has no pixel; leave it out")
        return self


class Transcript(Value):
    kind: Literal["transcript"] = "transcript"
    text: Annotated[str, Field(max_length=MAX_TEXT), NoNul()]


class Segment(Value):
    """A stretch of time in seconds, `end` exclusive."""

    start: Seconds
    end: Seconds
    label: ClassName

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"segment ends at {self.end} s, not after its start {self.start} s")
        return self


class Segments(Value):
    kind: Literal["segments"] = "segments"
    segments: Annotated[tuple[Segment, ...], Field(max_length=MAX_OBJECTS)]


class Keyframe(Value):
    """A box of a track at one frame."""

    frame: Annotated[int, Field(ge=0, le=MAX_FRAMES)]
    x: Finite
    y: Finite
    width: Positive
    height: Positive


class Track(Value):
    """One object over time: boxes at strictly increasing frames."""

    id: ObjectId
    label: ClassName
    frames: Annotated[tuple[Keyframe, ...], Field(min_length=1, max_length=100_000)]

    @model_validator(mode="after")
    def _frames_increase(self) -> Self:
        for before, after in pairwise(self.frames):
            if after.frame <= before.frame:
                raise ValueError(f"track {self.id!r}: frame {after.frame} follows frame {before.frame}")
        return self


class Tracks(Value):
    kind: Literal["tracks"] = "tracks"
    tracks: Annotated[tuple[Track, ...], Field(max_length=1000)]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        if len({track.id for track in self.tracks}) != len(self.tracks):
            raise ValueError("two tracks have the same id")
        return self


PartValue = Annotated[
    Choice | Choices | Rating | Spans | Relations | Boxes | Polygons | Masks | Transcript | Segments | Tracks,
    Field(discriminator="kind"),
]
PartName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]


class Mixed(Value):
    """Labels of several kinds for one item, by the names that the project gives them; kept sorted by name."""

    kind: Literal["mixed"] = "mixed"
    parts: Annotated[
        dict[PartName, PartValue],
        Field(min_length=1, max_length=MAX_PARTS),
        AfterValidator(lambda parts: dict(sorted(parts.items()))),
    ]

    def __hash__(self) -> int:
        return hash(tuple(self.parts.items()))


LabelValue = Annotated[
    Choice | Choices | Rating | Spans | Relations | Boxes | Polygons | Masks | Transcript | Segments | Tracks | Mixed,
    Field(discriminator="kind"),
]


def _digest(value: LabelValue) -> str:
    return f"{value.kind}:{hashlib.sha256(value.model_dump_json().encode()).hexdigest()[:32]}"


def category(value: LabelValue) -> str:
    """The value as one symbol of at most 2,000 characters, for votes and counts; equal values are equal symbols.

    The class, the sorted classes, the rating. Kinds without a finite alphabet, and sets of classes too long to read,
    give their kind and the start of the SHA-256 of their canonical JSON.
    """
    match value:
        case Choice():
            return value.choice
        case Choices():
            joined = "|".join(value.choices)
            return joined if len(joined) <= MAX_SYMBOL else _digest(value)
        case Rating():
            return f"{value.rating + 0.0:.12g}"
        case _:
            return _digest(value)
