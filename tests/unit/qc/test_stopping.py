"""Every rule of the stopping rule, and that every round comes to rest."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain.fold import decide_one
from services.qc.domain.item import Answer, ItemState
from services.qc.domain.rounds import round_of
from services.qc.domain.stopping import Request, Verdict, Wait
from shared.events import Annotation, Ask, Audience, Escalation, Label, Path, Policy, SkipReason
from shared.labels import Choice, Rating
from tests.support import events as make
from tests.support.qc_domain import (
    CLOSED,
    CONTEXT,
    NOTHING,
    NUMERIC,
    STRANGERS,
    answers,
    decision,
    known,
    policy,
)

EXPERT = Audience.EXPERT


def skips(*reasons: SkipReason, **more: Any) -> list[Annotation]:
    return [make.skip(by=f"skip{n}", why=why, **more) for n, why in enumerate(reasons)]


def expert(value: str = "neutral", **more: Any) -> Annotation:
    return make.annotation(by="expert", role=EXPERT, value=value, **more)


def test_it_waits_for_the_minimum() -> None:
    assert decision(answers("positive"), policy(2, 3)) == Wait()


def test_one_opinion_where_the_policy_asks_for_one_is_a_single_label_without_agreement() -> None:
    found = decision(answers("positive"), policy(1, 1, experts=True), parameters=STRANGERS)
    assert isinstance(found, Verdict)
    assert (found.path, found.value, found.agreement) == (Path.SINGLE, Choice(choice="positive"), None)
    assert found.posterior == pytest.approx(0.8)


def test_below_the_target_it_asks_for_one_more_and_then_waits_for_it() -> None:
    two = answers("positive", "negative")
    found = decision(two, policy(2, 4))
    assert found == Request(Ask.OPINION, 3, found.reason, found.posterior)  # type: ignore[union-attr]
    assert decision(two, policy(2, 4), asked=3) == Wait()
    third = decision([*two, make.annotation(by="third", value="neutral")], policy(2, 4), asked=3)
    assert isinstance(third, Request)
    assert third.opinions_wanted == 4


def test_at_the_target_it_ends_in_consensus() -> None:
    trusted = known({"ann0": (50, 49), "ann1": (50, 49)})
    found = decision(answers("positive", "positive"), policy(2, 5), parameters=trusted)
    assert isinstance(found, Verdict)
    assert (found.path, found.agreement) == (Path.CONSENSUS, 1.0)
    assert found.posterior is not None
    assert found.posterior >= 0.95
    assert found.distribution is not None
    assert sum(found.distribution.values()) == pytest.approx(1.0)


def test_a_lone_trusted_answer_may_end_it_but_a_strangers_may_not() -> None:
    trusted = known({"ann0": (200, 199)})
    found = decision(answers("positive"), policy(1, 3), parameters=trusted)
    assert isinstance(found, Verdict)
    assert found.path is Path.SINGLE
    assert found.agreement is None
    assert isinstance(decision(answers("positive"), policy(1, 3)), Request)


def test_at_the_maximum_an_expert_is_asked_once() -> None:
    three = answers("positive", "negative", "neutral")
    found = decision(three, policy(1, 3, experts=True), asked=3)
    assert isinstance(found, Request)
    assert (found.ask, found.opinions_wanted) == (Ask.EXPERT, 4)
    assert decision(three, policy(1, 3, experts=True), asked=3, expert_asked=True) == Wait()


def test_at_the_maximum_without_experts_the_best_posterior_stands_or_nothing() -> None:
    three = answers("positive", "negative", "positive")
    found = decision(three, policy(1, 3), asked=3)
    assert isinstance(found, Verdict)
    assert found.value == Choice(choice="positive")
    assert found.agreement == pytest.approx(2 / 3)
    strict = decision(three, policy(1, 3, on_unresolved="unresolved"), asked=3)
    assert isinstance(strict, Request)
    assert strict.ask is Ask.UNRESOLVED


@pytest.mark.parametrize("before", [(), ("positive",), ("positive", "negative", "neutral")])
def test_an_experts_answer_ends_it_whatever_people_said(before: tuple[str, ...]) -> None:
    found = decision([*answers(*before), expert()], policy(1, 3, experts=True))
    assert isinstance(found, Verdict)
    assert (found.path, found.value, found.posterior) == (Path.EXPERT, Choice(choice="neutral"), None)
    assert found.agreement == (None if not before else pytest.approx((before.count("neutral") + 1) / (len(before) + 1)))


def test_an_experts_skip_ends_it_without_a_label() -> None:
    events = [*answers("positive"), make.skip(by="expert", role=EXPERT)]
    found = decision(events, policy(1, 3, experts=True), expert_asked=True)
    assert found == Request(Ask.UNLABELABLE, 0, "expert skipped: unclear")


def test_enough_equal_skips_go_to_an_expert_or_end_it() -> None:
    unclear, other = SkipReason.UNCLEAR, SkipReason.OTHER
    assert decision(skips(unclear), policy()) == Wait()
    assert decision(skips(unclear, other), policy()) == Wait()
    assert decision(skips(unclear, other, unclear), policy()) == Request(Ask.UNLABELABLE, 0, "2 skipped: unclear")
    found = decision(skips(unclear, unclear), policy(experts=True))
    assert found == Request(Ask.EXPERT, 1, "2 skipped: unclear")
    assert decision(skips(unclear, unclear, unclear), policy(experts=True), expert_asked=True) == Wait()


def test_a_skip_does_not_stand_for_an_opinion() -> None:
    assert decision([*answers("positive"), *skips(SkipReason.OTHER)], policy(2, 3)) == Wait()


def test_when_people_run_out_the_best_posterior_stands_or_nothing() -> None:
    nobody = make.exhausted()
    assert decision([nobody], policy()) == Request(Ask.UNRESOLVED, 0, "nobody is left who could answer")
    found = decision([*answers("positive"), nobody], policy(3, 5))
    assert isinstance(found, Verdict)
    assert (found.path, found.agreement) == (Path.SINGLE, None)
    two = decision([*answers("positive", "positive"), nobody], policy(3, 5))
    assert isinstance(two, Verdict)
    assert two.path is Path.CONSENSUS
    strict = decision([*answers("positive"), nobody], policy(3, 5, on_unresolved="unresolved"))
    assert isinstance(strict, Request)
    assert strict.ask is Ask.UNRESOLVED
    waiting = decision([*answers("positive", "negative", "neutral"), nobody], policy(experts=True), expert_asked=True)
    assert isinstance(waiting, Verdict)


def test_late_answers_say_nothing_about_the_label() -> None:
    late = make.annotation(by="late", value="negative", late=True)
    found = decision([*answers("positive"), late], policy(1, 1))
    assert isinstance(found, Verdict)
    assert len(found.votes) == 1
    assert decision([late], policy(1, 1)) == Wait()


def test_a_later_round_pools_earlier_answers_but_asks_for_its_own_minimum() -> None:
    first = answers("positive", "positive", by="first")
    second = make.annotation(by="second", value="positive", round=2)
    assert decision(first, policy(1, 3), number=2) == Wait()
    found = decision([*first, second], policy(1, 3, target=0.9), number=2)
    assert isinstance(found, Verdict)
    assert len(found.votes) == 3
    assert found.path is Path.CONSENSUS


def test_a_guideline_that_changed_a_class_retires_older_answers_of_it() -> None:
    item = ItemState()
    for event in (*answers("neutral", "positive", by="first"), make.annotation(by="x", round=2, guideline_version=2)):
        item.admit(Answer.of(event))
    found = round_of(item, 2, guideline=2, touched={1: frozenset({"positive"}), 2: frozenset({"neutral"})})
    assert [a.symbol for a in found.earlier] == []
    found = round_of(item, 2, guideline=1, touched={1: frozenset({"positive"}), 2: frozenset({"neutral"})})
    assert [a.symbol for a in found.earlier] == ["neutral"]


def test_a_label_is_always_a_value_that_somebody_gave() -> None:
    mirror = known({"ann0": (80, 0), "ann1": (80, 0)})
    found = decision(answers("positive", "positive"), policy(2, 2), parameters=mirror)
    assert isinstance(found, Verdict)
    assert found.value == Choice(choice="positive")
    assert found.posterior == pytest.approx(0.5, abs=0.01), "all of the votes, none of the model's belief"


def test_an_exact_tie_favours_no_class() -> None:
    winners = set()
    for n in range(20):
        item = make.annotation(f"i{n}", by="a", value="positive"), make.annotation(f"i{n}", by="b", value="negative")
        state = ItemState()
        for event in item:
            label = (state.admit(Answer.of(event)), decide_one(state, event, CONTEXT, NOTHING, make.AT))[1]
        assert isinstance(label, Escalation)
        label = decide_one(_with(state, make.exhausted(f"i{n}")), make.exhausted(f"i{n}"), CONTEXT, NOTHING, make.AT)
        assert isinstance(label, Label)
        winners.add(label.value)
    assert winners == {Choice(choice="positive"), Choice(choice="negative")}


def _with(item: ItemState, event: Annotation) -> ItemState:
    item.admit(Answer.of(event))
    return item


def test_numbers_end_when_most_are_near_their_middle() -> None:
    def found(*numbers: float, least: int = 1, most: int = 3, asked: int = 0) -> object:
        return decision(answers(*numbers), policy(least, most), scale=NUMERIC, asked=asked)

    assert isinstance(found(3.0), Request)
    two = found(3.0, 4.0, asked=2)
    assert isinstance(two, Verdict)
    assert (two.value, two.posterior, two.agreement) == (Rating(rating=3.0), None, 1.0)
    assert isinstance(found(1.0, 5.0, asked=2), Request)
    three = found(1.0, 5.0, 4.0, asked=3)
    assert isinstance(three, Verdict)
    assert three.value == Rating(rating=4.0)
    apart = found(1.0, 5.0, 9.0, asked=3)
    assert isinstance(apart, Verdict)
    assert isinstance(found(3.0, most=1), Verdict)


moves = st.one_of(
    st.tuples(st.just("answer"), st.sampled_from(CLOSED.classes)),
    st.tuples(st.just("skip"), st.sampled_from(list(SkipReason))),
    st.tuples(st.just("late"), st.sampled_from(CLOSED.classes)),
)
policies = st.builds(
    policy,
    st.integers(1, 3),
    st.integers(3, 5),
    target=st.sampled_from([0.6, 0.95, 0.999]),
    experts=st.booleans(),
    on_unresolved=st.sampled_from(["best_posterior", "unresolved"]),
)


def _event(kind: str, detail: str, n: int, rules: Policy) -> Annotation:
    if kind == "skip":
        return make.skip(by=f"p{n}", why=SkipReason(detail), policy=rules)
    return make.annotation(by=f"p{n}", value=detail, late=kind == "late", policy=rules)


@settings(deadline=None)
@given(st.lists(moves, max_size=12), policies, st.sampled_from(["nobody", "answer", "skip"]))
def test_every_round_comes_to_rest_once_and_stays_there(script: list[tuple[str, str]], rules: Policy, end: str) -> None:
    """People answer only while opinions are wanted; then an expert if one was asked; then nobody is left."""
    item, decided = ItemState(), []
    wanted, with_expert = rules.overlap.min, False

    def take(event: Annotation) -> None:
        item.admit(Answer.of(event))
        found = decide_one(item, event, CONTEXT, NOTHING, make.AT)
        if found is not None:
            decided.append(found)

    for n, (kind, detail) in enumerate(script):
        given = sum(a.is_answer and not a.late for a in item.answers.values())
        if kind != "answer" or (given < wanted and not with_expert):
            take(_event(kind, detail, n, rules))
        asks = [d for d in decided if isinstance(d, Escalation)]
        wanted = max([wanted, *(d.opinions_wanted for d in asks if d.ask is Ask.OPINION)])
        with_expert = any(d.ask is Ask.EXPERT for d in asks)
    if with_expert and end == "answer":
        take(expert(policy=rules))
    elif with_expert and end == "skip":
        take(make.skip(by="expert", role=EXPERT, policy=rules))
    take(make.exhausted(policy=rules))

    asks = [d for d in decided if isinstance(d, Escalation)]
    ends = [d for d in asks if d.ask in (Ask.UNLABELABLE, Ask.UNRESOLVED)]
    labels = [d for d in decided if isinstance(d, Label)]
    assert len(ends) + len(labels) == 1
    assert item.ended(1)
    assert len({d.event_id for d in decided}) == len(decided)
    assert wanted <= rules.overlap.max
    assert all(rules.experts for d in asks if d.ask is Ask.EXPERT)
    for label in labels:
        votes = [a for a in item.answers.values() if a.is_answer and not a.late]
        assert label.opinions == len(votes) == len(label.evidence.votes)
        assert (label.evidence.agreement is None) == (len(votes) < 2)
