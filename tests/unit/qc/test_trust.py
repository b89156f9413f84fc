"""The gold test keeps its promise, finds bad work, and is what its results say in any order of what is told."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.qc.domain.scale import Kind, Scale
from services.qc.domain.trust import Limits, Trust, convicted, heard, heard_again, limits, quarantine, told
from shared.events import GoldPolicy
from tests.support import events as make
from tests.support.qc_domain import CLOSED

RULES = Limits(acceptable=0.75, unacceptable=0.5, false_alarm=0.05)


def answers_until_convicted(rng: Random, accuracies: list[float]) -> int | None:
    """After how many results somebody with these accuracies, one a result, is convicted; None for never."""
    known = Trust()
    for number, accuracy in enumerate(accuracies, 1):
        known = heard(known, RULES, correct=rng.random() < accuracy)
        if convicted(known, RULES):
            return number
    return None


def test_acceptable_people_are_convicted_no_more_often_than_stated() -> None:
    """800 people of just acceptable accuracy, looked at after each of 200 results: three standard errors of room."""
    rng = Random(1)
    runs = 800
    convictions = sum(answers_until_convicted(rng, [0.75] * 200) is not None for _ in range(runs))
    assert convictions <= RULES.false_alarm * runs + 3 * (RULES.false_alarm * runs) ** 0.5


@pytest.mark.parametrize(("accuracy", "median"), [(0.5, 32), (0.3, 14), (0.1, 9)])
def test_bad_work_is_found_soon(accuracy: float, median: int) -> None:
    rng = Random(2)
    found = sorted(answers_until_convicted(rng, [accuracy] * 500) or 500 for _ in range(400))
    assert found[200] <= median
    assert found[-1] < 500


def test_later_decay_is_found_too() -> None:
    """A plain product of ratios would first have to undo 200 good answers."""
    rng = Random(3)
    found = [answers_until_convicted(rng, [0.95] * 200 + [0.3] * 200) for _ in range(200)]
    after = sorted(number - 200 for number in found if number is not None and number > 200)
    assert len(after) >= 195
    assert after[len(after) // 2] <= 40


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60))
def test_results_read_again_give_the_same_evidence(results: list[bool], cut: int) -> None:
    known = Trust()
    for correct in results:
        known = heard(known, RULES, correct=correct)
    half = heard_again(Trust(), RULES, results[:cut])
    for correct in results[cut:]:
        half = heard(half, RULES, correct=correct)
    assert half == known == heard_again(known, RULES, results)
    assert (known.answers, known.correct) == (len(results), sum(results))


@given(st.permutations(range(4)))
def test_the_newest_word_holds_in_any_order(order: list[int]) -> None:
    words = [(True, "a"), (False, "b"), (True, "c"), (False, "d")]
    known = Trust(answers=7, evidence=3.0)
    for place in order:
        active, reason = words[place]
        known = told(known, active=active, reason=reason, at=make.at(place), latest=9)
    assert (known.quarantined, known.reason) == (False, "d")
    assert known == told(known, active=True, reason="late", at=make.at(2), latest=9)


def test_a_reinstated_person_starts_afresh() -> None:
    known = quarantine(heard_again(Trust(), RULES, [False] * 20), RULES, make.at(0))
    assert known.review == 0
    assert "0 of 20 right" in known.reason
    assert not convicted(known, RULES)
    fresh = told(known, active=False, reason="", at=make.at(1), latest=123)
    assert (fresh.answers, fresh.evidence, fresh.since, fresh.review) == (0, 0.0, 123, None)
    assert convicted(heard_again(fresh, RULES, [False] * 20), RULES)


def test_default_limits_follow_the_scale() -> None:
    two = limits(GoldPolicy(), replace(CLOSED, classes=("a", "b"), size=2))
    ten = limits(GoldPolicy(), replace(CLOSED, classes=tuple("abcdefghij"), size=10))
    assert (two.acceptable, two.unacceptable) == pytest.approx((0.75, 0.575))
    assert (ten.acceptable, ten.unacceptable) == pytest.approx((0.55, 0.235))
    assert limits(GoldPolicy(), Scale(Kind.NUMERIC)).acceptable == pytest.approx(0.5)
    own = limits(GoldPolicy(acceptable=0.9, unacceptable=0.6, false_alarm=0.1), CLOSED)
    assert own == Limits(0.9, 0.6, 0.1)


@pytest.mark.parametrize(("right", "reason"), [(2, "calibration: 2 of 5 right, below 60%"), (3, None)])
def test_who_gets_too_little_of_the_first_gold_right_is_asked_no_more(right: int, reason: str | None) -> None:
    known, rules = Trust(), limits(GoldPolicy(calibration=5, calibration_pass=0.6), CLOSED)
    for number in range(5):
        assert not convicted(known, rules)
        known = heard(known, rules, correct=number < right)
    assert convicted(known, rules) is (reason is not None)
    assert reason is None or quarantine(known, rules, make.AT).reason == reason
    assert not convicted(heard(known, rules, correct=False), rules)  # it is asked once


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="say how many"):
        GoldPolicy(calibration_pass=0.6)
    with pytest.raises(ValueError, match="not below acceptable"):
        GoldPolicy(acceptable=0.6, unacceptable=0.7)
