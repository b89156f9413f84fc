"""The order of the queue: figures, weights, what other items say."""

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.assignment.domain.draws import Draws
from services.assignment.domain.guess import Guess
from services.assignment.domain.priority import FIGURES, Standpoint, figures, priority, value
from services.assignment.domain.sketch import sketch_of, vector_of
from services.assignment.domain.spread import Surroundings
from services.assignment.handlers.outlook import confusions_of
from shared import events as ev
from tests.support import events as make

NONE = {"margin": 0.0, "entropy": 0.0}
DRAWS = Draws(0.5, 0.5, 0.3, 0.5)


def guess(confidence: float = 0.7, **more: Any) -> Guess:
    return Guess.of(make.prediction("i1", confidence=confidence, **more))


def only(**weights: float) -> Standpoint:
    return Standpoint(ev.Order(**(NONE | weights)), DRAWS)


def test_each_figure_runs_from_sure_to_knowing_nothing() -> None:
    sure, even = figures(guess(1.0), {}), figures(guess(1 / 3 + 1e-12), {})
    for name in FIGURES:
        assert sure[name] == pytest.approx(0.0)
        assert even[name] == pytest.approx(1.0, abs=0.01)
        assert figures(guess(0.9), {})[name] < figures(guess(0.6), {})[name]
        assert figures(None, {})[name] == figures(Guess.of(make.abstention("i1")), {})[name] == 1.0
    bare = replace(guess(0.8), distribution=None, margin=None, entropy=None)
    assert figures(bare, {}) == dict.fromkeys(FIGURES, pytest.approx(0.2))


def test_the_usual_value_is_the_mean_of_margin_and_entropy() -> None:
    found = figures(guess(0.7), {})
    assert value(guess(0.7), Standpoint()) == pytest.approx((found["margin"] + found["entropy"]) / 2)
    for name in FIGURES:
        assert value(guess(0.7), only(**{name: 3.0})) == pytest.approx(found[name])
    assert value(guess(0.7), only(random=1.0)) == value(None, only(random=1.0)) == 0.3
    assert value(guess(0.7), only()) == 0.0
    both = value(guess(0.7), only(margin=1.0, random=3.0))
    assert both == pytest.approx((found["margin"] + 3 * 0.3) / 4)


def test_the_three_measures_of_doubt_differ_in_what_they_see() -> None:
    """Two classes even, or three: the margin is the same, the entropy is not."""
    two = guess(0.5, distribution={"negative": 0.5, "neutral": 0.5, "positive": 0.0}, margin=0.0, entropy=math.log(2))
    three = guess(1 / 3 + 1e-12)
    assert figures(two, {})["margin"] == pytest.approx(figures(three, {})["margin"], abs=1e-6)
    assert figures(two, {})["entropy"] < figures(three, {})["entropy"]
    assert figures(two, {})["least_confidence"] < figures(three, {})["least_confidence"]


def test_people_who_confuse_a_class_disagree_about_it() -> None:
    def cell(truth: str, answered: str, answers: int) -> ev.ConfusionCell:
        return ev.ConfusionCell(truth=truth, answered=answered, answers=answers)

    def skill(who: str, *cells: ev.ConfusionCell) -> ev.Skill:
        return ev.Skill(annotator_id=who, accuracy=0.7, low=0.6, high=0.8, judged=80, correct=56, confusion=cells)

    crowd = confusions_of(
        [
            skill("ann", cell("positive", "positive", 50), cell("positive", "neutral", 50)),
            skill("bob", cell("negative", "negative", 100), cell("positive", "positive", 10)),
        ]
    )
    for row in crowd.values():
        assert math.fsum(row.values()) == pytest.approx(1.0)
    assert crowd["positive"]["neutral"] == pytest.approx(50 / 114)
    of_positive, of_negative = guess(0.95, value="positive"), guess(0.95, value="negative")
    assert figures(of_positive, crowd)["disagreement"] > 2 * figures(of_negative, crowd)["disagreement"]
    assert figures(of_positive, {})["disagreement"] == pytest.approx(figures(of_negative, {})["disagreement"])


def test_what_is_explored_has_the_place_of_chance_and_audits_have_their_own() -> None:
    drawn = Standpoint(ev.Order(explore=0.2), Draws(0.5, 0.5, 0.5, 0.1))
    assert value(guess(1.0), drawn) == value(None, drawn) == value(guess(0.9), drawn, audit=True) == 0.5
    assert value(guess(1.0), replace(drawn, draws=DRAWS)) == pytest.approx(0.0)
    audits = Standpoint(ev.Order(audits=0.4), DRAWS)
    assert value(guess(0.99), audits, audit=True) == value(guess(0.81), audits, audit=True) == 0.4


@given(
    st.floats(0.34, 1.0), st.floats(0, 1), st.floats(0, 1e6), st.floats(0.1, 100),
    st.dictionaries(st.sampled_from([*FIGURES, "random", "diversity"]), st.floats(0, 1000)),
)  # fmt: skip
def test_the_score_is_finite_bounded_and_ages(
    confidence: float, urgency: float, age_s: float, age_days: float, weights: dict[str, float]
) -> None:
    at = Standpoint(ev.Order(age_days=age_days, **weights), DRAWS)
    assert -1e-9 <= value(guess(confidence), at) <= 1.0 + 1e-9
    base = priority(guess(confidence), make.AT, urgency=urgency, at=at)
    assert math.isfinite(base)
    assert priority(guess(confidence), make.at(-age_s), urgency=urgency, at=at) >= base
    assert priority(guess(confidence), make.AT, urgency=1.0, at=at) >= base
    old = priority(guess(1.0), make.at(-86_400 * age_days - 10), at=at)
    assert old >= priority(None, make.AT, at=at) - 1e-4  # so many days outweigh all doubt


def words(seed: int, number: int = 40) -> str:
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(number))


def text(content: str) -> bytes:
    found = sketch_of(ev.TextContent(text=content))
    assert found is not None
    return found


def test_a_sketch_keeps_likeness() -> None:
    one = words(1)
    near = one.replace(one.split()[7], "another", 1)
    assert len(text(one)) == 32
    assert text(one) == text(one.upper())
    assert float(vector_of(text(one)) @ vector_of(text(near))) > 0.9
    far = [float(vector_of(text(one)) @ vector_of(text(words(n)))) for n in range(2, 200)]
    assert max(far) < 0.8
    assert abs(float(np.mean(far))) < 0.1
    draw = np.random.default_rng(3)
    numbers = draw.normal(size=64)
    same = sketch_of(ev.FeaturesContent(features=tuple(numbers + draw.normal(size=64) * 0.05)))
    other = sketch_of(ev.FeaturesContent(features=tuple(draw.normal(size=64))))
    mine = sketch_of(ev.FeaturesContent(features=tuple(numbers)))
    assert mine is not None
    assert same is not None
    assert other is not None
    assert vector_of(mine) @ vector_of(same) > 0.97
    assert vector_of(mine) @ vector_of(other) < 0.75


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_a_sketch_has_length_one(content: str) -> None:
    found = sketch_of(ev.TextContent(text=content))
    assume(found is not None)  # the few sums of a short text may cancel
    assert found is not None
    assert np.linalg.norm(vector_of(found)) == pytest.approx(1.0, abs=1e-5)


def test_what_cannot_be_seen_into_has_no_sketch() -> None:
    assert sketch_of(ev.MediaContent(kind="image", uri="https://x.example/1.png")) is None
    assert sketch_of(ev.FeaturesContent(features=(0.0, 0.0))) is None
    assert sketch_of(ev.FeaturesContent(features=(1e308, 1e308))) is not None
    assert sketch_of(ev.JsonContent(fields={"a": 1})) is not None


def test_near_duplicates_come_down_and_are_all_kept() -> None:
    order = ev.Order(duplicates=0.6, **NONE)
    around = Surroundings(recent=8, centres=4)
    original = words(1)
    assert around.spread("a", text(original), order) == 0.0
    copies = [around.spread(f"copy{n}", text(original), order) for n in range(5)]
    assert copies == [pytest.approx(-0.6, abs=0.01)] * 5
    assert around.spread("b", text(words(2)), order) == 0.0
    assert around.spread("copy1", text(original), order) == copies[1]  # a batch that is tried anew
    assert around.spread("a", text(original), order) == 0.0  # not a copy of itself
    for n in range(10, 18):
        around.spread(f"other{n}", text(words(n)), order)
    assert around.spread("late", text(original), order) == 0.0  # forgotten: the memory is bounded
    assert around.spread("x", None, order) == around.spread("y", text(original), None) == 0.0
    assert around.spread("z", text(original), ev.Order()) == 0.0


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 120))
def test_few_centres_cover_everything(seed: int, limit: int, number: int) -> None:
    """The guarantee of the doubling algorithm: within four radii of a centre; centres further apart than two."""
    draw = np.random.default_rng(seed)
    order = ev.Order(diversity=1.0, **NONE)
    around = Surroundings(recent=16, centres=limit)
    seen = []
    for n in range(number):
        sketch = sketch_of(ev.FeaturesContent(features=tuple(draw.normal(size=8) + 3 * draw.integers(0, 3, size=8))))
        assert sketch is not None
        assert 0.0 <= around.spread(n, sketch, order) <= 1.0
        seen.append(vector_of(sketch))
    centres = around.centres
    assert len(centres) <= limit
    for vector in seen:
        gap = np.sqrt(np.maximum(0.0, 2 - 2 * centres @ vector)).min()
        assert gap <= 4 * around.radius + 1e-3


def test_what_all_items_have_in_common_makes_no_duplicates() -> None:
    order = ev.Order(duplicates=1.0, **NONE)
    around = Surroundings()
    head = "dear customer, thank you for your order with the number that you find below; "
    found = [around.spread(n, text(head + words(n, 12)), order) for n in range(300)]
    assert sum(one < 0.0 for one in found[100:]) < 10
    assert around.spread("copy", text(head + words(299, 12)), order) == pytest.approx(-1.0)


def test_diversity_prefers_what_is_unlike_the_rest() -> None:
    order = ev.Order(diversity=1.0, **NONE)
    around = Surroundings(centres=8)
    draw = np.random.default_rng(5)
    middle = draw.normal(size=64)

    def near(scale: float, base: Any) -> bytes:
        found = sketch_of(ev.FeaturesContent(features=tuple(base + draw.normal(size=64) * scale)))
        assert found is not None
        return found

    for n in range(200):
        around.spread(n, near(0.5, middle), order)
    usual = [around.spread(f"u{n}", near(0.5, middle), order) for n in range(20)]
    strange = [around.spread(f"s{n}", near(0.1, draw.normal(size=64) * 3), order) for n in range(3)]
    assert min(strange) > max(usual)
