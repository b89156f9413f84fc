"""Objects of an item are compared and fused all at once: as one by one, and as shapely and searches say."""

from typing import Any

import numpy as np
import pytest
import shapely
import shapely.affinity
from scipy.optimize import linear_sum_assignment

from services.qc.domain.kinds import areas, boxes, clusters, polygons, runs, slices, strips, tracks
from services.qc.domain.kinds.boxes import Rect
from services.qc.domain.kinds.clusters import Answer, Drawn
from services.qc.domain.kinds.intervals import Line
from tests.bench.kinds.annotators import item_of_many
from tests.bench.shapes.drawing import DRAWS, GEOMETRIES, Place, crowded, moved, somewhere


def groups(kind: str, rng: np.random.Generator) -> list[list[Any]]:
    """Objects of several people, who drew each in their own way."""
    found = []
    for size in (1, 2, 5, 9, 3):
        place = somewhere(rng)
        drawn = [DRAWS[kind](moved(place, 0.05, rng), 0.1, rng) for _ in range(size)]
        found.append([each for each in drawn if each is not None])
    return found


def alike(kind: str, one: Any, two: Any) -> float:
    found: float = GEOMETRIES[kind].similarity([one], [two])[0, 0]
    return found


@pytest.mark.parametrize("kind", list(DRAWS))
def test_all_objects_at_once_are_fused_as_each_alone(kind: str) -> None:
    rng = np.random.default_rng(1)
    every = groups(kind, rng) + (groups("boxes", rng) if kind == "turned boxes" else [])
    weights = [rng.uniform(0.5, 2.0, len(each)) for each in every]
    together = GEOMETRIES[kind].fuse_all(every, weights)
    for found, group, own in zip(together, every, weights, strict=True):
        assert alike(kind, found, GEOMETRIES[kind].fuse(group, own)) == pytest.approx(1.0, abs=1e-9)


def test_intervals_at_once_are_fused_as_each_alone() -> None:
    """Where medians of starts and ends cross, the heaviest one's interval stands."""
    every = [[(0.0, 1.0)], [(0.0, 1.0), (2.0, 3.0), (0.5, 9.0)], [(5.0, 6.0), (0.0, 1.0)]]
    weights = [np.ones(1), np.array([1.0, 1.0, 5.0]), np.array([1.0, 1.1])]
    assert Line().fuse_all(every, weights) == [(0.0, 1.0), (0.5, 9.0), (0.0, 1.0)]


def regions(rng: np.random.Generator) -> list[Any]:
    """Stars, boxes, rings with holes, several parts, upright edges, and equal ones."""
    found: list[Any] = [shapely.box(0, 0, 10, 10), shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)]
    for _ in range(12):
        angle = np.linspace(0, 2 * np.pi, int(rng.integers(3, 40)), endpoint=False)
        reach = rng.uniform(2, 15, len(angle))
        points = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1) + rng.uniform(-10, 10, 2)
        found.append(shapely.Polygon(points))
    disc = shapely.Point(3, 4).buffer(9)
    found.append(disc.difference(shapely.Point(3, 4).buffer(5)))
    found.append(shapely.MultiPolygon([shapely.box(-9, -9, -1, -1), shapely.box(1, 1, 7, 9)]))
    return [*found, shapely.affinity.rotate(found[-1], 30), shapely.Point(0, 0).buffer(12, quad_segs=80)]


@pytest.mark.parametrize("seed", range(3))
def test_areas_that_polygons_share_are_those_of_shapely(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    every = np.array(regions(np.random.default_rng(seed)), dtype=object)
    at, to = (each.ravel().astype(np.int32) for each in np.indices((len(every), len(every))))
    expected = shapely.area(shapely.intersection(every[at], every[to]))
    assert areas.shared(every, every, at, to) == pytest.approx(expected, abs=1e-8)
    monkeypatch.setattr(areas, "AT_ONCE", 500)
    monkeypatch.setattr(areas, "TOO_MANY", 900)
    far = shapely.transform(every, lambda points: points + 1e5)
    assert areas.shared(far, far.copy(), at, to) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", list(DRAWS))
def test_likeness_is_near_to_similarity_where_objects_may_be_one(kind: str) -> None:
    scene = crowded(kind, 4, 12, 1)
    extents = [each.extent for answer in scene.answers[0] for each in answer.objects]
    exact, pairs = scene.geometry.similarity(extents, extents), scene.geometry.likeness(extents)
    assert (pairs.at < pairs.to).all()
    found = np.eye(len(extents))
    found[pairs.at, pairs.to] = found[pairs.to, pairs.at] = pairs.share
    assert found[exact > 0.2] == pytest.approx(exact[exact > 0.2], abs=0.03)
    assert (found[exact < 0.2] < 0.25).all()


def apart(kind: str, objects: int) -> list[Answer[Any]]:
    """Three people's objects in a picture, or a recording, that grows with their number."""
    if kind == "segments":
        return item_of_many(3, objects, 1)
    far = int(np.sqrt(objects / 4)) * 200
    rng = np.random.default_rng(1)
    middles = rng.uniform(0, far, (objects, 2)).tolist()
    places = [Place(x, y, 50.0, 0.0, at) for at, (x, y) in enumerate(middles)]
    return [
        Answer(f"p{who}", tuple(Drawn(DRAWS[kind](moved(one, 0.05, rng), 0.05, rng), "car") for one in places))
        for who in range(3)
    ]


@pytest.mark.parametrize("kind", ["boxes", "turned boxes", "segments"])
def test_only_objects_that_meet_are_compared(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs, and cells of tables, grow with the objects, where these do not lie on each other."""
    item, geometry = apart(kind, 600), GEOMETRIES.get(kind, Line())
    tables: list[int] = []

    def counted(scores: Any, **how: bool) -> Any:
        tables.append(scores.size)
        return linear_sum_assignment(scores, **how)

    monkeypatch.setattr("services.qc.domain.kinds.clusters.linear_sum_assignment", counted)
    assert len(clusters.likeness_of(item, geometry).at) < 5 * 1800
    assert clusters.cluster(item, geometry).number < 650
    assert not tables


@pytest.mark.parametrize("kind", ["boxes", "tracks"])
def test_large_items_are_clustered_as_small_ones(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = crowded(kind, 4, 12, 1)
    found = clusters.cluster(scene.answers[0], scene.geometry)
    monkeypatch.setattr(boxes, "ALL_PAIRS", 0)
    monkeypatch.setattr(clusters, "DENSE", 0)
    again = clusters.cluster(scene.answers[0], scene.geometry)
    assert again.cluster.tolist() == found.cluster.tolist()
    assert again.likeness == pytest.approx(found.likeness, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_slices_of_polygons_share_what_shapely_says(seed: int) -> None:
    """Holes, several parts and upright edges, too; rings that fold too much are left to the exact way."""
    every = np.array(regions(np.random.default_rng(seed)), dtype=object)
    at, to = (each.ravel().astype(np.int32) for each in np.indices((len(every), len(every))))
    whole = shapely.area(shapely.union(every[at], every[to]))
    found = slices.overlap(every, at, to)
    assert found == pytest.approx(shapely.area(shapely.intersection(every[at], every[to])) / whole, abs=0.03)
    comb = [(x / 2, 9 * (x % 4 in {1, 2})) for x in range(40)]
    folded = np.array([shapely.Polygon([(y, x) for x, y in [*comb, (20, -1), (0, -1)]])], dtype=object)
    assert slices.overlap(folded, at[:1], to[:1]) is None
    assert polygons.likeness([*folded, *folded]).share == pytest.approx(1.0)


def test_a_brief_track_in_a_long_film_is_alike_to_itself_alone() -> None:
    edges = np.array([[0.0, 0.0, 10.0, 10.0]] * 2)
    paths = [tracks.Path(np.array(ends, dtype=np.int32), edges) for ends in ((0, 2000), (700, 712), (700, 712))]
    found = tracks.likeness(paths)
    shares = dict(zip(zip(found.at.tolist(), found.to.tolist(), strict=True), found.share.tolist(), strict=True))
    assert shares[1, 2] == pytest.approx(1.0)
    assert shares.get((0, 1), 0.0) < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_masks_by_columns_share_what_searches_find(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    every = []
    for _ in range(20):
        pixels = np.zeros((40, 50), dtype=bool)
        x, y = rng.integers(0, 30, 2)
        pixels[y : y + 20, x : x + 25] = rng.random(pixels[y : y + 20, x : x + 25].shape) < rng.choice([0.7, 0.97])
        pixels[-1], pixels[20, x : x + 25] = False, True
        edges = np.flatnonzero(np.diff(pixels.T.ravel(), prepend=False, append=False))
        every.append(runs.Runs(edges[::2], edges[1::2], 40, 50))
    at, to = (each.ravel().astype(np.int32) for each in np.indices((20, 20)))
    monkeypatch.setattr(strips, "DEEPEST", 40)
    monkeypatch.setattr(strips, "AT_ONCE", 100)
    flat = runs._flat(every)
    assert flat.strips() is not None
    by_columns = runs.intersections(every, every, at, to)
    monkeypatch.setattr(strips, "DEEPEST", 0)
    assert flat.strips() is None
    assert (by_columns == runs.intersections(every, every, at, to)).all()
    assert by_columns.max() > 300


def test_tracks_at_frames_are_those_of_each_path() -> None:
    rng = np.random.default_rng(0)
    paths = [DRAWS["tracks"](somewhere(rng), 0.1, rng) for _ in range(9)]
    paths.append(tracks.Path(np.array([7], dtype=np.int32), np.array([[1.0, 2, 3, 4]])))
    frames = np.linspace(-3, 130, 77)
    found = np.moveaxis(tracks.seen(paths, frames), 0, 2)
    assert found == pytest.approx(np.stack([path.at(frames) for path in paths]), nan_ok=True)


def test_keyframes_that_the_others_tell_are_left_out() -> None:
    frames = np.array([0, 1, 2, 3, 4, 0, 5, 9, 3], dtype=np.int32)
    x = np.array([0.0, 10, 20, 10, 0, 5, 10, 14, 2])
    edges = np.stack([x, x, x + 10, x + 10], axis=1)
    found = tracks.thinned(frames, edges, [5, 3, 1])
    assert [path.frames.tolist() for path in found] == [[0, 2, 4], [0, 9], [3]]


def test_a_crowded_scene_has_as_many_objects_as_asked() -> None:
    scene = crowded("boxes", 3, 7, 1)
    assert {len(answer.objects) for item in scene.answers for answer in item} == {7}
    assert isinstance(scene.answers[0][0].objects[0].extent, Rect)
