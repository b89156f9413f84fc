"""Records that can never be processed, one of each kind, with the reason that each must get."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.bus.records import Outgoing, outgoing
from shared.errors import Reason
from shared.events import Item, MediaContent, Prediction
from shared.labels import Choice
from shared.topics import ITEMS, PREDICTIONS

SOURCE = "labelstream/demo"
DEEP = 500


@dataclass(frozen=True, slots=True)
class Poison:
    """One bad record and why it must be refused."""

    record: Outgoing
    reason: Reason


def poisons(project: str, conflicting: Item, *, now: datetime, max_bytes: int) -> Iterator[Poison]:
    """A dozen of them.

    Args:
        project: an existing project.
        conflicting: an item that is sent too, whose id one poison takes with other content.
        now: the time in the records.
        max_bytes: the largest value accepted.
    """
    item = Item(
        project_id=project,
        item_id="poison",
        content=MediaContent(kind="image", data="AAAA"),
        created_at=now,
    )
    body = item.model_dump(mode="json", exclude_none=True)
    good = outgoing(ITEMS, item, source=SOURCE)

    def raw(value: bytes | None, reason: Reason, *, key: bytes | None = good.key, **headers: bytes) -> Poison:
        return Poison(Outgoing(ITEMS.name, key, value, tuple(headers.items())), reason)

    yield raw(b'{"project_id": "digits", "item_id": ', Reason.BAD_JSON)
    yield raw(b'{"hello": "world"}', Reason.BAD_SCHEMA)
    yield raw(None, Reason.NULL_VALUE)
    yield raw(b'{"item_id": "\xff\xfe"}', Reason.NOT_UTF8)
    yield raw(_json(body | {"metadata": {"note": "a\x00b"}}), Reason.NUL_CHARACTER)
    yield raw(b'{"item_id":' + b"[" * DEEP + b"]" * DEEP + b"}", Reason.BAD_JSON)
    yield raw(_json(body | {"content": {"kind": "text", "text": "x" * max_bytes}}), Reason.TOO_LARGE)
    yield raw(good.value, Reason.UNSUPPORTED_VERSION, ce_type=b"labelstream.item.v9")
    yield raw(good.value, Reason.KEY_MISMATCH, key=b"digits/another")
    yield raw(_json(body | {"created_at": "yesterday"}), Reason.BAD_SCHEMA)
    stranger = item.model_copy(update={"project_id": "no-such-project"})
    yield Poison(outgoing(ITEMS, stranger, source=SOURCE), Reason.UNKNOWN_PROJECT)
    other = conflicting.model_copy(update={"content": MediaContent(kind="image", data="AAAA")})
    yield Poison(outgoing(ITEMS, other, source=SOURCE), Reason.ID_CONFLICT)
    yield from _bad_predictions(project, now)


def _bad_predictions(project: str, now: datetime) -> Iterator[Poison]:
    """What a model outside might write: a confidence above one, and a class that the project does not have."""
    prediction = Prediction(
        project_id=project,
        item_id="poison",
        value=Choice(choice="eleven"),
        confidence=0.9,
        model_version="outside",
        item_created_at=now,
        predicted_at=now,
    )
    good = outgoing(PREDICTIONS, prediction, source=SOURCE)
    body = prediction.model_dump(mode="json", exclude_none=True)
    headers = tuple((name, value) for name, value in good.headers if name != "ce_id")
    yield Poison(Outgoing(good.topic, good.key, _json(body | {"confidence": 1.7}), headers), Reason.BAD_NUMBER)
    yield Poison(good, Reason.UNKNOWN_LABEL)


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
