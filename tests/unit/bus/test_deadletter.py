"""A dead letter gives back its record byte for byte."""

from hypothesis import given
from hypothesis import strategies as st

from shared.bus.deadletter import dead_letter, original
from shared.bus.records import Outgoing, Record
from shared.db.store import pack, unpack
from shared.errors import Reason

maybe_bytes = st.none() | st.binary(max_size=200)
names = st.text(max_size=20) | st.binary(max_size=20).map(lambda name: name.decode("utf-8", "surrogateescape"))
records = st.builds(
    Record,
    topic=st.just("items.v1"),
    partition=st.integers(0, 100),
    offset=st.integers(0, 2**40),
    key=maybe_bytes,
    value=maybe_bytes,
    headers=st.lists(st.tuples(names, maybe_bytes), max_size=5).map(tuple),
    timestamp_ms=st.integers(0, 2**42),
)


def read_back(letter: Outgoing) -> Record:
    return Record(letter.topic, 3, 9, letter.key, letter.value, letter.headers, 5)


@given(records)
def test_round_trip(record: Record) -> None:
    letter = dead_letter(record, Reason.BAD_JSON, "why", service="assignment")
    assert letter.topic == "items.v1.dlq"
    assert original(read_back(letter)) == record


@given(st.lists(records, max_size=5))
def test_the_outbox_keeps_every_byte(several: list[Record]) -> None:
    letters = [dead_letter(record, Reason.TOO_LARGE, "x" * 2000, service="qc") for record in several]
    assert unpack(pack(letters)) == letters
