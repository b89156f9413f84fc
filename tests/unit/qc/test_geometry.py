"""Boxes, polygons, masks and tracks: what two share, held against shapely and pycocotools; and one of several."""

from typing import Any

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from services.qc.domain.kinds import boxes, masks, polygons, runs, tracks
from services.qc.domain.kinds.boxes import Rect

ONES = np.ones


def rects(seed: int, number: int) -> Any:
    """Boxes of all directions, some of them equal, some told by another quarter turn."""
    rng = np.random.default_rng(seed)
    turn = rng.choice([0.0, 90.0, 45.0, 30.0, -17.3, 180.0, 359.0], number) + rng.choice([0.0, 1e-10, 3.0], number)
    return np.column_stack([rng.uniform(0, 50, (number, 2)), rng.uniform(1, 40, (number, 2)), turn])


@pytest.mark.parametrize("seed", range(5))
def test_iou_of_turned_boxes_is_that_of_shapely(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "AT_ONCE", 300)
    one, two = rects(seed, 40), rects(seed + 100, 40)
    two[:10] = one[:10]
    two[10:20] = [[x + (w - h) / 2, y + (h - w) / 2, h, w, turn + 90] for x, y, w, h, turn in one[10:20]]
    left, right = (shapely.polygons(boxes.corners(each)) for each in (one, two))
    shared = shapely.area(shapely.intersection(left[:, None], right))
    assert boxes.iou(one, two) == pytest.approx(shared / shapely.area(shapely.union(left[:, None], right)), abs=1e-9)
    assert np.diag(boxes.iou(one, one)) == pytest.approx(1.0)
    assert np.diag(boxes.iou(one, two))[:20] == pytest.approx(1.0)


def test_one_careless_box_moves_the_fused_one_little() -> None:
    drawn = [Rect(10, 10, 40, 20), Rect(11, 9, 40, 21), Rect(9, 11, 40, 19), Rect(25, 0, 60, 44)]
    found = boxes.BoxGeometry().fuse(drawn, ONES(4))
    assert found.rotation == 0
    assert [found.x, found.y, found.x + found.width] == pytest.approx([10, 10, 50], abs=1.6)


def test_a_heavier_opinion_counts_more() -> None:
    found = boxes.BoxGeometry().fuse([Rect(0, 0, 10, 10), Rect(2, 0, 10, 10)], np.array([3.0, 1.0]))
    assert 0 < found.x < 0.5


def test_turned_boxes_are_averaged_on_the_circle() -> None:
    """178, -1 and 89 degrees with its sides exchanged are nearly one direction."""
    found = boxes.BoxGeometry().fuse(
        [Rect(0, 0, 10, 20, 178), Rect(-5, 5, 20, 10, 89), Rect(0, 0, 10, 20, -1)], ONES(3)
    )
    expected = Rect(0, 0, 10, 20, -1.33)
    assert float(boxes.iou(boxes.rows_of([found]), boxes.rows_of([expected]))[0, 0]) > 0.97
    one, other = Rect(0, 0, 10, 20, 10), Rect(-5, 5, 20, 10, 100)  # the same box
    both = boxes.BoxGeometry().fuse([one, other], ONES(2))
    assert float(boxes.iou(boxes.rows_of([both]), boxes.rows_of([one]))[0, 0]) == pytest.approx(1)
    around = [Rect(0, 0, 10, 20, turn) for turn in (88, 90, 92)]
    assert boxes.BoxGeometry().fuse(around, ONES(3)) == pytest.approx((0, 0, 10, 20, 90))
    assert boxes.BoxGeometry().fuse([Rect(0, 0, 10, 20, 50)] * 3, ONES(3)) == pytest.approx((0, 0, 10, 20, 50))


def picture(seed: int, number: int = 6) -> tuple[list[Any], list[Any], list[runs.Runs]]:
    """Pixels, as COCO codes them, and as runs read from that code."""
    rng = np.random.default_rng(seed)
    height, width = (int(size) for size in rng.integers(1, 12, 2))
    pixels = [rng.random((height, width)) < rng.choice([0, 0.1, 0.5, 0.9, 1]) for _ in range(number)]
    coded = [coco.encode(np.asfortranarray(each.astype(np.uint8))) for each in pixels]
    found = [runs.runs_of(runs.counts_of(c["counts"].decode()), height, width) for c in coded]
    return pixels, coded, found


def dense(mask: runs.Runs) -> Any:
    found = np.zeros(mask.height * mask.width, dtype=bool)
    for start, end in zip(mask.starts, mask.ends, strict=True):
        found[start:end] = True
    return found.reshape(mask.width, mask.height).T


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_run_lengths_are_those_of_coco(seed: int) -> None:
    pixels, coded, found = picture(seed)
    for drawn, mask in zip(pixels, found, strict=True):
        assert (dense(mask) == drawn).all()
        again = runs.runs_of(mask.counts(), mask.height, mask.width)
        assert (again.starts == mask.starts).all()
        assert mask.area == drawn.sum()
    assert runs.iou(found[:3], found[3:]) == pytest.approx(np.nan_to_num(coco.iou(coded[:3], coded[3:], [0] * 3)))
    both = np.array([[(a & b).sum() for b in pixels] for a in pixels])
    whole = np.array([[a.sum() + b.sum() for b in pixels] for a in pixels])
    assert runs.dice(found, found) == pytest.approx(2 * both / np.maximum(whole, 1))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_the_vote_is_that_of_the_pixels(seed: int, number: int) -> None:
    pixels, _, found = picture(seed, number)
    weights = np.random.default_rng(seed + 1).uniform(0.1, 1, number)
    held = np.tensordot(weights, np.array(pixels), axes=1) / weights.sum()
    if (held > 0.5).any():
        assert (dense(masks.MaskGeometry().fuse(found, weights)) == (held > 0.5)).all()


@pytest.mark.parametrize(
    ("counts", "message"),
    [([0, 10**12], "longer than a picture"), ([3, -1, 4], "negative"), ([1, 2], "add up to 3, not to 6")],
)
def test_run_length_bombs_are_refused_unopened(counts: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        runs.runs_of(counts, 2, 3)
    with pytest.raises(ValueError, match="exceed the limit"):
        runs.runs_of([65_535**2], 65_535, 65_535)


@pytest.mark.parametrize("text", ["~", "P", "oooooooooo1"])
def test_broken_compressed_counts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="compressed run lengths"):
        runs.counts_of(text)


def test_a_whole_picture_of_a_hundred_million_pixels_takes_no_memory_to_fuse() -> None:
    whole = runs.runs_of([0, 10**8], 10_000, 10_000)
    assert masks.MaskGeometry().fuse([whole, whole], ONES(2)).area == 10**8
    assert runs.iou([whole], [whole])[0, 0] == 1


def blob(rng: np.random.Generator, jitter: float) -> polygons.Region:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = 40 * (1 + 0.2 * np.sin(3 * angle)) + rng.normal(0, jitter, 24)
    found = polygons.region(np.column_stack([100 + radius * np.cos(angle), 100 + radius * np.sin(angle)]).tolist())
    assert found is not None
    return found


def test_a_vote_of_outlines_is_better_than_each_and_a_simple_ring() -> None:
    rng = np.random.default_rng(3)
    truth, drawn = blob(rng, 0), [blob(rng, 4) for _ in range(5)]
    found = polygons.PolygonGeometry().fuse(drawn, ONES(5))
    assert polygons.iou([truth], [found])[0, 0] > polygons.iou([truth], drawn).max()
    assert len(polygons.ring(found)) < 100
    assert shapely.Polygon(polygons.ring(found)).is_valid


def test_two_outlines_are_averaged_and_a_careless_third_moves_them_little() -> None:
    truth, rng = blob(np.random.default_rng(0), 0), np.random.default_rng(8)
    drawn = [blob(rng, 4) for _ in range(2)]
    fuse = polygons.PolygonGeometry().fuse
    assert polygons.iou([truth], [fuse(drawn, ONES(2))])[0, 0] > polygons.iou([truth], drawn).max()
    (same,) = polygons.averaged([truth, truth], ONES(2), [2])
    assert same is not None  # along the rays, not by the vote
    assert polygons.iou([truth], [same])[0, 0] > 0.97
    careless = shapely.box(40, 40, 190, 190)
    assert polygons.iou([truth], [fuse([truth, truth, truth, careless], ONES(4))])[0, 0] > 0.93


def test_outlines_that_fold_are_voted_on() -> None:
    """A ring open on one side: rays from its middle, which it does not hold, say nothing."""
    ring = (
        shapely.Point(0, 0).buffer(50).difference(shapely.Point(0, 0).buffer(40)).difference(shapely.box(0, -9, 60, 9))
    )
    moved = [shapely.affinity.translate(ring, x, y) for x, y in ((0, 0), (1, 0), (0, 1))]
    assert polygons.averaged(moved, ONES(3), [3]) == [None]
    assert polygons.iou([ring], [polygons.PolygonGeometry().fuse(moved, ONES(3))])[0, 0] > 0.9


def test_a_tie_of_outlines_is_the_heavier_ones_to_decide() -> None:
    one, two = blob(np.random.default_rng(0), 0), shapely.box(0, 0, 100, 100)
    found = polygons.voted([one, two], np.array([1.0, 1.1]))
    assert polygons.iou([found], [two])[0, 0] == pytest.approx(1)


def test_a_ring_that_crosses_itself_is_read_as_its_loops() -> None:
    found = polygons.region([(0, 0), (4, 4), (4, 0), (0, 4)])
    assert found is not None
    assert found.area == pytest.approx(8)
    assert polygons.region([(0, 0), (1, 1), (2, 2)]) is None


def path(first: int, last: int, step: int, x: float = 0.0, size: float = 10.0) -> tracks.Path:
    frames = np.unique([*range(first, last, step), last]).astype(np.int32)
    left = x + frames.astype(float)
    return tracks.Path(frames, np.stack([left, left * 0, left + size, left * 0 + size], axis=1))


def test_tracks_share_what_their_boxes_share_frame_by_frame() -> None:
    one, two = path(0, 40, 40), path(10, 60, 7, x=5)
    shared = sum(5 * 10 for _ in range(10, 41))
    assert tracks.iou([one], [two])[0, 0] == pytest.approx(shared / (41 * 100 + 51 * 100 - shared))
    assert tracks.iou([one], [path(50, 60, 1)])[0, 0] == 0
    assert tracks.iou([path(0, 900_000, 300_000)], [path(0, 900_000, 900_000)])[0, 0] == pytest.approx(1)


def test_a_track_that_goes_over_to_another_object_is_outvoted_where_it_does() -> None:
    good = [path(0, 40, 5), path(1, 41, 8), path(0, 39, 13)]
    lost = path(0, 40, 5)
    lost.edges[5:] += 300
    found = tracks.TrackGeometry().fuse([*good, lost], ONES(4))
    assert (found.frames[0], found.frames[-1]) == (0, 40)
    assert tracks.iou([found], [path(0, 40, 40)])[0, 0] > 0.97
    assert len(found.frames) <= 4
