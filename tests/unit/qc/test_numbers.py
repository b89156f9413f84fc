"""Scales, ratings, agreement, majority, skill, gold, undecided rounds, and the events made of them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain.agreement import agreeing_pairs
from services.qc.domain.conduct import Conduct
from services.qc.domain.counts import ANY, MILLS, Source
from services.qc.domain.facts import gold_correct
from services.qc.domain.gold import rescore, score
from services.qc.domain.item import Answer
from services.qc.domain.majority import expected_correct, winners
from services.qc.domain.numeric import estimate, settled
from services.qc.domain.outcomes import cost_of, gold_result_of, label_of
from services.qc.domain.reports import skill_of
from services.qc.domain.scale import Kind, Scale, same, scale_of, symbol_of
from services.qc.domain.skill import beta_cdf, beta_quantile, skill
from services.qc.domain.stopping import Verdict
from services.qc.domain.undecided import undecided_cells
from shared.events import Audience, CostModel, GoldResult, Path, Skill
from shared.labels import (
    Choices,
    ChoiceSchema,
    ChoicesSchema,
    ObjectSchema,
    Rating,
    RatingSchema,
    Transcript,
)
from tests.support import events as make
from tests.support.qc_domain import CLOSED, NOTHING, NUMERIC, OPEN, answers, says


def test_scales_follow_the_label_schema() -> None:
    assert scale_of(ChoiceSchema(classes=("a", "b"))) == Scale(Kind.CLOSED, ("a", "b"), 2)
    assert scale_of(ChoicesSchema(classes=("a", "b", "c"), min=1, max=2)) == Scale(Kind.OPEN, size=6)
    assert scale_of(ChoicesSchema(classes=tuple(f"c{n}" for n in range(100)))).size == 1000
    assert scale_of(RatingSchema(min=1, max=5, step=1)).tolerance == 1
    assert scale_of(RatingSchema(min=0, max=100)).tolerance == pytest.approx(5)
    assert scale_of(ObjectSchema(kind="spans", classes=("a",))).kind is Kind.FUSED


def test_long_values_are_named_by_their_hash() -> None:
    assert symbol_of(make.choice("x")) == "x"
    assert symbol_of(Choices(choices=("b", "a"))) == "a|b"
    assert len(symbol_of(Transcript(text="word " * 1000))) < 100
    assert same(Rating(rating=2), Rating(rating=3), NUMERIC)
    assert not same(Rating(rating=2), Rating(rating=3.5), NUMERIC)


def test_a_stepped_scale_takes_the_median_and_any_number_the_mean() -> None:
    assert estimate([1, 5, 2], NUMERIC) == 2
    assert estimate([1, 4], NUMERIC) == 1
    smooth = Scale(Kind.NUMERIC, tolerance=0.5)
    assert estimate([1, 5, 3], smooth) == 3
    assert not settled([1], smooth)
    assert settled([1, 1.4], smooth)
    assert not settled([1, 3], smooth)
    with pytest.raises(ValueError, match="no numbers"):
        estimate([], smooth)


def test_agreeing_pairs() -> None:
    assert agreeing_pairs("aab") == 1


def test_majority_counts_ties_at_expectation() -> None:
    assert winners(["a", "b", "a"]) == ("a",)
    assert winners([]) == ()
    assert expected_correct(["a", "b"], "a") == 0.5
    assert expected_correct(["a", "b"], "c") == 0.0


@pytest.mark.parametrize(
    ("x", "a", "b", "expected"),
    [(0.5, 1, 1, 0.5), (0.5, 2, 3, 0.6875), (0.9, 9, 2, 0.7360989291), (0.2, 0.5, 0.5, 0.2951672353)],
)
def test_the_beta_distribution(x: float, a: float, b: float, expected: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(expected, abs=1e-9)
    assert beta_quantile(expected, a, b) == pytest.approx(x, abs=1e-8)


@settings(deadline=None)
@given(st.integers(0, 5000), st.floats(0, 1))
def test_skill_lies_inside_its_interval(judged: int, share: float) -> None:
    found = skill(judged, round(judged * share * 1000))
    assert 0.0 <= found.low <= found.accuracy <= found.high <= 1.0
    assert found.correct <= found.judged


def test_skill_narrows_with_answers() -> None:
    assert skill(0, 0).accuracy == 0.5
    few, many = skill(10, 8000), skill(1000, 800_000)
    assert many.high - many.low < 0.06 < few.high - few.low
    who, cells = ("p", "ann"), {("yes", "yes"): 8, ("yes", "no"): 2}
    event = skill_of(who, 10, 8000, cells, Conduct(), snapshot=3, now=make.AT)
    assert isinstance(event.measurement, Skill)
    assert event.event_id == skill_of(who, 10, 8000, cells, Conduct(), snapshot=9, now=make.at(5)).event_id
    assert event.event_id != skill_of(who, 11, 8000, cells, Conduct(), snapshot=3, now=make.AT).event_id
    moved = {("yes", "yes"): 8, ("no", "yes"): 2}
    assert event.event_id != skill_of(who, 10, 8000, moved, Conduct(), snapshot=3, now=make.AT).event_id


def test_an_opinion_is_paid_once_and_the_prediction_in_the_first_round() -> None:
    costs = CostModel(opinion=0.1, expert=0.5, prediction=0.001)
    fresh = [Answer.of(event) for event in answers("positive", "negative")]
    expert = Answer.of(make.annotation(by="e", role=Audience.EXPERT))
    assert cost_of([*fresh, expert], costs, predicted=True) == pytest.approx(0.701)
    assert cost_of(fresh, costs, predicted=False) == pytest.approx(0.2)


def test_gold_is_scored_once_and_again_when_its_answer_changes() -> None:
    answer = Answer.of(make.annotation("gold-1", by="ann", value="positive", gold=True))
    key = (make.PROJECT, "gold-1")
    pending = score(key, answer, None, CLOSED, make.AT)
    assert (pending.expected, pending.event) == (None, None)
    assert pending.delta.given == {"ann": 1}
    assert pending.delta.answers == {}
    right = rescore(make.gold_answer(), answer, CLOSED, expected_before=None, correct_before=None, now=make.AT)
    assert isinstance(right.event, object)
    assert right.correct is True
    assert right.delta.answers == {("ann", "positive", "positive", Source.GOLD.value): 1}
    assert score(key, answer, make.gold_answer(), CLOSED, make.AT).event == right.event
    wrong = rescore(
        make.gold_answer(value="negative"), answer, CLOSED, expected_before="positive", correct_before=True, now=make.AT
    )
    total = right.delta
    total.add(wrong.delta)
    assert total.nonzero().answers == {("ann", "negative", "positive", Source.GOLD.value): 1}
    assert right.event is not None
    assert wrong.event is not None
    assert isinstance(wrong.event.measurement, GoldResult)
    assert wrong.event.measurement.correct is False
    assert wrong.event.event_id != right.event.event_id


def test_gold_skips_are_counted_and_not_scored() -> None:
    skip = Answer.of(make.skip("gold-1", by="ann", gold=True))
    found = score((make.PROJECT, "gold-1"), skip, make.gold_answer(), CLOSED, make.AT)
    assert found.event is None
    assert found.delta.skipped == {"ann": 1}


def test_gold_numbers_are_right_within_the_tolerance() -> None:
    answer = Answer.of(make.annotation("g", by="ann", value=Rating(rating=4), gold=True))
    near = make.gold_answer("g").model_copy(update={"value": Rating(rating=3)})
    assert gold_correct(answer, near, NUMERIC)
    assert not gold_correct(answer, near.model_copy(update={"value": Rating(rating=2)}), NUMERIC)
    found = score((make.PROJECT, "g"), answer, near, NUMERIC, make.AT)
    assert found.delta.answers == {("ann", ANY, "=", "gold"): 1}


def test_undecided_rounds_weigh_in_scaled_and_undecided() -> None:
    rounds = [says(("a", "positive"), ("b", "negative")), says(("a", "positive"))]
    cells = undecided_cells(rounds, CLOSED, NOTHING, total=20, taken=2)
    assert all(cell.answers == 0 and cell.source is Source.UNDECIDED for cell in cells)
    by_person = {who: sum(c.weight for c in cells if c.annotator_id == who) for who in "ab"}
    assert by_person == {"a": 10 * MILLS, "b": 10 * MILLS}
    right = sum(c.weight for c in cells if c.truth == c.answered)
    assert math.isclose(right, 10 * MILLS, rel_tol=0.2)
    assert undecided_cells(rounds, NUMERIC, NOTHING, total=2, taken=2) == []
    assert undecided_cells([], OPEN, NOTHING, total=0, taken=0) == []


def test_a_label_says_the_slice_and_a_gold_result_the_guideline_of_its_answer() -> None:
    cause = make.annotation(slice="shop", guideline_version=3)
    answer = Answer.of(cause)
    verdict = Verdict(make.choice("positive"), Path.SINGLE, (answer,), None, "one is enough")
    label = label_of(verdict, cause, CostModel(), supersedes=None, snapshot=1, now=make.at(1))
    assert (label.slice, label.guideline_version) == ("shop", 3)
    told = gold_result_of(make.PROJECT, "g", answer, "positive", correct=True, now=make.at(1)).measurement
    assert isinstance(told, GoldResult)
    assert told.guideline_version == 3
