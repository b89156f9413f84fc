"""Headers and keys of what we publish."""

from datetime import UTC, datetime

from shared.bus.records import Outgoing, Record, exemplar, header, outgoing
from shared.events import Item, TextContent
from shared.topics import ITEMS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEM = Item(project_id="p", item_id="i", content=TextContent(text="x"), created_at=NOW)


def made(cause: Record | None = None) -> Outgoing:
    return outgoing(ITEMS, ITEM, source="prelabel", cause=cause)


def test_cloudevents_binary_binding() -> None:
    headers = dict(made().headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == str(ITEM.event_id).encode()
    assert headers["ce_type"] == b"labelstream.item.v1"
    assert headers["ce_source"] == b"prelabel"
    assert headers["ce_time"] == b"2026-01-01T00:00:00+00:00"
    assert made().key == b"p/i"


def test_the_same_cause_gives_the_same_record() -> None:
    assert made() == made()


def test_the_trace_of_the_cause_goes_on() -> None:
    parent = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    cause = Record("items.v1", 0, 0, None, b"", (("traceparent", parent),), 0)
    trace = header(made(cause).headers, "traceparent")
    assert trace is not None
    assert trace.startswith(b"00-" + b"a" * 32 + b"-")
    assert trace != parent
    assert len(trace) == len(parent)


def test_a_broken_trace_is_replaced() -> None:
    cause = Record("items.v1", 0, 0, None, b"", (("traceparent", b"\xff"),), 0)
    trace = header(made(cause).headers, "traceparent")
    assert trace is not None
    assert len(trace) == 55


def test_only_a_well_formed_trace_is_an_exemplar() -> None:
    def of(parent: bytes | None) -> dict[str, str] | None:
        return exemplar(Record("items.v1", 0, 0, None, b"", (("traceparent", parent),), 0))

    assert of(b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01") == {"trace_id": "a" * 32}
    for broken in (None, b"", b"\xff" * 55, b"00-" + b"g" * 32 + b"-" + b"b" * 16 + b"-01"):
        assert of(broken) is None
