"""What a project may ask of shapes: that they lie in the picture, are not rotated, share no pixel, skip no frames."""

import math
from itertools import accumulate, pairwise
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from shared.labels.values import MAX_FRAMES, Box, Boxes, Keyframe, LabelValue, Mask, Masks, Point, Polygons, Tracks

Pixels = Annotated[int, Field(ge=1, le=65_535)]
SLACK = 1.0
"""Pixels by which a shape may stand out of the picture: tools round."""
APPLIES = {
    "image_width": ("boxes", "polygons", "masks", "tracks"),
    "image_height": ("boxes", "polygons", "masks", "tracks"),
    "unrotated": ("boxes",),
    "semantic": ("masks",),
    "max_frame_gap": ("tracks",),
}


class ShapeOptions(BaseModel):
    """Fields of the schema of objects; each speaks of some kinds only."""

    kind: str
    image_width: Pixels | None = Field(
        default=None, description="Of every picture of the project, in pixels; shapes must lie inside."
    )
    image_height: Pixels | None = Field(default=None, description="As image_width.")
    unrotated: bool = Field(default=False, description="Boxes must have no rotation.")
    semantic: bool = Field(default=False, description="One mask per class, and no pixel in two of them.")
    max_frame_gap: Annotated[int, Field(ge=1, le=MAX_FRAMES)] | None = Field(
        default=None, description="Most frames from one box of a track to the next; 1: none may be left out."
    )

    @model_validator(mode="after")
    def _options_are_of_the_kind(self) -> Self:
        for name, kinds in APPLIES.items():
            if getattr(self, name) not in (None, False) and self.kind not in kinds:
                raise ValueError(f"{name} is for labels of kind {', '.join(kinds)}, not {self.kind}")
        return self


def check_shapes(value: LabelValue, options: ShapeOptions) -> None:
    """Check shapes against what the project asks of them.

    Raises:
        ValueError: says which shape is wrong and what would be right.
    """
    match value:
        case Boxes():
            _check_boxes(value, options)
        case Polygons():
            for i, polygon in enumerate(value.polygons):
                _check_inside(f"polygons[{i}]", polygon.points, options)
        case Masks():
            _check_masks(value, options)
        case Tracks():
            _check_tracks(value, options)
        case _:
            return


def corners(box: Box) -> tuple[Point, Point, Point, Point]:
    """The four corners of a box, turned about its centre; clockwise on a screen."""
    turn = math.radians(box.rotation)
    cosine, sine = math.cos(turn) / 2, math.sin(turn) / 2
    middle_x, middle_y = box.x + box.width / 2, box.y + box.height / 2
    along = (box.width * cosine, box.width * sine)
    across = (-box.height * sine, box.height * cosine)
    one, two, three, four = (
        (middle_x + a * along[0] + b * across[0], middle_y + a * along[1] + b * across[1])
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    )
    return (one, two, three, four)


def _check_boxes(value: Boxes, options: ShapeOptions) -> None:
    for i, box in enumerate(value.boxes):
        if options.unrotated and box.rotation % 360:
            raise ValueError(f"boxes[{i}].rotation: {box.rotation:g} degrees, but the project's boxes are not rotated")
        _check_inside(f"boxes[{i}]", corners(box), options)


def _check_inside(place: str, points: tuple[Point, ...], options: ShapeOptions) -> None:
    for axis, size in enumerate((options.image_width, options.image_height)):
        if size is None:
            continue
        low, high = min(point[axis] for point in points), max(point[axis] for point in points)
        if low < -SLACK or high > size + SLACK:
            found = f"{low:g} to {high:g}"
            raise ValueError(f"{place}: reaches from {found} in {'xy'[axis]}, the picture from 0 to {size}")


def _check_masks(value: Masks, options: ShapeOptions) -> None:
    for name, found, size in (
        ("width", value.width, options.image_width),
        ("height", value.height, options.image_height),
    ):
        if size is not None and found != size:
            raise ValueError(f"{name}: the masks are of {found} pixels, the project's pictures of {size}")
    if not options.semantic:
        return
    classes = [mask.label for mask in value.masks]
    for i, name in enumerate(classes):
        if name in classes[:i]:
            raise ValueError(f"masks[{i}].label: a second mask of {name!r}; the project wants one per class")
    stretches = sorted((*ends, i) for i, mask in enumerate(value.masks) for ends in _ones(mask))
    for (_, end, one), (start, _, two) in pairwise(stretches):
        if start < end:
            at = f"x {start // value.height}, y {start % value.height}"
            raise ValueError(f"masks[{one}] and masks[{two}] share the pixel at {at}; each may be in one class only")


def _ones(mask: Mask) -> list[tuple[int, int]]:
    """Start and end of each run of ones, column-major."""
    ends = [0, *accumulate(mask.counts)]
    return [(low, high) for low, high in zip(ends[1::2], ends[2::2], strict=False) if high > low]


def _check_tracks(value: Tracks, options: ShapeOptions) -> None:
    for i, track in enumerate(value.tracks):
        for j, frame in enumerate(track.frames):
            _check_inside(f"tracks[{i}].frames[{j}]", _extent(frame), options)
        for before, after in pairwise(track.frames):
            gap = after.frame - before.frame
            if options.max_frame_gap is not None and gap > options.max_frame_gap:
                raise ValueError(
                    f"tracks[{i}]: jumps from frame {before.frame} to {after.frame}; at most {options.max_frame_gap}"
                    " frames may lie from one box to the next"
                )


def _extent(frame: Keyframe) -> tuple[Point, Point]:
    return (frame.x, frame.y), (frame.x + frame.width, frame.y + frame.height)
