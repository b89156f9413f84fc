"""The order of the queue: figures, weights, what other items say."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assignment.domain.draws import Draws
from services.assignment.domain.guess import Guess, newest
from services.assignment.domain.priority import FIGURES, Standpoint, figures, priority, value
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
    copy, other = replace(drawn, spread=-0.5), replace(drawn, spread=-0.5, draws=DRAWS)
    assert priority(None, make.AT, at=copy) == priority(None, make.AT, at=drawn)
    assert priority(None, make.AT, at=other) < priority(None, make.AT, at=replace(other, spread=0.0))
    held = guess(0.5, held_out=True)
    assert value(held, drawn) == 0.5
    assert value(held, replace(drawn, draws=DRAWS)) == 0.0 < value(guess(0.5), replace(drawn, draws=DRAWS))
    assert value(held, Standpoint(ev.Order(), DRAWS)) == value(guess(0.5), Standpoint(ev.Order(), DRAWS))
    unknown = Guess.of(make.abstention("i1", held_out=True))
    assert value(unknown, replace(drawn, draws=DRAWS)) == value(None, replace(drawn, draws=DRAWS)) == 1.0
    assert value(newest(unknown, guess(0.5)), replace(drawn, draws=DRAWS)) == 0.0
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
