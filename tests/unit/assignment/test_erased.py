"""An erased item takes nothing in and decides nothing, wherever the erasure comes among its facts."""

import itertools

import pytest

from services.assignment.domain.aggregate import ERASED_CONTENT, Aggregate, erase
from services.assignment.domain.decide import Context, Said, decide, step, supersede
from services.assignment.domain.draws import Draws
from services.assignment.domain.facts import Escalated, Fact, ItemSeen, Labelled, Predicted, Relabelled
from services.assignment.domain.guess import Guess
from services.assignment.domain.states import Ending, Standing, State
from shared import events as ev
from tests.support import events as make

CONTEXT = Context(make.policy(), ev.CostModel(), 1, 0, make.AT)
DRAWS = Draws(0.9, 0.1)
SEEN = ItemSeen("hash", make.AT)
FACTS: tuple[Fact, ...] = (
    SEEN,
    Predicted(Guess.of(make.prediction("i", confidence=0.99))),
    Labelled(1),
    Relabelled(1, 1.0, "doubt", frozenset({"ann"})),
    Escalated(2, ev.Ask.EXPERT, 1, "why"),
)
GONE = Aggregate("p", "i", content_hash=ERASED_CONTENT, ending=erase(Aggregate("p", "i")).ending)


@pytest.mark.parametrize("order", list(itertools.permutations(FACTS))[::5])
def test_any_place_of_the_erasure_gives_the_same_item(order: tuple[Fact, ...]) -> None:
    for place in range(len(order) + 1):
        known, said = Aggregate("p", "i"), list[Said]()
        for number, fact in enumerate((*order, *order)):
            if number == place:
                known = erase(known)
                said.clear()
            known, told = step(known, fact, CONTEXT, DRAWS)
            said += told
        assert known == GONE
        assert said == []


def test_nothing_is_decided_for_it() -> None:
    for known in (GONE, erase(Aggregate("p", "i"))):
        assert (known.standing, known.state, known.open) == (Standing.ERASED, State.ERASED, False)
        assert decide(known, CONTEXT, DRAWS, overdue=True) == (known, ())
        assert supersede(known, CONTEXT, DRAWS, "why") == (known, ())
        assert erase(known) == known


@pytest.mark.parametrize("bare", [False, True])
def test_without_its_content_no_later_round_opens(bare: bool) -> None:
    labelled = Aggregate("p", "i", "hash", round=1, ending=Ending.LABELLED, label_version=1, bare=bare)
    known, said = step(labelled, Relabelled(1, 1.0, "doubt"), CONTEXT, DRAWS)
    assert known.open != bare
    assert len(said) == (not bare)
