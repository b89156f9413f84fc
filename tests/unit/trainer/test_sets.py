"""Training sets: what is held out, what is one row, and that both follow from the labels alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.prelabel.training.domain.checking import mismatch
from services.prelabel.training.domain.due import due
from services.prelabel.training.domain.sets import Labelled, candidate_name, split
from shared.events import Training
from shared.heldout import is_held_out


def labelled(number: int, *, content: str = "", group: str = "", category: str = "a", **more: object) -> Labelled:
    found = content or f"c{number}"
    fields = {"version": 1, "weight": 1.0, "audited": False, "inclusion": 1.0, **more}
    return Labelled(f"i{number}", found, group or found, category, **fields)  # type: ignore[arg-type]


MANY = [labelled(number) for number in range(4000)]


def test_the_share_is_held_out_and_drawn_by_project() -> None:
    found = split("p", MANY, share=0.2, grouped=False)
    assert 0.17 < len(found.held_out) / len(MANY) < 0.23
    other = split("q", MANY, share=0.2, grouped=False)
    assert {one.item_id for one in found.held_out} != {one.item_id for one in other.held_out}


def test_more_labels_move_nothing_to_the_other_side() -> None:
    few, all_of_them = split("p", MANY[:500], share=0.2, grouped=False), split("p", MANY, share=0.2, grouped=False)
    assert {one.item_id for one in few.held_out} <= {one.item_id for one in all_of_them.held_out}
    assert {row.content_hash for row in few.training} <= {row.content_hash for row in all_of_them.training}


def test_audits_are_drawn_as_others_and_judge_the_models_before_them() -> None:
    plain = [labelled(number, audited=number % 2 == 0) for number in range(100)]
    found, grouped = (split("p", plain, share=0.2, grouped=one) for one in (False, True))
    held_out = {one.item_id for one in found.held_out}
    assert 0 < sum(one.audited for one in found.held_out) < 20
    assert len(found.training) == 100 - len(held_out)
    assert {one.item_id for one in found.audits} == {one.item_id for one in plain if one.audited} - held_out
    assert (grouped.training, grouped.audits) == (found.training, ())


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8), st.booleans()), max_size=60), st.integers())
def test_a_group_never_straddles_and_order_says_nothing(rows: list[tuple[int, int, bool]], seed: int) -> None:
    labels = [
        labelled(number, content=f"c{content}.{group}", group=f"g{group}", audited=audited)
        for number, (content, group, audited) in enumerate(rows)
    ]
    found = split("p", labels, share=0.3, grouped=True)
    groups = {row.group for row in found.training}
    assert not groups & {one.group for one in found.held_out}
    random.Random(seed).shuffle(labels)
    again = split("p", labels, share=0.3, grouped=True)
    assert (again.data_hash, again.labels_hash, again.training) == (found.data_hash, found.labels_hash, found.training)


def test_copies_of_a_content_are_one_row() -> None:
    content = next(f"c{n}" for n in range(100) if not is_held_out("p", f"c{n}", 0.2))
    copies = [
        labelled(1, content=content, category="a", weight=0.9),
        labelled(2, content=content, category="a", weight=0.7),
        labelled(3, content=content, category="b", weight=0.99),
    ]
    (row,) = split("p", copies, share=0.2, grouped=False).training
    assert (row.category, row.weight) == ("a", round(1.6 / 3, 6))


def test_the_hash_is_of_what_is_learned_from() -> None:
    base = split("p", MANY[:50], share=0.2, grouped=False)
    changed = [*MANY[:49], labelled(49, category="b")]
    heavier = [*MANY[:49], labelled(49, weight=0.5)]
    learned = {row.content_hash for row in base.training}
    assert "c49" in learned
    hashes = {split("p", some, share=0.2, grouped=False).data_hash for some in (MANY[:50], changed, heavier)}
    assert len(hashes) == 3


def test_a_candidate_is_named_by_its_causes() -> None:
    assert candidate_name("p", "hash", "code", 1) == candidate_name("p", "hash", "code", 1)
    assert candidate_name("p", "hash", "code", 1) != candidate_name("p", "hash", "code", 2)


@pytest.mark.parametrize(
    ("since", "alarm", "expected"),
    [
        (299, {}, False), (300, {}, True),
        (0, {"breached": True}, False), (1, {"breached": True}, True),
        (74, {"drifted": True}, False), (75, {"drifted": True}, True),
    ],
)  # fmt: skip
def test_an_alarm_asks_for_the_next_model_sooner(*, since: int, alarm: dict[str, bool], expected: bool) -> None:
    training = Training(first_after=150, after_labels=300)
    assert due(training, labels=1000, since=since, tried=True, live=True, **alarm) is expected
    assert due(training, labels=149, since=149, tried=False, live=False, **alarm) is False


def test_an_export_that_differs_is_noticed() -> None:
    own = {"a": (0.2, 0.8), "b": (0.5, 0.5)}
    assert mismatch(own, {"a": (0.2001, 0.7999), "b": (0.5, 0.5)}) is None
    assert mismatch(own, {"a": (0.3, 0.7), "b": (0.5, 0.5)}) == "a probability of the exported model is off by 0.1000"
    assert "abstains" in (mismatch(own, {"a": (0.2, 0.8), "b": ()}) or "")
