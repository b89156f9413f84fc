"""The shared judge of records: a valid event, or a reason why not. Never raises for what a record holds."""

import functools
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.bus.records import Received, Record, header
from shared.errors import Reason
from shared.events import Event
from shared.topics import Topic

E = TypeVar("E", bound=Event)

MAX_DEPTH = 100
_CE_TYPE = "ce_type"
_VERSION = re.compile(rb"^(?P<stem>[a-z_.]+)\.v(?P<major>\d+)$")
_BAD_NUMBER = frozenset({"finite_number", "greater_than", "greater_than_equal", "less_than", "less_than_equal"})


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be processed, and why."""

    record: Record
    reason: Reason
    detail: str


def _too_deep(value: bytes) -> bool:
    """Whether brackets nest deeper than any event of ours; a cheap upper bound that counts those in strings too."""
    if value.count(b"[") + value.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for byte in re.findall(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', value):
        if byte in (b"[", b"{"):
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif byte in (b"]", b"}"):
            depth -= 1
    return False


def _explain(error: ValidationError) -> tuple[Reason, str]:
    """The reason and place of the first mistake; the value itself is never repeated."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "body"
    kind = first["type"]
    message = f"{place}: {first['msg']}"
    if kind == "json_invalid":
        return Reason.BAD_JSON, message
    if "U+0000" in message:
        return Reason.NUL_CHARACTER, message
    if kind in _BAD_NUMBER:
        return Reason.BAD_NUMBER, message
    return Reason.BAD_SCHEMA, message


@functools.cache
def _types(topic: Topic[Any]) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """The `ce_type` of each event of a topic, and the same without their major versions."""
    names = [event.ce_type for event in topic.events]
    return frozenset(name.encode() for name in names), frozenset(name.rsplit(".v", 1)[0].encode() for name in names)


def _check_type(topic: Topic[Any], record: Record) -> tuple[Reason, str] | None:
    """Refuse a body that says it is another event or another major version of ours."""
    declared = header(record.headers, _CE_TYPE)
    if declared is None:
        return None
    known, stems = _types(topic)
    if declared in known:
        return None
    match = _VERSION.match(declared)
    if match is not None and match["stem"] in stems:
        major = match["major"].decode()
        return Reason.UNSUPPORTED_VERSION, f"ce_type: major version {major} is not read from {topic.name}"
    return Reason.BAD_HEADER, f"ce_type: not an event of {topic.name}"


def _check_bytes(topic: Topic[Any], record: Record, max_bytes: int) -> tuple[Reason, str] | None:
    value = record.value
    if value is None:
        return Reason.NULL_VALUE, f"the value is null; {topic.name} is not compacted"
    if len(value) > max_bytes:
        return Reason.TOO_LARGE, f"the value has {len(value)} bytes, the limit is {max_bytes}; send a URI instead"
    if b"\\u0000" in value or b"\x00" in value:
        return _nul(value)
    if _too_deep(value):
        return Reason.BAD_JSON, f"the JSON nests deeper than {MAX_DEPTH} levels"
    return _check_type(topic, record)


def _nul(value: bytes) -> tuple[Reason, str] | None:
    """PostgreSQL stores no U+0000, so no text of an event may hold one; an escaped backslash before u0000 is fine."""
    if b"\x00" in value or re.search(rb"(?<!\\)(?:\\\\)*\\u0000", value):
        return Reason.NUL_CHARACTER, "the value holds U+0000; remove it at the source"
    return None


def decode(topic: Topic[E], record: Record, *, max_bytes: int) -> Received[E] | Rejected:
    """Judge one record of a topic.

    Args:
        topic: the row of the topics table.
        record: as read.
        max_bytes: the largest value that is accepted.
    """
    refused = _check_bytes(topic, record, max_bytes)
    if refused is not None:
        return Rejected(record, *refused)
    try:
        event = topic.event.validate_json(record.value or b"")
    except ValidationError as error:
        reason, detail = _explain(error)
        if reason is Reason.BAD_JSON and not _is_utf8(record.value or b""):
            return Rejected(record, Reason.NOT_UTF8, "the value is not UTF-8")
        return Rejected(record, reason, detail)
    except (RecursionError, UnicodeError, ValueError) as error:
        return Rejected(record, Reason.BAD_JSON, type(error).__name__)
    if record.key != event.key.encode("utf-8", "surrogatepass") and not (topic.unkeyed and record.key is None):
        return Rejected(record, Reason.KEY_MISMATCH, f"the record's key is not {topic.key} of its event")
    return Received(event, record)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
