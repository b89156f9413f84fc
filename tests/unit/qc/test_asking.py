"""What people's opinions tell, when further ones promise too little, and whose are asked for."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cli.offline.arriving import Rule, run
from services.qc.domain.asking import Crowd, crowd_of, worths
from services.qc.domain.doubt import Standpoint, doubted
from services.qc.domain.fold import decide_one
from services.qc.domain.item import Answer, ItemState
from services.qc.domain.stopping import Request, Verdict
from services.qc.domain.stream import Stream
from services.qc.domain.table import table_of
from shared.events import Ask, Overlap, Policy
from tests.support import events as make
from tests.support.crowds import accuracy, coin, crowd
from tests.support.qc_domain import CLOSED, CONTEXT, answers, decision, known, policy

CROWD = [coin(one) for one in np.linspace(0.55, 0.95, 20)]
EVEN = np.full(3, 1.0 / 3.0)
SURE = np.eye(3)
GUESS = np.full((3, 3), 1.0 / 3.0)
SKILLED = {f"ann{n}": (200, 180) for n in range(6)}


def rules(regret: float, *, most: int = 6, experts: bool = False) -> Policy:
    return policy(experts=experts, overlap=Overlap(min=2, max=most, regret=regret))


def test_a_guess_tells_nothing_and_confusing_every_class_tells_all() -> None:
    found = worths(np.stack([SURE, SURE[::-1], GUESS]), EVEN)
    assert found == pytest.approx([math.log(3), math.log(3), 0.0], abs=1e-6)
    common = worths(np.stack([SURE, GUESS]), np.array([0.98, 0.01, 0.01]))
    assert common[0] < 0.2 * math.log(3), "where nearly all items are of one class, little is left to tell"


def test_those_who_tell_more_are_expected_more() -> None:
    logs = np.log(np.stack([0.9 * SURE + 0.1 * GUESS, GUESS]))
    alike, preferred = (
        crowd_of(["good", "spam"], logs, EVEN, np.array([10.0, 10.0]), heat=1.0, prefer=prefer) for prefer in (0.0, 2.0)
    )
    assert alike.expected[0][0] < preferred.expected[0][0]
    assert preferred.worth["good"] > 0.5 > preferred.worth["spam"]
    assert preferred.news(preferred.worth) == {}
    assert preferred.news({**preferred.worth, "good": 0.1}) == {"good": preferred.worth["good"]}
    assert set(preferred.news({})) == {"good", "spam"}


def test_the_stream_and_the_service_know_the_same_crowd() -> None:
    parameters = known(SKILLED | {"spam": (200, 67)})
    found = table_of(parameters, CLOSED.classes).crowd(2.0)
    assert set(found.worth) == {*SKILLED, "spam"}
    assert found.worth["spam"] < 0.05 * found.worth["ann0"]
    answers_, _ = crowd(CROWD, items=200, opinions=6)
    stream = Stream(answers_.classes)
    assert stream.crowd(2.0).worth == {}, "before the first refresh all are strangers"
    for one in zip(answers_.item.tolist(), answers_.annotator.tolist(), answers_.symbol.tolist(), strict=True):
        stream.answer(*one)
    stream.settle()
    assert len(stream.crowd(2.0).worth) == answers_.annotators


def test_asking_ends_where_what_may_come_promises_too_little() -> None:
    """Two who agree leave little to gain; two who differ much, until the maximum is so near that nothing can change."""
    parameters = known(SKILLED)
    agreed = decision(answers("positive", "positive"), rules(0.02), parameters=parameters)
    assert isinstance(agreed, Verdict)
    assert "more opinions would gain" in agreed.reason
    differ = answers("positive", "negative")
    asked = decision(differ, rules(0.02), parameters=parameters)
    assert isinstance(asked, Request)
    assert (asked.ask, asked.opinions_wanted) == (Ask.OPINION, 3)
    assert isinstance(decision(differ, rules(0.5), parameters=parameters), Verdict)
    clear = decision(answers("positive", "positive"), rules(1e-6), parameters=parameters)
    assert isinstance(clear, Request), "the target is not looked at where there is a regret"


def test_at_the_maximum_and_with_experts_the_hard_tail_goes_on() -> None:
    parameters = known({f"ann{n}": (200, 80) for n in range(6)})
    hopeless = answers("positive", "negative", "neutral")
    found = decision(hopeless, rules(0.3, experts=True), parameters=parameters)
    assert isinstance(found, Request)
    assert found.ask is Ask.EXPERT
    at_most = decision(answers("positive", "negative"), rules(0.01, most=2), parameters=known(SKILLED))
    assert isinstance(at_most, Verdict)
    assert "at the maximum" in at_most.reason


def test_a_label_that_promised_enough_is_doubted_when_it_no_longer_does() -> None:
    spammers = known({"ann": (200, 190), "bob": (200, 190), "sam": (200, 70), "sue": (200, 70)}, snapshot=9)
    believed, item, overlap = known(SKILLED | {"sam": (60, 59), "sue": (60, 59)}, snapshot=3), ItemState(), rules(0.02)
    for who in ("sam", "sue"):
        event = make.annotation(by=who, policy=overlap)
        item.admit(Answer.of(event))
        decide_one(item, event, CONTEXT, believed, make.AT)
    assert item.label is not None
    at = Standpoint(spammers, CLOSED, overlap, people=frozenset({"ann", "bob", "sam", "sue"}))
    assert doubted(item, at) is not None
    assert doubted(item, replace(at, parameters=believed)) is None


def test_a_stream_with_a_regret_saves_opinions_and_asks_the_better_people() -> None:
    recorded, truth = crowd(CROWD, items=300, opinions=10)
    alike = run(recorded, Rule(0.95, 2, 10, regret=0.01), 0)
    chosen = run(recorded, Rule(0.95, 2, 10, regret=0.01, prefer=2.0), 0)
    for found in (alike, chosen):
        assert 2.0 <= found.used.mean() < 7.0
        assert found.used.max() <= 10
        assert accuracy(found.posterior, truth) > 0.9
    worth = chosen.stream.crowd(2.0).worth

    def told(found: object) -> float:
        taken = found.answers.annotator.tolist()  # type: ignore[attr-defined]
        return sum(worth[str(one)] for one in taken) / len(taken)

    assert told(chosen) > 1.05 * told(alike)
    assert accuracy(chosen.posterior, truth) >= accuracy(alike.posterior, truth)
    rule, asked, shares = (
        Rule(0.95, 2, 10, regret=0.01, prefer=2.0),
        chosen.stream.crowd(2.0),
        chosen.stream.posterior(),
    )
    again = run(recorded, rule, 0)
    assert (again.posterior == chosen.posterior).all()
    each = zip(shares.tolist(), chosen.posterior.tolist(), chosen.used.tolist(), chosen.reopened.tolist(), strict=True)
    doubts = [rule.doubts(one, given, asked, left=10 - used, again=n) for one, given, used, n in each]
    assert not any(doubts), "every label was held against what all answers say of their people"
    assert max(alike.reopened.max(), chosen.reopened.max()) <= 2, "as often as an item has rounds"


def test_a_stream_with_a_regret_doubts_as_the_service_does() -> None:
    rule, nobody, given = Rule(0.95, 2, 10, regret=0.02), Crowd(np.log(GUESS).tolist()), [0.6, 0.3, 0.1]
    assert not rule.doubts([0.5, 0.48, 0.02], given, nobody, left=3, again=0), "what may come tells nothing"
    assert rule.doubts([0.45, 0.52, 0.03], given, nobody, left=3, again=1), "another class is likelier"
    assert not rule.doubts([0.46, 0.51, 0.03], given, nobody, left=3, again=1), "by less than three regrets"
    assert not rule.doubts([0.45, 0.52, 0.03], given, nobody, left=3, again=2), "it has no more rounds"
    assert not rule.doubts([0.45, 0.52, 0.03], given, nobody, left=0, again=0)
    assert rule.revises([0.45, 0.52, 0.03], given, left=0, again=0), "it is given anew where nobody may be asked"
    assert rule.revises([0.45, 0.52, 0.03], given, left=3, again=2)
    assert not rule.revises([0.45, 0.52, 0.03], given, left=3, again=1)
    assert not rule.revises([0.46, 0.50, 0.04], given, left=0, again=0), "no label changes to and fro"
    assert not replace(rule, regret=None).revises([0.45, 0.52, 0.03], given, left=0, again=0)


def test_labels_given_while_nobody_was_known_are_given_anew_where_nobody_may_be_asked() -> None:
    recorded, truth = crowd([coin(0.95)] * 4 + [coin(0.35)] * 6, items=100, opinions=4)
    found = run(recorded, Rule(0.95, 2, 4, regret=0.007, prefer=2.0), 0)
    assert (found.used == 4).mean() > 0.5
    assert accuracy(found.posterior, truth) > 0.8, "as they were given first, .4 are right"


def test_what_is_short_of_the_target_is_labelled_by_the_votes_too() -> None:
    recorded, _ = crowd([coin(0.55)] * 12, items=60, opinions=6)
    found = run(recorded, Rule(0.999, 2, 6, regret=1e-6), 0)
    votes = found.answers.votes / found.used[:, None]
    assert found.posterior.max() < 0.999
    assert (found.posterior >= votes / 2.0).all()
