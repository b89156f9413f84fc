"""Tracks beside the truth, agreement on objects, corrections and gold, semantic masks: by hand."""

import numpy as np
import pytest

from services.qc.domain.kinds import semantic
from services.qc.domain.kinds.boxes import BoxGeometry, Rect
from services.qc.domain.kinds.clusters import Answer, Drawn
from services.qc.domain.kinds.concord import agreement, distance
from services.qc.domain.kinds.corrections import Tolerance, beside_gold, corrected
from services.qc.domain.kinds.runs import Runs, runs_of
from services.qc.domain.kinds.tracking import follow, tracking
from services.qc.domain.kinds.tracks import Path

BOXES = BoxGeometry()


def track(first: int, last: int, x: float, label: str = "car") -> Drawn[Path]:
    edges = np.array([[x, 0, x + 10, 10]] * 2, dtype=float)
    return Drawn(Path(np.array([first, last], dtype=np.int32), edges), label)


def test_tracks_are_counted_frame_by_frame() -> None:
    """Two true tracks of 10 frames. One is followed by two in turn; the other for 5 frames; one track is of nothing."""
    true = [track(0, 9, 0), track(0, 9, 100)]
    given = [track(0, 5, 0), track(6, 9, 0), track(0, 4, 100), track(0, 3, 500)]
    found = follow(given, true)
    assert (found.given, found.true, found.hits, found.switches, found.same) == (19, 20, 15, 1, 11)
    scored = tracking([found])
    assert scored["mota"] == pytest.approx(1 - (5 + 4 + 1) / 20)
    assert scored["idf1"] == pytest.approx(2 * 11 / 39)
    assert tracking([follow(true, true)]) == {"mota": 1.0, "idf1": 1.0}
    assert tracking([follow([], true)])["mota"] == 0
    assert tracking([follow([track(0, 9, 0, "dog")], [track(0, 9, 0)])])["mota"] == -1
    assert tracking([follow(given, [])]) == {"mota": None, "idf1": None}


def test_a_track_is_kept_to_the_one_it_had() -> None:
    """Another one that lies better on the object later is no switch while the first still lies on it."""
    near = track(0, 9, 3)
    exact = track(5, 9, 0)
    assert follow([near, exact], [track(0, 9, 0)]).switches == 0


def box(x: float, label: str = "car", width: float = 10.0) -> Drawn[Rect]:
    return Drawn(Rect(x, 0, width, 10), label)


def test_the_distance_of_two_answers_is_what_they_do_not_share() -> None:
    one, two = Answer("a", (box(0), box(50))), Answer("b", (box(0), box(50, "dog"), box(90)))
    assert distance(one, two, BOXES) == pytest.approx(1 - 2 / 5)
    assert distance(Answer("a", ()), Answer("b", ()), BOXES) == 0
    assert distance(one, Answer("b", ()), BOXES) == 1


def test_alpha_is_one_for_people_who_agree_and_about_nothing_for_chance() -> None:
    rng = np.random.default_rng(1)
    spots = rng.uniform(0, 100, 80)
    same = [[Answer(who, (box(x),)) for who in "abc"] for x in spots]
    found = agreement(same, BOXES, resamples=200, rng=rng)
    assert found.values == {"overlap": 1.0, "f1": 1.0, "alpha": 1.0}
    assert found.pairs == 240
    chance = [[Answer(who, (box(float(rng.uniform(0, 100))),)) for who in "abc"] for _ in spots]
    alone = agreement(chance, BOXES, resamples=200, rng=rng)
    assert alone.intervals["alpha"] is not None
    assert alone.values["alpha"] == pytest.approx(0, abs=0.1)
    assert alone.intervals["alpha"][0] < 0.05 < alone.intervals["alpha"][1] + 0.1
    assert agreement([same[0][:1]], BOXES, resamples=9, rng=rng).values["alpha"] is None


def test_a_correction_is_counted_object_by_object() -> None:
    proposal = [box(0), box(50), box(100), box(150)]
    answer = [box(0.01), box(52), box(100, "dog"), box(300)]
    found = corrected(proposal, answer, BOXES)
    assert (found.kept, found.moved, found.relabelled, found.added, found.removed) == (1, 1, 1, 1, 1)
    assert found.share == pytest.approx(4 / 5)
    assert not corrected(proposal, proposal, BOXES).changed
    assert corrected([], answer, BOXES).added == corrected(answer, [], BOXES).removed == 4


def test_gold_forgives_what_the_tolerance_says() -> None:
    gold = [box(0), box(50), box(100), box(150)]
    found = beside_gold([box(1), box(50), box(100), box(300)], gold, BOXES)
    assert (found.found, found.missed, found.false, found.right_class, found.f1, found.passed) == (
        3,
        1,
        1,
        3,
        0.75,
        True,
    )
    assert not beside_gold([box(1), box(50), box(100), box(300)], gold, BOXES, Tolerance(overlap=0.9)).passed
    assert beside_gold([box(0, "dog")], [box(0)], BOXES).f1 == 0
    assert beside_gold([], [], BOXES).passed


def strip(*runs: tuple[int, int, str]) -> tuple[Drawn[Runs], ...]:
    """Masks of a picture of one column of 100 pixels."""
    return tuple(Drawn(runs_of([low, high - low, 100 - high], 100, 1), label) for low, high, label in runs)


def test_every_pixel_has_the_class_of_those_who_are_mostly_right() -> None:
    """The careless one of three is outvoted, and where two differ the one who is mostly right is believed."""
    rng = np.random.default_rng(2)
    items = []
    for _ in range(30):
        low = int(rng.integers(10, 60))
        good = strip((low, low + 20, "sky"), (low + 20, low + 40, "sea"))
        bad = int(rng.integers(5, 50))
        careless = strip((bad, bad + 30, "sky"), (bad + 30, bad + 40, "sea"))
        items.append([Answer("a", good), Answer("b", good), Answer("c", careless)])
    assert semantic.looks_semantic(items)
    painters = semantic.learn(items)
    assert painters.accuracy["a"] > painters.accuracy["c"] + 0.2
    two = [Answer("c", strip((0, 50, "sky"))), Answer("a", strip((0, 40, "sky"), (40, 50, "sea")))]
    found = semantic.fuse(two, painters)
    assert {one.label: one.extent.area for one in found.masks} == {"sky": 40, "sea": 10}
    assert 0 < found.wrong < 0.2
    assert semantic.fuse([Answer("a", ())], painters).masks == ()
    assert not semantic.looks_semantic([[Answer("a", strip((0, 9, "sky"), (20, 30, "sky")))]])
