"""A relabel request may say how many opinions its round begins with."""

from dataclasses import replace

from services.assignment.domain.aggregate import Aggregate, Wish
from services.assignment.domain.decide import Context, step
from services.assignment.domain.draws import Draws
from services.assignment.domain.facts import Fact, ItemSeen, Labelled, Predicted, Relabelled
from services.assignment.domain.guess import Guess
from services.assignment.store.rows import dump_relabels, load_relabels
from shared import events as ev
from tests.support import events as make

CONTEXT = Context(make.policy(overlap=ev.Overlap(min=2, max=3)), ev.CostModel(), 1, 0, make.AT)
PEOPLE = Draws(0.9, 0.1)
ONE, MANY, PLAIN = (Relabelled(1, 0.5, "doubt", opinions=number) for number in (1, 9, 0))
LABELLED = (ItemSeen("hash", make.AT), Predicted(Guess.of(make.prediction("i", confidence=0.5))), Labelled(1))


def after(*facts: Fact) -> Aggregate:
    known = Aggregate("p", "i")
    for fact in facts:
        known, _ = step(known, fact, CONTEXT, PEOPLE)
    return known


def wanted(*facts: Fact) -> int:
    asked = after(*LABELLED, *facts).asked
    assert asked is not None
    return asked.wanted


def test_a_request_may_say_how_many_opinions_to_begin_with() -> None:
    assert [wanted(ONE), wanted(MANY), wanted(PLAIN)] == [1, 3, 2]


def test_beside_one_that_says_nothing_it_is_for_the_minimum() -> None:
    for facts in ((ONE, PLAIN), (PLAIN, ONE)):
        assert after(*facts).relabels[1].opinions == 0
    assert after(ONE, replace(ONE, reason="other", opinions=2)).relabels[1].opinions == 2


def test_it_is_kept_and_requests_of_before_are_read() -> None:
    kept = after(ONE).relabels
    assert load_relabels(dump_relabels(kept)) == kept == {1: Wish(0.5, "doubt", opinions=1)}
    assert load_relabels('{"1": [0.5, "doubt", ["ann"]]}') == {1: Wish(0.5, "doubt", frozenset({"ann"}))}


def test_a_request_for_an_expert_opens_an_experts_round_whatever_comes_beside_it() -> None:
    hard = replace(PLAIN, expert=True, reason="hard")
    for facts in ((hard,), (hard, PLAIN), (PLAIN, hard)):
        asked = after(*LABELLED, *facts).asked
        assert asked is not None
        assert (asked.audience, asked.free) == (ev.Audience.EXPERT, 1)
    kept = after(hard).relabels
    assert load_relabels(dump_relabels(kept)) == kept
    assert kept[1].expert
