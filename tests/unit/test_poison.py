"""The table of poison agrees with the shared judge: what it refuses, why, and what it must not refuse."""

import pytest

from shared.bus.records import Outgoing, Received, Record
from shared.bus.validate import Rejected, decode
from shared.events import FeaturesContent, Item
from shared.topics import BY_NAME
from tests.support import events as make
from tests.support.poison import KINDS, MAX_BYTES, ODD, TEN

ITEM = make.item("i1", content=FeaturesContent(features=(1.0,)))
LEAST = 25


def judged(out: Outgoing) -> Received[Item] | Rejected:
    record = Record(out.topic, 0, 0, out.key, out.value, out.headers, 0)
    return decode(BY_NAME[out.topic], record, max_bytes=MAX_BYTES)


@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_refused_for_its_reason(kind: str) -> None:
    poison = KINDS[kind](ITEM)
    found = judged(poison.outgoing(("seq", b"1")))
    if poison.judged_by_owner:
        assert isinstance(found, Received)
    else:
        assert isinstance(found, Rejected)
        assert found.reason is poison.reason, found.detail


@pytest.mark.parametrize("kind", ODD)
def test_odd_is_the_item(kind: str) -> None:
    found = judged(ODD[kind](ITEM))
    assert isinstance(found, Received), found
    assert found.event == ITEM


def test_there_are_enough() -> None:
    assert len(KINDS) >= LEAST
    assert set(TEN) <= KINDS.keys()
    owners = {BY_NAME[make_one(ITEM).topic].dlq_owner for make_one in KINDS.values()}
    assert owners == {"prelabel", "assignment", "qc", "monitor"}
