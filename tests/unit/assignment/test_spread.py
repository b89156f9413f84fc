"""What other items say: sketches, the likest of the recent ones, centres, the part of the score."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.assignment.domain.centres import Centres
from services.assignment.domain.guess import Guess
from services.assignment.domain.likeness import CONTENT, Likeness, Sketched, likeness_of
from services.assignment.domain.neighbours import Neighbours, distances, words_of
from services.assignment.domain.sketch import sketches_of
from services.assignment.domain.spread import Surroundings
from shared import events as ev
from shared.sketches import BITS
from tests.support import events as make

NONE = {"margin": 0.0, "entropy": 0.0}


def words(seed: int, number: int = 40) -> str:
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(number))


def sketch(content: ev.Content) -> bytes:
    (found,) = sketches_of([content])
    assert found is not None
    return found


def text(content: str) -> bytes:
    return sketch(ev.TextContent(text=content))


def own(content: str) -> Likeness:
    return alike(text(content))


def alike(bits: bytes, space: str = CONTENT) -> Likeness:
    return Likeness(Sketched(space, bits), Sketched(space, bits))


def apart(one: bytes, other: bytes) -> int:
    return int(distances(words_of(one), words_of(other)))


def flipped(one: bytes, bits: int, draw: np.random.Generator) -> bytes:
    """The same but for so many bits."""
    found = np.unpackbits(np.frombuffer(one, dtype=np.uint8))
    found[draw.choice(BITS, bits, replace=False)] ^= 1
    return np.packbits(found).tobytes()


def test_a_sketch_keeps_likeness() -> None:
    one = words(1)
    near = one.replace(one.split()[7], "another", 1)
    assert len(text(one)) == 32
    assert text(one) == text(one.upper())
    assert apart(text(one), text(near)) < 40
    far = [apart(text(one), text(words(n))) for n in range(2, 200)]
    assert min(far) > 90
    assert 120 < float(np.mean(far)) < 132
    draw = np.random.default_rng(3)
    numbers = draw.normal(size=64)
    same, other = numbers + draw.normal(size=64) * 0.05, draw.normal(size=64)
    mine, close, strange = (sketch(ev.FeaturesContent(features=tuple(one))) for one in (numbers, same, other))
    assert apart(mine, close) < 16
    assert apart(mine, strange) > 80


def test_what_cannot_be_seen_into_has_no_sketch_but_its_digest() -> None:
    media = ev.MediaContent(kind="video", uri="https://x.example/1.mp4")
    zeros, huge = (ev.FeaturesContent(features=one) for one in ((0.0, 0.0), (1e308, 1e308)))
    found = sketches_of([media, zeros, huge, ev.JsonContent(fields={"a": 1}), ev.FeaturesContent(features=(1.0,) * 3)])
    assert [one is None for one in found] == [True, True, False, False, False]
    digest = likeness_of(None, None, ev.content_hash(media))
    assert digest == Likeness(Sketched("digest", bytes.fromhex(ev.content_hash(media))), None)
    assert likeness_of(None, None, "erased") is None
    order, around = ev.Order(duplicates=0.5, diversity=1.0, **NONE), Surroundings()
    other = likeness_of(None, None, ev.content_hash(ev.MediaContent(kind="video", uri="https://x.example/2.mp4")))
    assert [around.spread(n, one, order) for n, one in enumerate((digest, other, digest))] == [0.0, 0.0, -0.5]


def test_what_differs_in_few_bits_is_found_and_little_else_is_looked_at() -> None:
    draw = np.random.default_rng(7)
    several = [draw.bytes(32) for _ in range(6000)]  # more than there is room for at first
    near = Neighbours()
    for one in several:
        near.add(words_of(one))
    for bits, least in ((0, 1.0), (8, 1.0), (20, 0.97), (32, 0.75)):
        asked = range(0, 6000, 20)
        found = [near.nearest(words_of(flipped(several[n], bits, draw))) for n in asked]
        right = [(differ, 5999 - since) == (bits, n) for (differ, since), n in zip(found, asked, strict=True)]
        assert np.mean(right) >= least
    strange = [near.nearest(words_of(draw.bytes(32)))[0] for _ in range(300)]
    assert min(strange) > 64


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(0, 120), st.integers(0, 2**32))
def test_the_window_is_bounded_and_knows_the_last_ones(window: int, number: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    near, several = Neighbours(window), [draw.bytes(32) for _ in range(number)]
    assert near.nearest(words_of(bytes(32))) == (BITS, 0)
    for one in several:
        near.add(words_of(one))
    for since, one in enumerate(reversed(several)):
        assert (near.nearest(words_of(one))[0] == 0) == (since < window) or since >= 8  # a bucket keeps eight


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 120))
def test_few_centres_cover_everything(seed: int, limit: int, number: int) -> None:
    """The guarantee of the doubling algorithm: within four radii of a centre; centres further apart than two."""
    draw = np.random.default_rng(seed)
    around, groups = Centres(limit), [draw.bytes(32) for _ in range(5)]
    seen = [flipped(groups[draw.integers(5)], int(draw.integers(60)), draw) for _ in range(number)]
    for one in seen:
        assert 0.0 <= around.cover(words_of(one)) <= 1.0
    assert len(around.centres) <= limit
    for one in seen:
        assert distances(around.centres, words_of(one)).min() <= 4 * around.radius
    for place, centre in enumerate(around.centres[1:], start=1):
        assert distances(around.centres[:place], centre).min() > 2 * around.radius


def test_near_duplicates_come_down_and_are_all_kept() -> None:
    order = ev.Order(duplicates=0.6, **NONE)
    around = Surroundings(recent=8, centres=4)
    original = words(1)
    assert around.spread("a", own(original), order) == 0.0
    copies = [around.spread(f"copy{n}", own(original), order) for n in range(5)]
    assert copies == [pytest.approx(-0.6)] * 5
    assert around.spread("b", own(words(2)), order) == 0.0
    assert around.spread("copy1", own(original), order) == copies[1]  # a batch that is tried anew
    assert around.spread("a", own(original), order) == 0.0  # not a copy of itself
    assert around.spread("elsewhere", alike(text(original), "model/1"), order) == 0.0  # not comparable
    for n in range(10, 18):
        around.spread(f"other{n}", own(words(n)), order)
    assert around.spread("late", own(original), order) == 0.0  # forgotten: the memory is bounded
    assert around.spread("x", None, order) == around.spread("y", own(original), None) == 0.0
    assert around.spread("z", own(original), ev.Order()) == 0.0


def test_a_group_of_copies_takes_one_place_and_keeps_it_while_they_come() -> None:
    order, around = ev.Order(duplicates=1.0, **NONE), Surroundings(recent=8)
    around.spread("first", own(words(0)), order)
    for n in range(1, 40):
        assert around.spread(n, own(words(n)), order) == 0.0
        for copy in range(3):
            assert around.spread((n, copy), own(words(0)), order) == pytest.approx(-1.0)
    assert around.spread("older", own(words(37)), order) == pytest.approx(-1.0)  # 6 copies since


def test_what_all_items_have_in_common_makes_no_duplicates() -> None:
    order = ev.Order(duplicates=1.0, **NONE)
    around = Surroundings()
    head = "dear customer, thank you for your order with the number that you find below; " * 2
    found = [around.spread(n, own(head + words(n, 12)), order) for n in range(300)]
    assert sum(one < 0.0 for one in found[100:]) < 10
    assert around.spread("copy", own(head + words(299, 12)), order) == pytest.approx(-1.0)


def test_diversity_prefers_what_is_unlike_the_rest() -> None:
    order = ev.Order(diversity=1.0, **NONE)
    around = Surroundings(centres=8)
    draw = np.random.default_rng(5)
    middle = draw.normal(size=64)

    def near(scale: float, base: Any) -> Likeness:
        numbers = tuple(base + draw.normal(size=64) * scale)
        return alike(sketch(ev.FeaturesContent(features=numbers)))

    for n in range(200):
        around.spread(n, near(0.5, middle), order)
    usual = [around.spread(f"u{n}", near(0.5, middle), order) for n in range(20)]
    strange = [around.spread(f"s{n}", near(0.1, draw.normal(size=64) * 3), order) for n in range(3)]
    assert min(strange) > max(usual)


def test_nothing_is_new_before_a_model_has_said_anything() -> None:
    """What is furthest would be the odd ones; copies are told at any time."""
    mute = Guess.of(make.abstention("i1"))
    found = [likeness_of(guess, text("own"), "ab" * 32) for guess in (None, mute, Guess.of(make.prediction("i1")))]
    assert [one is not None and one.far for one in found] == [None, None, Sketched(CONTENT, text("own"))]
    assert [one is not None and one.near for one in found] == [Sketched(CONTENT, text("own"))] * 3


def test_copies_are_told_by_the_content_and_what_is_new_by_the_models_features() -> None:
    """Two pictures that the model takes for alike are no copies, but nothing new either."""
    draw = np.random.default_rng(1)
    first, second, features, others = (draw.bytes(32).hex() for _ in range(4))

    def seen(picture: str, model: str) -> Likeness:
        fields = {"sketch": ev.Sketch(space="pictures/1", bits=picture), "features": ev.Sketch(space="m", bits=model)}
        found = likeness_of(Guess.of(make.prediction("i1").model_copy(update=fields)), text("own"), "ab" * 32)
        assert found is not None
        return found

    order, around = ev.Order(duplicates=1.0, diversity=1.0, **NONE), Surroundings(centres=2)
    told = [
        around.spread(n, seen(*one), order)
        for n, one in enumerate([(first, features), (second, others), (first, features), (second, features)])
    ]
    assert told == [1.0, 1.0, -1.0, -1.0]
    third = draw.bytes(32).hex()
    assert around.spread("new to look at", seen(third, features), order) == 0.0
