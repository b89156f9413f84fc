"""What is confused with what: ranked by what it costs, with its uncertainty, and examples."""

import pytest

from services.qc.domain.conduct import judged_answers
from services.qc.domain.item import live_label
from services.qc.domain.patternreport import patterns_of
from services.qc.domain.patterns import Dispute, disputes_of, pairs_of, ranked
from shared.events import ErrorPatterns
from tests.support import events as make
from tests.support.qc_domain import state

CELLS = {("a", "a"): 90, ("a", "b"): 10, ("b", "a"): 30, ("b", "b"): 30, ("b", "c"): 0, ("", "="): 5}


def dispute(item: str, times: int, answers: int, answered: str = "b", *, gold: bool = False) -> Dispute:
    return Dispute(("p", item), gold, "a", answered, times, answers)


def test_pairs_by_the_answers_they_cost() -> None:
    found = pairs_of(CELLS)
    assert [(one.truth, one.answered, one.answers) for one in found] == [("b", "a", 30), ("a", "b", 10)]
    assert [one.share for one in found] == pytest.approx([0.5, 0.1])
    assert all(one.low < one.share < one.high for one in found)
    assert found[0].high - found[0].low > found[1].high - found[1].low


def test_items_by_how_surely_people_go_wrong() -> None:
    several = [
        dispute("sure", 9, 10), dispute("lone", 1, 1), dispute("split", 2, 6), dispute("split", 2, 6, "c"),
        dispute("fine", 1, 10),
    ]  # fmt: skip
    assert [key[1] for key, _, _ in ranked(several)] == ["sure", "lone", "split", "fine"]


def test_an_item_tells_its_wrong_answers_when_it_is_judged_and_not_again() -> None:
    item = state([make.annotation("i1", by=f"p{n}", value=v) for n, v in enumerate(("positive", "neutral", "neutral"))])
    before = judged_answers({("p", "i1"): item})
    item.merge_label(live_label(make.label("i1"), tolerance=0.0))
    assert disputes_of({("p", "i1"): item}, before) == [
        Dispute(("p", "i1"), gold=False, truth="positive", answered="neutral", times=2, answers=3)
    ]
    assert disputes_of({("p", "i1"): item}, judged_answers({("p", "i1"): item})) == []


def test_the_event_has_examples_most_wrong_first_and_is_the_same_for_the_same() -> None:
    several = [dispute("i1", 1, 4), dispute("i2", 3, 4), dispute("g", 2, 9, gold=True)]

    event = patterns_of("p", pairs_of(CELLS), several, ranked(several), now=make.AT)
    assert event is not None
    again = patterns_of("p", pairs_of(CELLS), several, ranked(several), now=make.at(9))
    assert again is not None
    assert event.event_id == again.event_id
    found = event.measurement
    assert isinstance(found, ErrorPatterns)
    assert found.pairs[1].examples == ("i2", "g", "i1")
    assert next((one.item_id, one.gold, one.wrong) for one in found.items) == ("i2", False, {"b": 3})
    assert patterns_of("p", [], [], [], now=make.AT) is None
