"""The shared judge: every kind of poison gets its reason, and good records pass untouched."""

import json
from typing import Any

import pytest

from shared.bus.records import Received, Record
from shared.bus.validate import Rejected, decode
from shared.errors import Reason
from shared.topics import ITEMS, PREDICTIONS, Topic

ITEM: dict[str, Any] = {
    "project_id": "p",
    "item_id": "i1",
    "content": {"kind": "text", "text": "hello"},
    "created_at": "2026-01-01T00:00:00Z",
}
PREDICTION: dict[str, Any] = {
    "project_id": "p",
    "item_id": "i1",
    "value": {"kind": "choice", "choice": "a"},
    "distribution": {"a": 0.75, "b": 0.25},
    "confidence": 0.75,
    "margin": 0.5,
    "entropy": 0.56,
    "model_version": "m1",
    "generation": 1,
    "item_created_at": "2026-01-01T00:00:00Z",
    "predicted_at": "2026-01-01T00:00:01Z",
}


def record(value: bytes | None, *, key: bytes | None = b"p/i1", headers: tuple[Any, ...] = ()) -> Record:
    return Record("items.v1", 0, 7, key, value, headers, 1)


def body(base: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**base, **changes}).encode()


def judge(value: bytes | None, *, topic: Topic[Any] = ITEMS, **more: Any) -> Received[Any] | Rejected:
    return decode(topic, record(value, **more), max_bytes=1_048_576)


def test_a_good_item_passes() -> None:
    judged = judge(body(ITEM, later_field=1))
    assert isinstance(judged, Received)
    assert judged.event.item_id == "i1"


def test_an_item_of_a_client_without_keys_passes() -> None:
    assert isinstance(judge(body(ITEM), key=None), Received)


def test_null_and_binary_headers_are_no_reason_to_refuse() -> None:
    headers = (("a", None), ("b", b"\xff\xfe"), ("traceparent", b"\xff"))
    assert isinstance(judge(body(ITEM), headers=headers), Received)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.NULL_VALUE),
        (b"", Reason.BAD_JSON),
        (b"{", Reason.BAD_JSON),
        (b"nonsense", Reason.BAD_JSON),
        (b'{"a": "\xff\xfe"}', Reason.NOT_UTF8),
        (b"[" * 200_000, Reason.BAD_JSON),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, Reason.BAD_JSON),
        (b"[]", Reason.BAD_SCHEMA),
        (b"null", Reason.BAD_SCHEMA),
        (b"x" * 1_048_577, Reason.TOO_LARGE),
        (body(ITEM, item_id="a\x00b"), Reason.NUL_CHARACTER),
        (body(ITEM, item_id=""), Reason.BAD_SCHEMA),
        (body(ITEM, item_id=None), Reason.BAD_SCHEMA),
        (body(ITEM, project_id="Not A Slug"), Reason.BAD_SCHEMA),
        (body(ITEM, created_at="yesterday"), Reason.BAD_SCHEMA),
        (body(ITEM, content={"kind": "smell"}), Reason.BAD_SCHEMA),
        (b'{"item_id": "\\ud800", "project_id": "p"}', Reason.BAD_JSON),
    ],
)
def test_each_kind_of_poison_has_its_reason(value: bytes | None, reason: Reason) -> None:
    judged = judge(value)
    assert isinstance(judged, Rejected)
    assert judged.reason is reason, judged.detail


@pytest.mark.parametrize("confidence", ["NaN", "Infinity", "-Infinity", "1e999", "7", "-0.1"])
def test_numbers_outside_their_range_are_refused(confidence: str) -> None:
    value = json.dumps({**PREDICTION, "confidence": "@"}).replace('"@"', confidence).encode()
    judged = judge(value, topic=PREDICTIONS)
    assert isinstance(judged, Rejected)
    assert judged.reason in {Reason.BAD_NUMBER, Reason.BAD_JSON, Reason.BAD_SCHEMA}


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (b"labelstream.item.v2", Reason.UNSUPPORTED_VERSION),
        (b"labelstream.label.v1", Reason.BAD_HEADER),
        (b"\xff", Reason.BAD_HEADER),
    ],
)
def test_another_type_or_version_is_refused(declared: bytes, reason: Reason) -> None:
    judged = judge(body(ITEM), headers=(("ce_type", declared),))
    assert isinstance(judged, Rejected)
    assert judged.reason is reason


@pytest.mark.parametrize("key", [b"p/other", b"\xff\xfe", b""])
def test_a_key_that_is_not_the_events_is_refused(key: bytes) -> None:
    judged = judge(body(ITEM), key=key)
    assert isinstance(judged, Rejected)
    assert judged.reason is Reason.KEY_MISMATCH


def test_the_detail_names_the_place_and_never_the_value() -> None:
    judged = judge(body(ITEM, content={"kind": "text", "text": ["a very private sentence"]}))
    assert isinstance(judged, Rejected)
    assert "content.text" in judged.detail
    assert "private" not in judged.detail


def test_brackets_inside_strings_are_not_depth() -> None:
    assert isinstance(judge(body(ITEM, content={"kind": "text", "text": "[{" * 5_000})), Received)


def test_an_escaped_backslash_before_u0000_is_not_a_nul() -> None:
    assert isinstance(judge(body(ITEM, content={"kind": "text", "text": "\\u0000"})), Received)
