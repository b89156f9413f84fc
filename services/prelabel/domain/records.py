"""A record of a source topic, and the document that the expressions of its mapping see."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import JsonValue

from shared.errors import PoisonMessage, Reason


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A record as it lies in the source topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int


def refuse(reason: Reason, detail: str) -> NoReturn:
    """Raise the PoisonMessage of a record."""
    raise PoisonMessage(reason, detail)


def _refuse_constant(name: str) -> NoReturn:
    refuse(Reason.BAD_NUMBER, f"{name} is not JSON; send null or leave the field out")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        refuse(Reason.BAD_NUMBER, "a number is too large for a float")
    return number


def parse_json(value: bytes | None) -> JsonValue:
    """Strict JSON. Raises PoisonMessage with the reason."""
    if value is None:
        refuse(Reason.NULL_VALUE, "the record has no value")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        refuse(Reason.NOT_UTF8, f"byte {error.start} of the value is not UTF-8")
    try:
        parsed: JsonValue = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        refuse(Reason.BAD_JSON, "the value is nested too deeply")
    except ValueError as error:
        place = f"line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else "a number"
        refuse(Reason.BAD_JSON, f"the value is not JSON at {place}")
    return parsed


def document(record: SourceRecord) -> dict[str, Any]:
    """What the expressions see: the JSON object, with `_key`, `_timestamp` (ms), `_headers`, `_value` added."""
    value = parse_json(record.value)
    seen: dict[str, Any] = dict(value) if isinstance(value, dict) else {}
    seen["_value"] = value
    seen["_key"] = None if record.key is None else record.key.decode("utf-8", "replace")
    seen["_timestamp"] = record.timestamp_ms
    seen["_headers"] = {
        name: None if content is None else content.decode("utf-8", "replace") for name, content in record.headers
    }
    return seen
