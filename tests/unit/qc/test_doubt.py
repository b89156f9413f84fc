"""Labels that a later snapshot doubts or revises: which, in what order, and that a doubt costs an opinion at least."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain.doubt import (
    LAST_REVISION,
    Doubt,
    Search,
    Standing,
    Standpoint,
    chosen,
    doubted,
    in_doubt,
    revised,
    suspects,
)
from services.qc.domain.fold import decide_one
from services.qc.domain.item import Answer, End, ItemState, LiveLabel, Reached
from services.qc.domain.outcomes import doubt_of, revision_of
from services.qc.domain.overlap import beside, more_opinions
from services.qc.domain.refresh import Given
from services.qc.domain.rounds import round_of
from services.qc.domain.scale import Kind
from services.qc.domain.stopping import Request, Verdict, Wait, decide
from shared.events import Annotation, Ask, Audience, ConsensusPolicy, CostModel, Label, Path, Policy
from shared.labels import Choice
from tests.support import events as make
from tests.support.qc_domain import CLOSED, CONTEXT, known, policy

GOOD = {"ann": (200, 190), "bob": (200, 190), "cyd": (200, 190)}
BELIEVED = known({"sam": (60, 59), "sue": (60, 59)}, snapshot=3)
SPAMMERS = known({**GOOD, "sam": (200, 67), "sue": (200, 67)}, snapshot=9)
EVERYBODY = frozenset({*GOOD, "sam", "sue"})
AT = Standpoint(SPAMMERS, CLOSED, policy(2, 4), people=EVERYBODY)


def labelled(*by: str, rules: Policy | None = None, value: str = "negative", **more: Any) -> ItemState:
    """An item that these people gave a label, believed at that time."""
    item, events = ItemState(), [make.annotation(by=who, value=value, policy=rules or policy(2, 4)) for who in by]
    for event in events:
        item.admit(Answer.of(event))
        decide_one(item, event, CONTEXT, more.get("parameters", BELIEVED), make.AT)
    return item


def test_a_label_is_doubted_when_its_people_turn_out_to_be_spammers() -> None:
    item = labelled("sam", "sue")
    assert item.label is not None
    found = doubted(item, AT)
    assert found is not None
    assert (found.version, found.reached.snapshot, found.reached.most, found.reached.target) == (1, 3, 4, 0.95)
    assert found.posterior < 0.5
    assert found.reached.posterior >= 0.95
    event = doubt_of("p", "i", found, 9, now=make.AT)
    assert (event.round, event.opinions, event.requested_by, event.cause.value) == (1, 1, "qc", "label_error")
    assert event.urgency == pytest.approx(1.0 - found.posterior, abs=1e-6)
    assert "under snapshot 3" in event.evidence
    assert f"{found.posterior:.3f} under snapshot 9" in event.evidence
    assert doubted(item, replace(AT, parameters=BELIEVED)) is None


def test_a_rounding_is_no_doubt() -> None:
    assert not in_doubt(0.946, 0.95)
    assert in_doubt(0.944, 0.95)


def later(item: ItemState) -> None:
    item.admit(Answer.of(make.annotation(by="zoe", round=2)))


def asked_for(item: ItemState) -> None:
    item.merge_relabel(make.relabel())


def by_expert(item: ItemState) -> None:
    assert item.label is not None
    item.label = replace(item.label, path=Path.EXPERT)


def by_model(item: ItemState) -> None:
    item.label = LiveLabel(1, Path.AUTO, "negative", Kind.CLOSED, {})


def read_back(item: ItemState) -> None:
    item.rounds[1].reached = None


def erased(item: ItemState) -> None:
    item.erased = True


def in_the_last_round(item: ItemState) -> None:
    assert item.label is not None
    item.rounds[3], item.label = item.rounds.pop(1), replace(item.label, version=3)


def with_an_expert_before(item: ItemState) -> None:
    item.admit(Answer.of(make.annotation(by="eva", value="negative", role=Audience.EXPERT)))


@pytest.mark.parametrize(
    "change", [later, asked_for, by_expert, by_model, read_back, erased, in_the_last_round, with_an_expert_before]
)
def test_some_labels_are_left_alone_whatever_a_snapshot_says(change: Any) -> None:
    item = labelled("sam", "sue")
    change(item)
    assert doubted(item, AT) is None
    if change not in (read_back, in_the_last_round):
        other = contested()
        change(other)
        assert revised(other, AT) is None


def test_a_label_that_never_reached_the_target_is_not_doubted() -> None:
    """Nobody was left who could answer, so the best posterior was taken; it has fallen short of nothing since."""
    rules = policy(2, 4, target=0.999_999)
    never, last = labelled("sam", "sue", rules=rules), make.exhausted(policy=rules)
    never.admit(Answer.of(last))
    decide_one(never, last, CONTEXT, BELIEVED, make.AT)
    assert never.label is not None
    assert doubted(never, replace(AT, policy=rules)) is None


def test_nobody_is_asked_where_no_more_may_be_or_nobody_else_is_there() -> None:
    assert doubted(labelled("sam", "sue", rules=policy(2, 2)), AT) is None
    item = labelled("sam", "sue")
    assert doubted(item, replace(AT, people=frozenset({"sam", "sue"}))) is None
    assert doubted(item, replace(AT, people=frozenset({"sam", "sue", "hal"}), excluded=frozenset({"hal"}))) is None
    assert doubted(item, replace(AT, people=frozenset({"sam", "sue", "ann"}))) is not None


def contested(rules: Policy | None = None, parameters: Any = BELIEVED) -> ItemState:
    """An item whose opinions are used up: two who turn out to be spammers outvoted one who does not."""
    item = ItemState()
    for who, value in (("sam", "negative"), ("sue", "negative"), ("ann", "positive")):
        event = make.annotation(by=who, value=value, policy=rules or policy(3, 3))
        item.admit(Answer.of(event))
        decide_one(item, event, CONTEXT, parameters, make.AT)
    assert item.label is not None
    assert item.label.symbol == "negative"
    return item


def test_a_label_that_nobody_can_be_asked_about_is_given_anew_by_what_is_known_now() -> None:
    item = contested()
    assert doubted(item, AT) is None
    found = revised(item, AT)
    assert found is not None
    assert found.version == 1
    assert (found.posterior, found.other) == pytest.approx((0.346, 0.641), abs=0.001)
    event = revision_of("p", "i", found, 9, now=make.AT)
    assert (event.round, event.opinions, event.requested_by, event.cause.value) == (1, 0, "qc", "revision")
    item.merge_relabel(event)
    assert revised(item, AT) is None, "it was asked for"
    last = make.exhausted(round=2, policy=policy(3, 3))
    item.admit(Answer.of(last))
    label = decide_one(item, last, CONTEXT, SPAMMERS, make.AT)
    assert isinstance(label, Label)
    assert (label.version, label.value, label.opinions, len(label.evidence.votes)) == (2, make.choice("positive"), 0, 3)
    assert revised(item, AT) is None
    assert revised(item, replace(AT, parameters=BELIEVED)) is not None, "it can be revised again"
    assert item.label is not None
    item.rounds[LAST_REVISION], item.label = item.rounds.pop(2), replace(item.label, version=LAST_REVISION)
    assert revised(item, replace(AT, parameters=BELIEVED)) is None, "but not without end"


def test_what_can_be_asked_about_is_not_revised_and_what_hardly_leads_is_left() -> None:
    open_ = contested(policy(3, 4))
    assert doubted(open_, AT) is not None
    assert revised(open_, AT) is None
    assert revised(open_, replace(AT, people=frozenset({"ann", "sam", "sue"}))) is not None, "nobody else is there"
    assert revised(contested(), replace(AT, parameters=BELIEVED)) is None
    level = replace(AT, parameters=known({"sam": (200, 67), "sue": (200, 67), "ann": (200, 120)}))  # leads by .03
    assert revised(contested(), level) is None
    sure = policy(3, 3, target=0.6, on_unresolved="unresolved")
    for rules in (sure, policy(3, 3, consensus=ConsensusPolicy(method="majority"))):
        assert revised(contested(), replace(AT, policy=rules)) is None
    assert revised(contested(), replace(AT, policy=policy(3, 3, target=0.6))) is not None


def test_labels_of_a_lost_database_are_left_alone() -> None:
    item = labelled("sam", "sue")
    assert doubted(item, replace(AT, since=3)) is None
    assert doubted(item, replace(AT, since=2)) is not None


def test_what_no_longer_counts_is_not_held_against_a_label() -> None:
    item = labelled("sam", "ann", value="positive")
    assert doubted(item, replace(AT, parameters=known(GOOD | {"sam": (200, 190)}))) is None
    alone = doubted(item, replace(AT, parameters=known({"ann": (20, 17), "sam": (200, 190)}), excluded={"sam"}))
    assert alone is not None
    assert doubted(item, replace(AT, touched={1: {"positive"}}, guideline=1)) is None, "no answer is left"


def test_a_doubt_that_costs_more_than_it_saves_is_let_be() -> None:
    item = labelled("sam", "sue")
    assert doubted(item, replace(AT, costs=CostModel(opinion=1.0, error=0.1))) is None
    assert doubted(item, replace(AT, costs=CostModel(opinion=1.0, error=100.0))) is not None


def given_rows(**items: str) -> list[Given]:
    """Item -> `who=value who=value`."""
    told = [(item, *one.split("=")) for item, text in items.items() for one in text.split()]
    return [Given(item, who, value, seq) for seq, (item, who, value) in enumerate(told)]


def test_the_most_doubtful_come_first_within_the_budget() -> None:
    reached = Reached(0.96, 3, 0.95, 4)
    rows = given_rows(a="sam=negative ann=positive", b="sam=negative sue=negative", c="ann=negative bob=negative")
    standing = {item: Standing(item, "negative", reached) for item in "abc"}
    looked = suspects(rows, standing, AT)
    assert list(looked) == ["a", "b"], "what good people agree on is not doubted"
    assert list(suspects(rows, {"b": standing["b"]}, AT)) == ["b"]
    used_up = {item: Standing(item, "negative") for item in "abc"}
    assert list(suspects(rows, used_up, AT)) == ["a"], "of two votes for one class, none is likelier"
    doubts = {item: Doubt(1, reached, shares) for item, shares in (("x", 0.3), ("y", 0.1), ("z", 0.3))}
    assert chosen(doubts, 2) == ["y", "x"]
    today = make.AT.date()
    search = Search().spent(3, today)
    assert (search.left(5, today), search.spent(2, today).left(5, today)) == (2, 0)
    assert search.left(5, make.at(86_400).date()) == 5


def test_a_blind_prediction_is_heard_and_one_that_was_seen_is_not() -> None:
    shares = '{"negative": 0.999, "positive": 0.001}'
    rows = [Given("a", "sam", "negative", 1, None, True, shares), Given("a", "sue", "negative", 2, None, True, shares)]
    standing = {"a": Standing("a", "negative", Reached(0.96, 3, 0.95, 4))}
    trusting = replace(SPAMMERS, learned=replace(SPAMMERS.learned, prediction_weight=1.0), tables={})
    assert suspects(rows, standing, replace(AT, parameters=trusting)) == {}
    seen = [rows[0], rows[1]._replace(blind=False, predicted=None)]
    assert suspects(seen, standing, replace(AT, parameters=trusting)) == {"a": None}


def pooled(*by: str, asked: int = 0, rules: Policy, parameters: Any = SPAMMERS, said: str = "positive") -> Any:
    """What is decided of the round that a doubt opened, after these answers."""
    item = labelled("sam", "sue")
    item.merge_relabel(make.relabel())
    item.round(2).asked = asked
    for who in by:
        item.admit(Answer.of(make.annotation(by=who, value=said, round=2, policy=rules)))
    return decide(round_of(item, 2, guideline=0, touched={}), rules, CLOSED, parameters, salt="p/i")


def test_one_more_opinion_is_enough_and_the_maximum_holds_over_both_rounds() -> None:
    found = pooled("ann", rules=policy(2, 4, target=0.85))
    assert isinstance(found, Verdict)
    assert (found.value, len(found.votes)) == (Choice(choice="positive"), 3)
    assert pooled(rules=policy(2, 4)) == Wait()
    more = pooled("ann", rules=policy(2, 4, target=0.999))
    assert isinstance(more, Request)
    assert (more.ask, more.opinions_wanted) == (Ask.OPINION, 2), "the total of the round, not of both"
    assert pooled("ann", asked=2, rules=policy(2, 4, target=0.999)) == Wait()
    last = pooled("ann", "bob", asked=2, rules=policy(2, 4, target=0.999_999))
    assert isinstance(last, Verdict)
    assert "at the maximum of 4" in last.reason
    to_expert = pooled("ann", "bob", asked=2, rules=policy(2, 4, target=0.999_999, experts=True))
    assert isinstance(to_expert, Request)
    assert to_expert.ask is Ask.EXPERT


def test_what_left_the_pool_since_is_asked_for_again() -> None:
    item = labelled("sam", "sue")
    item.merge_relabel(make.relabel())
    item.admit(Answer.of(make.annotation(by="ann", round=2)))
    current = round_of(item, 2, guideline=0, touched={}, excluded={"sam", "sue"})
    found = decide(current, policy(3, 4, target=0.6), CLOSED, SPAMMERS, salt="p/i")
    assert isinstance(found, Request)
    assert (found.ask, found.opinions_wanted) == (Ask.OPINION, 3)


def test_a_rule_about_somebody_asks_for_no_more_than_both_rounds_allow() -> None:
    item = labelled("sam", "sue")
    item.merge_relabel(make.relabel())
    item.admit(Answer.of(make.annotation(by="ann", round=2)))
    rules = policy(2, 4)
    current = round_of(item, 2, guideline=0, touched={})
    raised = beside(current, rules, {"ann": 2})
    found = decide(current, raised, CLOSED, SPAMMERS, salt="p/i")
    assert isinstance(found, Request)
    assert found.opinions_wanted == 2
    assert more_opinions(replace(current, asked=2), raised) == Wait()


moves = st.lists(st.tuples(st.sampled_from(CLOSED.classes), st.sampled_from(["ann", "hal"])), min_size=1, max_size=9)


@settings(max_examples=80, deadline=None)
@given(moves, st.integers(1, 3), st.integers(3, 5), st.sampled_from([0.8, 0.95, 0.999]), st.booleans())
def test_a_doubted_item_never_takes_more_than_the_maximum_in_all(
    script: Sequence[tuple[str, str]], least: int, most: int, target: float, gone: bool
) -> None:
    """People answer only while opinions are wanted, from the one that the round opens with."""
    rules = policy(least, most, target=target)
    item, context = labelled("sam", "sue"), replace(CONTEXT, excluded=frozenset({"sam"} if gone else ()))
    item.merge_relabel(make.relabel())
    wanted, decided = 1, list[Any]()
    for n, (value, kind) in enumerate(script):
        if item.ended(2) or sum(a.round == 2 for a in item.answers.values()) >= wanted:
            break
        event: Annotation = make.annotation(by=f"{kind}{n}", value=value, round=2, policy=rules)
        item.admit(Answer.of(event))
        found = decide_one(item, event, context, SPAMMERS, make.AT)
        decided.append(found)
        if not isinstance(found, Label) and found is not None:
            wanted = max(wanted, found.opinions_wanted)
        elif found is None:
            assert sum(a.round == 2 for a in item.answers.values()) < wanted, "it waits for what it asked for"
    counting = [a for a in item.answers.values() if a.annotator_id not in context.excluded]
    assert len(counting) <= max(most, 2)
    if len(counting) == most:
        assert item.rounds[2].ended is End.LABEL
    assert len({one.event_id for one in decided if one is not None}) == sum(one is not None for one in decided)
