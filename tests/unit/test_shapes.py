"""Shapes of labels: what is refused, and why; the sweep over rings held against shapely."""

import math
import random
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from shapely.geometry import Polygon

from shared import labels as lb
from shared.labels.rings import ring_fault
from shared.labels.values import MAX_ALL_POINTS, MAX_ALL_RUNS

VALUES: TypeAdapter[lb.LabelValue] = TypeAdapter(lb.LabelValue)
SCHEMAS: TypeAdapter[lb.LabelSchema] = TypeAdapter(lb.LabelSchema)
RING = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=9)


def simple(ring: list[tuple[int, int]]) -> bool:
    shape = Polygon(ring)
    return shape.is_valid and shape.area > 0 and len(set(ring)) == len(ring)


@settings(deadline=None, max_examples=400)
@given(RING)
@example([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)])  # a corner on an edge
@example([(0, 0), (4, 0), (2, 0), (2, 3)])  # back along an edge
@example([(0, 0), (0, 2), (0, 4), (3, 0)])  # upright edges in a line
def test_a_ring_is_simple_where_shapely_says_so(ring: list[tuple[int, int]]) -> None:
    assert (ring_fault(ring) is None) == simple(ring)


def test_rings_drawn_around_a_centre_are_simple_and_stay_so_when_turned() -> None:
    draw = random.Random(5)
    for _ in range(200):
        angles = sorted(draw.uniform(0, math.tau) for _ in range(draw.randint(5, 40)))
        ring = [(r * math.cos(a), r * math.sin(a)) for a in angles for r in [draw.uniform(20, 100)]]
        if max((b - a) % math.tau for a, b in zip(angles, angles[1:] + angles[:1], strict=True)) < math.pi:
            assert ring_fault(ring) is None
        crossed = [*ring]
        crossed[1], crossed[3] = crossed[3], crossed[1]
        assert (ring_fault(crossed) is None) == Polygon(crossed).is_valid


def test_the_longest_ring_is_checked_in_a_moment_even_when_it_is_a_comb() -> None:
    teeth = [(1000.0 * (i % 2) + i, float(i)) for i in range(9_998)]
    started = time.process_time()
    assert ring_fault([*teeth, (-5000.0, 10_000.0), (-5000.0, -5.0)]) is None
    assert time.process_time() - started < 5  # pairs of edges would be 50 million; the sweep takes 0.2 s


def triangle(*points: tuple[float, float]) -> dict[str, Any]:
    return {"points": points or [(0, 0), (9, 0), (0, 9)], "label": "x"}


def track(*frames: int) -> dict[str, Any]:
    return {
        "id": "t", "label": "x", "frames": [{"frame": f, "x": 0, "y": 0, "width": 9, "height": 9} for f in frames]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "polygons", "polygons": [triangle((0, 0), (4, 4), (4, 0), (0, 3))]}, "the edge after point 0 meets"),
        ({"kind": "polygons", "polygons": [triangle((0, 0), (4, 0), (4, 4), (0, 0))]}, "points 0 and 3 are the same"),
        ({"kind": "polygons", "polygons": [triangle(*[(0.0, 0.0)] * 10_000)] * 6}, f"at most {MAX_ALL_POINTS}"),
        ({"kind": "masks", "width": 2, "height": 2, "masks": [{"counts": [4], "label": "x"}]}, "no pixel"),
        ({"kind": "masks", "width": 2, "height": 2, "masks": [{"counts": [1, 0, 3], "label": "x"}]}, "no pixel"),
        (
            {"kind": "masks", "width": 2, "height": 2, "masks": [{"counts": [0] * 700_000, "label": "x"}] * 3},
            f"at most {MAX_ALL_RUNS}",
        ),
    ],
)
def test_shapes_are_refused_with_the_reason(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        VALUES.validate_python(value)


BOX = {"x": 0, "y": 0, "width": 60, "height": 20, "label": "x"}
CHECKS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"kind": "boxes", "image_width": 60}, {"kind": "boxes", "boxes": [BOX]}, None),
    ({"kind": "boxes", "image_width": 58}, {"kind": "boxes", "boxes": [BOX]}, "reaches from 0 to 60 in x"),
    ({"kind": "boxes", "image_height": 58}, {"kind": "boxes", "boxes": [BOX | {"rotation": 90}]}, "-20 to 40 in y"),
    ({"kind": "boxes", "unrotated": True}, {"kind": "boxes", "boxes": [BOX | {"rotation": 2}]}, "are not rotated"),
    ({"kind": "boxes", "unrotated": True}, {"kind": "boxes", "boxes": [BOX | {"rotation": 360}]}, None),
    ({"kind": "polygons", "image_width": 5}, {"kind": "polygons", "polygons": [triangle()]}, r"polygons\[0\]: reaches"),
    (
        {"kind": "masks", "image_height": 3},
        {"kind": "masks", "width": 3, "height": 2, "masks": []},
        "height: the masks are of 2 pixels",
    ),
    (
        {"kind": "masks", "semantic": True},
        {"kind": "masks", "width": 3, "height": 2, "masks": [{"counts": [0, 3, 3], "label": "x"}] * 2},
        "second mask of 'x'",
    ),
    (
        {"kind": "masks", "semantic": True},
        {"kind": "masks", "width": 3, "height": 2, "masks": [
            {"counts": [0, 4, 2], "label": "x"}, {"counts": [3, 3], "label": "y"}]},
        r"masks\[0\] and masks\[1\] share the pixel at x 1, y 1",
    ),
    (
        {"kind": "masks", "semantic": True},
        {"kind": "masks", "width": 3, "height": 2, "masks": [
            {"counts": [0, 1, 1, 1, 3], "label": "x"}, {"counts": [1, 1, 1, 3], "label": "y"}]},
        None,
    ),
    ({"kind": "tracks", "max_frame_gap": 5}, {"kind": "tracks", "tracks": [track(0, 5, 10)]}, None),
    ({"kind": "tracks", "max_frame_gap": 5}, {"kind": "tracks", "tracks": [track(0, 5, 11)]}, "from frame 5 to 11"),
    ({"kind": "tracks", "image_width": 5}, {"kind": "tracks", "tracks": [track(0)]}, r"tracks\[0\].frames\[0\]: reach"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "message"), CHECKS)
def test_shapes_are_checked_against_the_project(
    schema: dict[str, Any], value: dict[str, Any], message: str | None
) -> None:
    parsed, against = VALUES.validate_python(value), SCHEMAS.validate_python(schema | {"classes": ["x", "y"]})
    if message is None:
        lb.check_label(parsed, against)
        return
    with pytest.raises(ValueError, match=message):
        lb.check_label(parsed, against)


@pytest.mark.parametrize(
    ("kind", "option"), [("spans", {"image_width": 5}), ("boxes", {"semantic": True}), ("masks", {"max_frame_gap": 1})]
)
def test_options_are_for_the_kinds_they_speak_of(kind: str, option: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="is for labels of kind"):
        SCHEMAS.validate_python({"kind": kind, "classes": ["x"], **option})
