"""The item's states and rounds: every reachable transition of the state machine, and the join of its facts."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.assignment.domain import lifecycle
from services.assignment.domain.aggregate import Aggregate, Round
from services.assignment.domain.decide import MAX_ROUNDS, Context, Emitted, decide, step, supersede
from services.assignment.domain.draws import Draws
from services.assignment.domain.facts import (
    Escalated,
    Fact,
    ItemSeen,
    Labelled,
    Opined,
    Predicted,
    Relabelled,
    Routed,
)
from services.assignment.domain.fold import fold
from services.assignment.domain.guess import Guess
from services.assignment.domain.lifecycle import Sweep
from services.assignment.domain.states import RESTING, State
from shared import events as ev
from tests.support import events as make

POLICY = make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.1), sample_share=0.5)
CONTEXT = Context(POLICY, ev.CostModel(), 1, 0, make.AT)
NEW = Aggregate("p", "i")
ENDED = (Escalated(1, ev.Ask.UNLABELABLE, 0, ""), Escalated(1, ev.Ask.UNRESOLVED, 0, ""))
SEEN = ItemSeen("hash", make.AT)
RENAMED = Relabelled(1, 0.0, "rename", rename=True)
PEOPLE, AUDITED, OUT = Draws(0.9, 0.1), Draws(0.05, 0.1), Draws(0.9, 0.9)


def predicted(confidence: float, generation: int = 1) -> Predicted:
    return Predicted(Guess.of(make.prediction("i", confidence=confidence, generation=generation)))


def run(facts: Iterable[Fact], draws: Draws = PEOPLE, known: Aggregate = NEW) -> tuple[Aggregate, list[Any]]:
    said: list[Any] = []
    for fact in facts:
        known, told = step(known, fact, CONTEXT, draws)
        said += told
    return known, said


@pytest.mark.parametrize(
    ("facts", "draws", "state", "said"),
    [
        ([SEEN], PEOPLE, State.WAITING, []),
        ([predicted(0.95)], PEOPLE, State.PARKED, []),
        ([SEEN, predicted(0.95)], PEOPLE, State.LABELLED, ["label"]),
        ([predicted(0.95), SEEN], PEOPLE, State.LABELLED, ["label"]),
        ([SEEN, predicted(0.95)], AUDITED, State.QUEUED, ["queued"]),
        ([SEEN, predicted(0.5)], PEOPLE, State.QUEUED, ["queued"]),
        ([SEEN, predicted(0.5)], OUT, State.SAMPLED_OUT, ["sampled_out"]),
        ([SEEN, predicted(0.5), predicted(0.95, 2)], PEOPLE, State.LABELLED, ["queued", "label"]),
        ([SEEN, predicted(0.5), predicted(0.95, 2)], AUDITED, State.QUEUED, ["queued", "queued"]),
        ([SEEN, predicted(0.5, 2), predicted(0.95, 1)], PEOPLE, State.QUEUED, ["queued"]),
        ([SEEN, predicted(0.5), Labelled(1)], PEOPLE, State.LABELLED, ["queued"]),
        ([Labelled(1), SEEN, predicted(0.5)], PEOPLE, State.LABELLED, []),
        ([SEEN, predicted(0.5), Labelled(1), Relabelled(1, 1.0, "doubt")], PEOPLE, State.QUEUED, ["queued", "queued"]),
        ([SEEN, predicted(0.5), Relabelled(1, 1.0, "doubt"), Labelled(1)], PEOPLE, State.QUEUED, ["queued", "queued"]),
        ([SEEN, predicted(0.95), Relabelled(1, 1.0, "doubt")], PEOPLE, State.QUEUED, ["label", "queued"]),
        ([SEEN, predicted(0.5), ENDED[0]], PEOPLE, State.UNLABELABLE, ["queued", "unlabelable"]),
        ([SEEN, predicted(0.5), ENDED[1]], PEOPLE, State.UNRESOLVED, ["queued", "unresolved"]),
        ([SEEN, predicted(0.5), Escalated(1, ev.Ask.OPINION, 2, "")], PEOPLE, State.QUEUED, ["queued", "queued"]),
        ([SEEN, predicted(0.5), Escalated(1, ev.Ask.EXPERT, 1, "")], PEOPLE, State.QUEUED, ["queued", "queued"]),
        ([SEEN, predicted(0.5), Labelled(1), Escalated(1, ev.Ask.OPINION, 9, "")], PEOPLE, State.LABELLED, ["queued"]),
    ],
)  # fmt: skip
def test_transitions(facts: list[Fact], draws: Draws, state: State, said: list[str]) -> None:
    known, told = run(facts, draws)
    assert known.state is state
    assert [one.state.value if isinstance(one, ev.Route) else "label" for one in told] == said
    assert run(facts, draws, known)[1] == []  # the same facts again decide nothing


def test_a_relabel_round_is_never_accepted_without_people() -> None:
    known, _ = run([SEEN, predicted(0.5), Labelled(1), Relabelled(1, 0.5, "doubt"), predicted(1.0, 9)])
    assert known.state is State.QUEUED
    assert known.asked is not None
    assert known.asked.guess is not None
    assert (known.asked.number, known.asked.guess.generation) == (2, 9)


def test_there_are_at_most_three_rounds() -> None:
    facts: list[Fact] = [SEEN, predicted(0.5)]
    for number in range(1, 6):
        facts += [Labelled(min(number, MAX_ROUNDS)), Relabelled(number, 1.0, "doubt")]
    known, _ = run(facts)
    assert (known.round, known.state) == (MAX_ROUNDS, State.LABELLED)


def test_a_better_prediction_accepts_nothing_that_somebody_has_seen() -> None:
    known, _ = run([SEEN, predicted(0.5)])
    assert known.asked is not None
    leased = known._replace(asked=lifecycle.granted(known.asked, ev.Audience.ANNOTATOR))
    after, said = step(leased, predicted(0.99, 2), CONTEXT, PEOPLE)
    assert (after.state, said) == (State.LEASED, ())
    assert after.asked is not None
    assert after.asked.guess == known.asked.guess
    assert after.asked.priority < known.asked.priority


def test_overdue_items_go_to_people_and_a_late_prediction_may_still_end_it() -> None:
    known, _ = run([SEEN])
    known, (route,) = decide(known, CONTEXT, PEOPLE, overdue=True)
    assert isinstance(route, ev.Route)
    assert "no prediction" in route.reason
    assert run([predicted(0.95)], known=known)[0].state is State.LABELLED


def test_a_round_that_the_project_has_outgrown_is_closed_and_opened_anew() -> None:
    known, _ = run([SEEN, predicted(0.5)])
    known, said = supersede(known, replace(CONTEXT, project_version=2), PEOPLE, "a class is gone")
    assert [(one.round, one.state.value) for one in said if isinstance(one, ev.Route)] == [
        (1, "superseded"),
        (2, "queued"),
    ]
    assert known.asked is not None
    assert (known.round, known.asked.project_version, known.state) == (2, 2, State.QUEUED)
    assert supersede(run([SEEN])[0], CONTEXT, PEOPLE, "nothing is open")[1] == ()


@dataclass(frozen=True)
class Move:
    """Something that may happen to an open round next."""

    name: str
    do: Callable[[Aggregate], tuple[Aggregate, Emitted]]


def _moves(known: Aggregate) -> list[Move]:
    """Everything that facts, people and time can do now."""
    facts: list[Fact] = [
        SEEN, predicted(0.5), predicted(0.95, 2), Labelled(max(known.round, 1)),
        Relabelled(max(known.round, 1), 0.5, "doubt"),
        *(Escalated(max(known.round, 1), ask, 2, "") for ask in ev.Ask),
        *([RENAMED] if known.round == 1 else []),
    ]  # fmt: skip
    moves = [Move(repr(fact), lambda one, fact=fact: step(one, fact, CONTEXT, PEOPLE)) for fact in facts]  # type: ignore[misc]
    asked = known.asked
    if asked is None or not known.open:
        return moves
    role = asked.audience
    if asked.free and asked.granted < 2:
        moves.append(Move("grant", lambda one: (_with(one, lifecycle.granted(_round(one), role)), ())))
    if asked.active:
        for outcome in (ev.Outcome.ANSWERED, ev.Outcome.SKIPPED, None):
            given = ev.Audience.EXPERT if asked.expert_active else ev.Audience.ANNOTATOR
            moves.append(
                Move(
                    f"end {outcome}",
                    lambda one, o=outcome, r=given: (_with(one, lifecycle.returned(_round(one), r, o)), ()),  # type: ignore[misc]
                )
            )
    return moves


def _round(known: Aggregate) -> Round:
    assert known.asked is not None
    return known.asked


def _with(known: Aggregate, asked: Round) -> Aggregate:
    return known._replace(asked=asked)


def _shape(known: Aggregate) -> tuple[Any, ...]:
    """The aggregate without what only counts up."""
    asked = known.asked
    doubted = tuple(
        sorted((n, str(wish)) for n, wish in known.relabels.items() if wish.renamed or n >= known.round - 1)
    )
    guess = known.guess and known.guess.order
    item = (known.content_hash, guess, known.round, known.ending, known.label_version, doubted)
    if asked is None:
        return item
    slots = (asked.audience, asked.wanted, asked.answered, asked.active, asked.expert_answered, asked.expert_active)
    return (*item, *slots, asked.granted, asked.would_auto, asked.guess and asked.guess.order)


def _reachable() -> dict[tuple[Any, ...], Aggregate]:
    found = {_shape(NEW): NEW}
    edge = [NEW]
    while edge:
        following = []
        for known in edge:
            for move in _moves(known):
                after, _ = move.do(known)
                _check(known, after, move.name)
                if _shape(after) not in found:
                    found[_shape(after)] = after
                    following.append(after)
        edge = following
        assert len(found) < 200_000
    return found


def _check(before: Aggregate, after: Aggregate, name: str) -> None:
    assert (after.round, after.ending) >= (before.round, before.ending), name
    assert after.label_version >= before.label_version, name
    assert after.label_version <= max(after.round, 0), name
    assert after.round <= MAX_ROUNDS + sum(wish.renamed for wish in after.relabels.values()), name
    asked = after.asked
    if asked is not None:
        assert asked.number == after.round
        assert asked.ended == (not after.open), name
        assert min(asked.active, asked.answered, asked.expert_active, asked.expert_answered) >= 0, name
        wanted = max(asked.wanted, 1) + (asked.audience is ev.Audience.EXPERT)
        assert asked.answered + asked.active <= wanted, name


@pytest.mark.timeout(120)
def test_every_reachable_state_keeps_the_rules_and_has_a_way_to_rest() -> None:
    found = _reachable()
    assert len(found) > 300
    states = {known.state for known in found.values()}
    expected = {State.PARKED, State.WAITING, State.QUEUED, State.LEASED, State.AWAITING_DECISION, State.LABELLED}
    assert states >= expected | {State.UNLABELABLE, State.UNRESOLVED}
    for known in found.values():
        assert _rests(known), known


def _rests(known: Aggregate) -> bool:
    """Whether time and qc alone bring it to rest once the item is there: leases run out, nobody answers."""
    known, _ = step(known, SEEN, CONTEXT, PEOPLE)
    known, _ = decide(known, CONTEXT, PEOPLE, overdue=True)
    asked = known.asked
    if asked is not None and known.open:
        while asked.active:
            role = ev.Audience.EXPERT if asked.expert_active else ev.Audience.ANNOTATOR
            asked = lifecycle.returned(asked, role, None)
        if asked.free:
            asked = _until_exhausted(asked)
        known = known._replace(asked=asked)
        known, _ = step(known, Escalated(known.round, ev.Ask.UNRESOLVED, 0, "nobody"), CONTEXT, PEOPLE)
        known, _ = step(known, Escalated(known.round, ev.Ask.UNRESOLVED, 0, "nobody"), CONTEXT, PEOPLE)
    return known.state in RESTING


def _until_exhausted(asked: Round) -> Round:
    late = make.at(10_000_000)
    found = lifecycle.sweep(asked, POLICY, answerable=False, waiting_since=make.AT, now=late)
    if found is Sweep.BLOCK:
        asked, route = lifecycle.block(asked, make.AT)
        assert route.state is ev.RouteState.BLOCKED
        assert asked.state is State.BLOCKED
        found = lifecycle.sweep(asked, POLICY, answerable=False, waiting_since=make.AT, now=late)
    assert found is Sweep.EXHAUST
    return replace(asked, exhausted=True)


def test_the_sweep_waits_blocks_and_unblocks() -> None:
    known, _ = run([SEEN, predicted(0.5)])
    asked = _round(known)
    soon, later = make.at(POLICY.blocked_after_s - 1), make.at(POLICY.blocked_after_s)

    def judge(one: Round, now: Any, *, answerable: bool) -> Sweep:
        return lifecycle.sweep(one, POLICY, answerable=answerable, waiting_since=make.AT, now=now)

    assert judge(asked, soon, answerable=False) is Sweep.LEAVE
    assert judge(asked, later, answerable=True) is Sweep.LEAVE
    assert judge(asked, later, answerable=False) is Sweep.BLOCK
    blocked, _ = lifecycle.block(asked, later)
    assert judge(blocked, later, answerable=True) is Sweep.UNBLOCK
    assert judge(blocked, later, answerable=False) is Sweep.LEAVE
    assert lifecycle.unblock(blocked, later)[0].state is State.QUEUED
    assert judge(lifecycle.granted(asked, ev.Audience.ANNOTATOR), later, answerable=False) is Sweep.LEAVE
    with pytest.raises(ValueError, match="free slots"):
        lifecycle.granted(asked, ev.Audience.EXPERT)


Topics = dict[str, Sequence[Fact]]


@st.composite
def _stories(draw: st.DrawFn) -> Topics:
    """One item's facts, by topic."""
    rounds = st.integers(1, 3)
    predictions = st.builds(predicted, st.floats(0.4, 1.0), st.integers(0, 3))
    escalations = st.builds(Escalated, rounds, st.sampled_from(ev.Ask), st.integers(0, 4), st.just("why"))
    people = st.frozensets(st.sampled_from(["ann", "bob"]))
    relabels = st.builds(Relabelled, rounds, st.floats(0, 1), st.sampled_from("ab"), people, st.booleans())
    routes = st.builds(
        Routed,
        round=rounds,
        step=st.integers(1, 3),
        state=st.sampled_from([ev.RouteState.QUEUED, ev.RouteState.BLOCKED, ev.RouteState.SAMPLED_OUT]),
        reason=st.just("why"),
        audience=st.sampled_from([None, *ev.Audience]),
        opinions_wanted=st.integers(0, 3),
        would_auto=st.booleans(),
        inclusion=st.sampled_from([0.1, 1.0]),
        priority=st.just(1.0),
        generation=st.integers(0, 3),
        project_version=st.integers(1, 3),
        guideline_version=st.integers(0, 3),
        item_created_at=st.just(make.AT),
    )
    return {
        "items": [SEEN],
        "predictions": draw(st.lists(predictions, max_size=4)),
        "escalations": draw(st.lists(escalations, max_size=3)),
        "labels": draw(st.lists(st.builds(Labelled, rounds), max_size=3)),
        "relabels": draw(st.lists(relabels, max_size=3)),
        "routes": draw(st.lists(routes, max_size=3)),
    }


@st.composite
def _orders(draw: st.DrawFn, topics: Topics) -> list[Fact]:
    """An interleaving that keeps each topic's order, with repeats of what came before."""
    left = {name: list(facts) for name, facts in topics.items() if facts}
    order: list[Fact] = []
    while left:
        name = draw(st.sampled_from(sorted(left)))
        order.append(left[name].pop(0))
        if not left[name]:
            del left[name]
        if draw(st.integers(0, 4)) == 0:
            order.append(draw(st.sampled_from(order)))
    return order


@given(st.data())
@settings(max_examples=150, deadline=None)
@pytest.mark.timeout(120)
def test_any_interleaving_with_repeats_gives_the_same_facts(data: st.DataObject) -> None:
    topics = data.draw(_stories())
    one, other = data.draw(_orders(topics)), data.draw(_orders(topics))
    assert _facts(_folded(one)) == _facts(_folded(other))


def _facts(known: Aggregate) -> Aggregate:
    """Without the demand of a round that has ended: it is moot, and nothing reads it."""
    return known if known.open else known._replace(asked=None)


def _folded(order: Iterable[Fact]) -> Aggregate:
    known = NEW
    for fact in order:
        known = fold(known, fact)
    return known


@given(st.data())
@settings(max_examples=150, deadline=None)
@pytest.mark.timeout(120)
def test_decisions_never_change_the_facts_and_are_made_once(data: st.DataObject) -> None:
    topics = data.draw(_stories())
    order = data.draw(_orders({name: facts for name, facts in topics.items() if name != "routes"}))
    draws = data.draw(st.sampled_from([PEOPLE, AUDITED, OUT]))
    known, said = run(order, draws)
    bare = _folded(order)
    assert known.content_hash == bare.content_hash
    assert (known.guess and known.guess.freed()) == bare.guess
    assert known.relabels == bare.relabels or any(wish.rename for wish in bare.relabels.values())  # takes doubts along
    assert known.round >= bare.round
    labels = [one.event_id for one in said if isinstance(one, ev.Label) and one.renames is None]
    assert len(labels) <= 1
    routes = [one.event_id for one in said if isinstance(one, ev.Route)]
    assert len(routes) == len(set(routes))
    assert run(order, draws, known)[1] == []


def test_requests_that_came_before_their_labels_are_all_obeyed_at_once() -> None:
    known, said = run([SEEN, RENAMED, replace(RENAMED, round=2), Relabelled(3, 0.0, "doubt"), predicted(1.0)])
    assert [one.version for one in said if isinstance(one, ev.Label)] == [1, 2, 3]
    assert (known.round, known.state) == (4, State.QUEUED)
    assert run([SEEN], known=known)[1] == []


def test_our_own_answers_read_back_count_once_each() -> None:
    """The store lets each answer through once; the fold only adds."""
    opined = Opined(1, ev.Outcome.ANSWERED, ev.Audience.ANNOTATOR, None, False, 1.0, 1, 0, make.AT, make.AT)
    facts: list[Fact] = [SEEN, opined, replace(opined, outcome=ev.Outcome.SKIPPED), Labelled(1)]
    found = [_folded(order) for order in itertools.permutations(facts)]
    (only,) = {(_round(known).answered, _round(known).skipped, known.state) for known in found}
    assert only == (1, 1, State.LABELLED)


def test_a_route_read_back_is_not_decided_again_by_the_prediction_it_stands_on() -> None:
    routed = Routed(
        round=1, step=1, state=ev.RouteState.QUEUED, reason="", audience=ev.Audience.ANNOTATOR, opinions_wanted=1,
        would_auto=False, inclusion=1.0, priority=0.0, generation=1, project_version=1, guideline_version=0,
        item_created_at=make.AT,
    )  # fmt: skip
    known, said = run([predicted(0.99, 1), SEEN], known=_folded([routed]))
    assert (known.state, said) == (State.QUEUED, [])
    assert _round(known).guess is not None  # people see the proposal all the same
    assert run([predicted(0.99, 2)], known=known)[0].state is State.LABELLED
