"""The dead letter of a record: its bytes as they came, and in headers where it came from and why it was refused."""

import base64
import json

from shared.bus.records import Headers, Outgoing, Record, header
from shared.errors import Reason

REASON, DETAIL, SERVICE = "dlq_reason", "dlq_detail", "dlq_service"
TOPIC, PARTITION, OFFSET, TIMESTAMP, HEADERS = (
    "dlq_topic",
    "dlq_partition",
    "dlq_offset",
    "dlq_timestamp_ms",
    "dlq_headers",
)
MAX_DETAIL = 500


def _encode_headers(headers: Headers) -> bytes:
    """Original headers as JSON in ASCII: names as read, with escapes for what is not UTF-8; values base64 or null."""
    return json.dumps([[key, _b64(value)] for key, value in headers]).encode()


def _b64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def dead_letter(record: Record, reason: Reason, detail: str, *, service: str) -> Outgoing:
    """The dead letter of one record, for `<topic>.dlq`."""
    return Outgoing(
        topic=f"{record.topic}.dlq",
        key=record.key,
        value=record.value,
        headers=(
            (REASON, reason.value.encode()),
            (DETAIL, detail[:MAX_DETAIL].encode("utf-8", "replace")),
            (SERVICE, service.encode()),
            (TOPIC, record.topic.encode()),
            (PARTITION, str(record.partition).encode()),
            (OFFSET, str(record.offset).encode()),
            (TIMESTAMP, str(record.timestamp_ms).encode()),
            (HEADERS, _encode_headers(record.headers)),
        ),
    )


def original(letter: Record) -> Record:
    """The record that a dead letter holds, as it was read from its source topic.

    Raises:
        ValueError: the record is not a dead letter of ours.
    """
    found = {name: header(letter.headers, name) for name in (TOPIC, PARTITION, OFFSET, TIMESTAMP, HEADERS)}
    if any(value is None for value in found.values()):
        raise ValueError("the record has no dlq_* headers; it is not a dead letter")
    plain = json.loads(found[HEADERS] or b"[]")
    return Record(
        topic=(found[TOPIC] or b"").decode(),
        partition=int(found[PARTITION] or b"0"),
        offset=int(found[OFFSET] or b"0"),
        key=letter.key,
        value=letter.value,
        headers=tuple((key, None if value is None else base64.b64decode(value)) for key, value in plain),
        timestamp_ms=int(found[TIMESTAMP] or b"0"),
    )
