"""Rules about people: when each fires, on what, and that nothing else does."""

import random
from datetime import timedelta
from typing import Any

import pytest

from services.qc.domain.conduct import Conduct, Judged, dump, forget_others, forgiven, judged, load, said_of, was_said
from services.qc.domain.conduct import worked as work
from services.qc.domain.overlap import beside, more_opinions
from services.qc.domain.reports import firing_of
from services.qc.domain.rounds import Round
from services.qc.domain.stopping import Request, Wait
from shared.events import Action, Annotation, Collect, Collected, Rule, RuleFired, Then, When
from tests.support import events as make
from tests.support.qc_domain import current, policy

WHO = (make.PROJECT, "ann")


def rule(what: Collected, *, over: int = 10, do: Action = Action.FLAG, name: str = "r", **when: Any) -> Rule:
    return Rule(
        name=name,
        collect=Collect(what=what, over=over),
        when=When.model_validate({"after": 10} | when),
        then=Then(do=do, for_s=600, opinions=2, share=0.5),
    )


def firings(one: Rule, events: list[Annotation], known: Conduct | None = None) -> list[tuple[int, int, float]]:
    """(event, number, value) of each firing."""
    state = known or Conduct()
    return [
        (place, found.number, found.value)
        for place, event in enumerate(events)
        for found in work(state, event, [one], make.AT)
    ]


def timed(*seconds: float) -> list[Annotation]:
    return [make.annotation(f"i{n}", duration_ms=int(1000 * s)) for n, s in enumerate(seconds)]


def proposed(*pairs: tuple[bool, str]) -> list[Annotation]:
    """(shown, answer) beside the proposal `positive`."""
    return [
        make.annotation(f"i{n}", value=value, saw_proposal=shown, proposal=make.proposal("positive"))
        for n, (shown, value) in enumerate(pairs)
    ]


def test_fast_answers_by_their_median_and_fresh_ones_for_the_next_time() -> None:
    fast = rule(Collected.SECONDS, below=1.0)
    assert firings(fast, timed(*[0.5] * 9)) == []
    assert firings(fast, timed(*[0.5] * 10, *[0.4] * 9)) == [(9, 1, 0.5)]
    assert [place for place, *_ in firings(fast, timed(*[0.5] * 20))] == [9, 19]
    assert firings(fast, timed(*[0.5] * 4, *[9.0] * 6, *[9.0] * 20)) == []
    assert [place for place, *_ in firings(fast, timed(*[9.0] * 50, *[0.5] * 6))] == [55]  # the window moves on


def test_a_streak_of_one_class() -> None:
    streak = rule(Collected.STREAK, above=12, after=1)
    same, other = [make.annotation(f"a{n}") for n in range(13)], [make.annotation("b", value="neutral")]
    assert firings(streak, [*same[:12], *other, *same[:12]]) == []
    assert firings(streak, same) == [(12, 1, 13.0)]
    skips = [make.skip(f"s{n}") for n in range(5)]
    assert firings(streak, [*same[:7], *skips, *same[7:]]) == [(17, 1, 13.0)]  # a skip is no answer


def test_agreement_with_proposals_that_were_shown() -> None:
    agreeing = rule(Collected.PROPOSALS, above=0.95)
    assert firings(agreeing, proposed(*[(True, "positive")] * 10)) == [(9, 1, 1.0)]
    assert firings(agreeing, proposed(*[(False, "positive")] * 30)) == []
    assert firings(agreeing, proposed(*[(True, "positive"), (True, "neutral")] * 10)) == []


def test_copying_is_agreement_that_goes_when_the_proposal_is_hidden() -> None:
    copying = rule(Collected.COPYING, over=100, above=0.4)
    dice = random.Random(2)
    good = [(dice.random() < 0.7, "positive" if dice.random() < 0.9 else "neutral") for _ in range(100)]
    assert firings(copying, proposed(*good)) == []
    lazy = [(shown := dice.random() < 0.7, "positive" if shown else dice.choice(make.CLASSES)) for _ in range(100)]
    [(place, _, value)] = firings(copying, proposed(*lazy))[:1]
    assert value > 0.4
    assert sum(not shown for shown, _ in lazy[: place + 1]) >= 10


@pytest.mark.parametrize(("what", "gold"), [(Collected.GOLD, True), (Collected.CONSENSUS, False)])
def test_accuracy_by_gold_and_by_consensus(what: Collected, gold: bool) -> None:
    low = rule(what, below=0.6)
    known = Conduct()
    told = [judged(known, Judged(WHO, n % 2 == 0, gold=gold), [low], make.AT) for n in range(10)]
    assert [len(found) for found in told] == [0] * 9 + [1]
    assert told[-1][0].value == 0.5
    assert judged(known, Judged(WHO, correct=False, gold=not gold), [low], make.AT) == []


def test_skips() -> None:
    often = rule(Collected.SKIPS, above=0.3)
    events = [make.skip(f"i{n}") if n % 2 else make.annotation(f"i{n}") for n in range(10)]
    assert firings(often, events) == [(9, 1, 0.5)]


def test_what_was_said_before_is_not_said_again_and_states_are_stored_whole() -> None:
    fast = rule(Collected.SECONDS, below=1.0)
    known = Conduct()
    was_said(known, said_of("r"), 1)
    assert [number for _, number, _ in firings(fast, timed(*[0.5] * 25), known)] == [2]
    assert load(*dump(known)) == known
    forget_others(known, [])
    assert (known.rules, known.fired) == ({}, {"r": 2})
    other = rule(Collected.SKIPS, above=0.5)  # the same name for something else starts afresh
    firings(fast, timed(*[0.5] * 9), known)
    assert firings(other, [make.skip(f"i{n}") for n in range(9)], known) == []


def test_a_firing_is_an_event_with_its_numbers() -> None:
    pause = rule(Collected.SECONDS, below=1.0, do=Action.PAUSE)
    known = Conduct()
    [found] = [one for event in timed(*[0.5] * 10) for one in work(known, event, [pause], make.AT)]
    event = firing_of(WHO, found, make.AT)
    fired = event.measurement
    assert isinstance(fired, RuleFired)
    assert (fired.rule, fired.number, fired.value, fired.limit, fired.observations) == ("r", 1, 0.5, 1.0, 10)
    assert (fired.until, fired.share, fired.opinions) == (make.AT + timedelta(seconds=600), None, 0)


def test_more_overlap_is_asked_for_once_and_within_the_maximum() -> None:
    more = rule(Collected.SECONDS, below=1.0, do=Action.MORE_OVERLAP)
    known = Conduct()
    firings(more, timed(*[0.5] * 10), known)
    assert (known.overlap, known.overlap_until) == (2, make.AT + timedelta(seconds=600))
    forgiven(known)
    assert (known.overlap, known.overlap_until, known.rules) == (0, None, {})

    def asks(round_: Round, least: int, most: int) -> int | None:
        rules = policy(least, most)
        raised = beside(round_, rules, {"ann0": 2})
        decision = more_opinions(round_, raised)
        if raised is rules:
            return None
        assert isinstance(decision, Request | Wait)
        return decision.opinions_wanted if isinstance(decision, Request) else 0

    one = [make.annotation(by="ann0")]
    assert asks(current(one), 1, 5) == 3
    assert asks(current(one), 1, 2) == 2
    assert asks(current(one), 2, 2) is None
    assert asks(current(one, asked=3), 1, 5) is None
    assert asks(current(one, expert_asked=True), 1, 5) == 0
    assert asks(current([make.annotation(by="other")]), 1, 5) is None
