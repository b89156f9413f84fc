"""Records as Kafka gives and takes them, and the CloudEvents headers of ours."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from shared.events import Event
from shared.topics import Topic

E = TypeVar("E", bound=Event)
Headers = tuple[tuple[str, bytes | None], ...]

SOURCE = "ce_source"
TRACEPARENT = "traceparent"
TRACEPARENT_LENGTH = 55
_HEX = frozenset(b"0123456789abcdef")


class Record(NamedTuple):
    """One record as read, nothing decoded. `topic` is the logical name, without the deployment's prefix."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


class Received(NamedTuple, Generic[E]):
    """A record whose event is valid."""

    event: E
    record: Record


class Outgoing(NamedTuple):
    """One record to publish. `topic` is the logical name."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def record_of(raw: Any, prefix: str) -> Record:
    """The record of an aiokafka `ConsumerRecord`."""
    return Record(
        topic=raw.topic[len(prefix) :],
        partition=raw.partition,
        offset=raw.offset,
        key=raw.key,
        value=raw.value,
        headers=tuple(raw.headers),
        timestamp_ms=raw.timestamp,
    )


def header(headers: Iterable[tuple[str, bytes | None]], name: str) -> bytes | None:
    """The last value of a header, or None."""
    found = None
    for key, value in headers:
        if key == name:
            found = value
    return found


def written_by(service: str) -> Callable[[Record], bool]:
    """Whether a record says that this service of ours made it."""
    name = service.encode()
    return lambda record: header(record.headers, SOURCE) == name


def trace_of(event_id: str, cause: Record | None) -> bytes:
    """The W3C trace context of an event: its cause's trace, or a new one named after the event.

    Source: https://www.w3.org/TR/trace-context/ (version 00).
    """
    parent = header(cause.headers, TRACEPARENT) if cause is not None else None
    trace = parent[3:35] if parent is not None and len(parent) == TRACEPARENT_LENGTH else event_id.encode()
    return b"00-" + trace + b"-" + event_id[16:].encode() + b"-01"


def exemplar(record: Record) -> dict[str, str] | None:
    """What leads from a figure to a trace: the trace of a record; None where it has none that is well-formed."""
    parent = header(record.headers, TRACEPARENT)
    if parent is None or len(parent) != TRACEPARENT_LENGTH or not all(byte in _HEX for byte in parent[3:35]):
        return None
    return {"trace_id": parent[3:35].decode()}


def outgoing(topic: Topic[E], event: E, *, source: str, cause: Record | None = None) -> Outgoing:
    """The record of an event: JSON body, CloudEvents 1.0 headers (Kafka binary binding), trace context."""
    event_id = event.event_id
    return Outgoing(
        topic=topic.name,
        key=event.key.encode(),
        value=event.__pydantic_serializer__.to_json(event, exclude_none=True),
        headers=(
            ("ce_specversion", b"1.0"),
            ("ce_id", str(event_id).encode()),
            ("ce_type", event.ce_type.encode()),
            (SOURCE, source.encode()),
            ("ce_time", event.time.isoformat().encode()),
            ("content-type", b"application/json"),
            (TRACEPARENT, trace_of(event_id.hex, cause)),
        ),
    )
