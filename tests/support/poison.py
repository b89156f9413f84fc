"""Records that can never be processed: one table, one row per kind, with the reason that each must get.

`ODD` beside it holds what must be processed although it looks strange. Add a kind by adding a function to a table;
`tests/unit/test_poison.py` checks it against the shared judge, the end-to-end tests send every kind through the stream.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.bus.records import Headers, Outgoing, outgoing
from shared.errors import Reason
from shared.events import FeaturesContent, Item, Prediction, TextContent
from shared.labels import Choice
from shared.topics import ITEMS, PREDICTIONS, TOPICS
from tests.support.raw import NotUtf8

SOURCE = "tests/poison"
MAX_BYTES = 1_048_576
DEEP = 200_000
UNKNOWN_PROJECT = "no-such-project"


@dataclass(frozen=True, slots=True)
class Poison:
    """One bad record, why it must be refused, and whether the shared judge sees that or only the topic's owner."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: Reason
    judged_by_owner: bool = False

    def outgoing(self, *more: tuple[str, bytes]) -> Outgoing:
        """To publish; a null header goes out as it is."""
        return Outgoing(self.topic, self.key, self.value, (*self.headers, *more))  # type: ignore[arg-type]


Kind = Callable[[Item], Poison]
Change = Callable[[Item], Outgoing]


def _good(item: Item) -> Outgoing:
    return outgoing(ITEMS, item, source=SOURCE)


def _body(item: Item) -> dict[str, Any]:
    return item.model_dump(mode="json", exclude_none=True)


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _raw(value: bytes | None, reason: Reason, *, key: bytes | None = None) -> Kind:
    """A fixed value under a key of the item's, with the headers of a good record."""

    def make(item: Item) -> Poison:
        good = _good(item)
        return Poison(ITEMS.name, key if key is not None else good.key, value, good.headers, reason)

    return make


def _changed(reason: Reason, **fields: Any) -> Kind:
    """A good item with some fields replaced; None removes one."""

    def make(item: Item) -> Poison:
        body = {name: value for name, value in (_body(item) | fields).items() if value is not None}
        good = _good(item)
        key = f"{body.get('project_id')}/{body.get('item_id')}".encode()
        return Poison(ITEMS.name, key, _json(body), good.headers, reason)

    return make


def _spliced(reason: Reason, field: str, text: bytes) -> Kind:
    """A good item with the JSON text of one field replaced, for what no JSON library writes."""

    def make(item: Item) -> Poison:
        marked = _json(_body(item) | {field: "@@"}).replace(b'"@@"', text)
        good = _good(item)
        return Poison(ITEMS.name, good.key, marked, good.headers, reason)

    return make


def _headed(reason: Reason, name: str, value: bytes) -> Kind:
    """A good body that says by a header that it is something else."""

    def make(item: Item) -> Poison:
        good = _good(item)
        headers = (*((k, v) for k, v in good.headers if k != name), (name, value))
        return Poison(ITEMS.name, good.key, good.value, headers, reason)

    return make


def _keyed(key: bytes) -> Kind:
    def make(item: Item) -> Poison:
        good = _good(item)
        return Poison(ITEMS.name, key, good.value, good.headers, Reason.KEY_MISMATCH)

    return make


def _owned(reason: Reason, change: Callable[[Item], Item]) -> Kind:
    """An item that is well formed; only assignment knows why it cannot be."""

    def make(item: Item) -> Poison:
        good = _good(change(item))
        return Poison(good.topic, good.key, good.value, good.headers, reason, judged_by_owner=True)

    return make


def _prediction(reason: Reason, *, owned: bool = False, **fields: Any) -> Kind:
    """What a model outside might write about an item that nobody sent."""

    def make(item: Item) -> Poison:
        base = Prediction(
            project_id=item.project_id,
            item_id=f"{item.item_id}/unsent",
            value=Choice(choice="a"),
            confidence=0.9,
            model_version="outside",
            item_created_at=item.created_at,
            predicted_at=item.created_at,
        )
        good = outgoing(PREDICTIONS, base, source=SOURCE)
        body = base.model_dump(mode="json", exclude_none=True) | fields
        key = f"{body['project_id']}/{body['item_id']}".encode()
        return Poison(PREDICTIONS.name, key, _json(body), good.headers, reason, judged_by_owner=owned)

    return make


def _broken(topic: str) -> Kind:
    def make(item: Item) -> Poison:
        return Poison(topic, item.key.encode(), b'{"project_id": "', (), Reason.BAD_JSON)

    return make


def _own_id(item: Item, of: str) -> Item:
    return item.model_copy(update={"item_id": f"{item.item_id}/{of}"})


def _other_content(item: Item) -> Item:
    """The same id with other content: the first stands."""
    assert isinstance(item.content, FeaturesContent)
    return item.model_copy(update={"content": FeaturesContent(features=(item.content.features[0] + 0.5,))})


KINDS: Mapping[str, Kind] = {
    "cut short": _raw(b'{"project_id": "x", "item_id": ', Reason.BAD_JSON),
    "empty": _raw(b"", Reason.BAD_JSON),
    "null": _raw(None, Reason.NULL_VALUE),
    "not an object": _raw(b"[1, 2]", Reason.BAD_SCHEMA),
    "another schema": _raw(b'{"hello": "world"}', Reason.BAD_SCHEMA),
    "not utf-8": _raw(b'{"item_id": "\xff\xfe"}', Reason.NOT_UTF8),
    "nested 200,000 deep": _raw(b'{"item_id":' + b"[" * DEEP + b"]" * DEEP + b"}", Reason.BAD_JSON),
    "open brackets": _raw(b"[" * DEEP, Reason.BAD_JSON),
    "one byte too large": _raw(b'"' + b"x" * (MAX_BYTES - 1) + b'"', Reason.TOO_LARGE),
    "a NUL byte": _raw(b'{"item_id": "a\x00b"}', Reason.NUL_CHARACTER),
    "an escaped NUL": _changed(Reason.NUL_CHARACTER, metadata={"note": "a\x00b"}),
    "a lone surrogate": _spliced(Reason.BAD_JSON, "item_id", b'"\\ud800"'),
    "no time": _changed(Reason.BAD_SCHEMA, created_at=None),
    "a time without zone": _changed(Reason.BAD_SCHEMA, created_at="2025-01-01T00:00:00"),
    "the year 1": _changed(Reason.BAD_SCHEMA, created_at="0001-01-01T00:00:00+12:00"),
    "the year 9999": _changed(Reason.BAD_SCHEMA, created_at="9999-12-31T23:59:59-12:00"),
    "a number as id": _changed(Reason.BAD_SCHEMA, item_id=7),
    "no id": _changed(Reason.BAD_SCHEMA, item_id=""),
    "an endless id": _changed(Reason.BAD_SCHEMA, item_id="\N{SNOWMAN}" * 400),
    "a bad project name": _changed(Reason.BAD_SCHEMA, project_id="A Project!"),
    "an unknown kind of content": _changed(Reason.BAD_SCHEMA, content={"kind": "smell", "data": "AAAA"}),
    "NaN": _spliced(Reason.BAD_NUMBER, "content", b'{"kind": "features", "features": [NaN]}'),
    "1e999": _spliced(Reason.BAD_NUMBER, "content", b'{"kind": "features", "features": [1e999]}'),
    "text as number": _changed(Reason.BAD_SCHEMA, content={"kind": "features", "features": ["one"]}),
    "a future version": _headed(Reason.UNSUPPORTED_VERSION, "ce_type", b"labelstream.item.v9"),
    "another event": _headed(Reason.BAD_HEADER, "ce_type", b"com.example.order"),
    "a type that is not utf-8": _headed(Reason.BAD_HEADER, "ce_type", b"\xff\xfe"),
    "a header name that is not utf-8": lambda item: Poison(
        ITEMS.name, item.key.encode(), b"{", ((NotUtf8("\udcff\udcfe"), b"x"), ("note", None)), Reason.BAD_JSON
    ),
    "another key": _keyed(b"e2e/another"),
    "a key that is not utf-8": _keyed(b"\xff\xfe\xfd"),
    "an unknown project": _owned(
        Reason.UNKNOWN_PROJECT, lambda item: item.model_copy(update={"project_id": UNKNOWN_PROJECT})
    ),
    "content of another kind": _owned(
        Reason.CONTENT_KIND, lambda item: _own_id(item, "text").model_copy(update={"content": TextContent(text="x")})
    ),
    "other content": _owned(Reason.ID_CONFLICT, _other_content),
    "a confidence of 1.7": _prediction(Reason.BAD_NUMBER, confidence=1.7),
    "a true confidence": _prediction(Reason.BAD_SCHEMA, confidence=True),
    "a distribution of 1.5": _prediction(Reason.BAD_SCHEMA, distribution={"a": 0.9, "b": 0.6}),
    "both answer and abstention": _prediction(Reason.BAD_SCHEMA, abstention="no_model"),
    "an unknown class": _prediction(Reason.UNKNOWN_LABEL, owned=True, value={"kind": "choice", "choice": "eleven"}),
    "a prediction for nobody": _prediction(Reason.UNKNOWN_PROJECT, owned=True, project_id=UNKNOWN_PROJECT),
    **{
        f"broken {topic.name}": _broken(topic.name)
        for topic in TOPICS
        if topic.dlq_owner is not None and topic not in (ITEMS, PREDICTIONS)
    },
}

TEN = (
    "cut short", "null", "not utf-8", "nested 200,000 deep", "one byte too large", "an escaped NUL", "1e999",
    "a future version", "an unknown project", "other content",
)  # fmt: skip
"""A choice of ten very different ones, for short runs."""


def _with_headers(*headers: tuple[str, bytes | None]) -> Change:
    def change(item: Item) -> Outgoing:
        good = _good(item)
        return Outgoing(good.topic, good.key, good.value, (*good.headers, *headers))  # type: ignore[arg-type]

    return change


def _bare(item: Item) -> Outgoing:
    good = _good(item)
    return Outgoing(good.topic, good.key, good.value, ())


def _unknown_field(item: Item) -> Outgoing:
    good = _good(item)
    return Outgoing(good.topic, good.key, _json(_body(item) | {"added_in_v7": {"x": [1, None]}}), good.headers)


def _said_twice(item: Item) -> Outgoing:
    """JSON with a key twice: the last one counts, as every reader of ours takes it."""
    good = _good(item)
    value = good.value or b""
    return Outgoing(good.topic, good.key, b'{"item_id": "overridden", ' + value[1:], good.headers)


def _unkeyed(item: Item) -> Outgoing:
    good = _good(item)
    return Outgoing(good.topic, None, good.value, good.headers)


ODD: Mapping[str, Change] = {
    "a null header": _with_headers(("note", None)),
    "a header that is not utf-8": _with_headers(("note", b"\xff\xfe\x00")),
    "a header name that is not utf-8": _with_headers((NotUtf8("caf\udce9"), b"1")),
    "the same header twice": _with_headers(("note", b"1"), ("note", b"2")),
    "no headers": _bare,
    "an unknown field": _unknown_field,
    "a field twice": _said_twice,
    "no key": _unkeyed,
}
"""What a client that is not ours may send, and must be taken as the item that it is."""
