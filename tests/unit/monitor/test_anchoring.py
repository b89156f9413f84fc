"""Anchoring: what counts, the interval, and that it covers."""

import random
from typing import Any

import pytest

from services.monitor.domain.anchoring import Answers, anchoring, cell, difference
from services.monitor.domain.counters import Counts, Key, Kind
from shared import events as ev
from tests.support import events as make


def answer(value: str = "positive", **more: Any) -> ev.Annotation:
    fields: dict[str, Any] = {"saw_proposal": True, "proposal": make.proposal("positive")}
    return make.annotation("i1", value=value, **(fields | more))


def test_an_answer_counts_by_what_its_person_saw_and_said() -> None:
    shown, hidden = cell(answer()), cell(answer("neutral", saw_proposal=False))
    assert shown is not None
    assert hidden is not None
    assert (shown.kind, shown.part, shown.symbol) == (Kind.ANCHORED, "shown", "agree")
    assert (hidden.part, hidden.symbol) == ("hidden", "differ")
    assert shown.bucket == hidden.bucket
    assert shown.bucket % 86_400 == 0


@pytest.mark.parametrize(
    "event",
    [
        answer(proposal=None, saw_proposal=False),
        answer(gold=True),
        answer(late=True),
        answer(would_auto=True, saw_proposal=False),
        answer(role=ev.Audience.EXPERT),
        make.skip("i1"),
        make.exhausted("i1"),
    ],
)
def test_what_says_nothing_of_anchoring_is_left_out(event: ev.Annotation) -> None:
    assert cell(event) is None


def counted(shown: tuple[int, int], hidden: tuple[int, int], project: str = "p") -> Counts:
    return Counts(
        {
            Key(project, Kind.ANCHORED, part, symbol, 86_400 * day): n
            for part, pair in (("shown", shown), ("hidden", hidden))
            for day, (symbol, n) in enumerate(zip(("agree", "differ"), pair, strict=True), start=1)
        }
    )


def test_the_difference_of_the_two_shares_with_its_interval() -> None:
    found = anchoring(counted((90, 10), (14, 6)))["p"]
    assert (found.shown, found.shown_agree, found.hidden, found.hidden_agree) == (100, 90, 20, 14)
    assert found.difference == pytest.approx(0.2)
    assert found.low < 0.05
    assert found.high > 0.3
    more = anchoring(counted((900, 100), (140, 60)))["p"]
    assert found.low < more.low
    assert more.low > 0.1
    assert anchoring(counted((5, 5), (0, 0))) == {}
    assert set(anchoring(counted((5, 5), (1, 0)) + counted((1, 1), (1, 1), "q"))) == {"p", "q"}


def test_newcombes_example() -> None:
    """56 of 70 against 48 of 80: 0.2, from 0.0524 to 0.3339 (Newcombe 1998, table II)."""
    by, low, high = difference(Answers(56, 70), Answers(48, 80))
    assert (by, low, high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_the_interval_covers() -> None:
    draw = random.Random(7)
    inside = 0
    for _ in range(1000):
        shown = Answers(sum(draw.random() < 0.85 for _ in range(300)), 300)
        hidden = Answers(sum(draw.random() < 0.75 for _ in range(40)), 40)
        _, low, high = difference(shown, hidden)
        inside += low <= 0.1 <= high
    assert 0.93 <= inside / 1000 <= 0.98
