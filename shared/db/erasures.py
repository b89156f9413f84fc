"""The statements of erasing that every service has: the list of what was erased, and the outbox."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.bus.records import Outgoing
from shared.db.store import pack, unpack

Removed = Counter[str]
"""What was removed -> how many rows."""


@dataclass(frozen=True, slots=True)
class Noted:
    """One row of the list. `annotator_id` is None for an item, whose subject is its key, project/item."""

    subject: str
    annotator_id: str | None
    requested_at: datetime


async def note_erasures(connection: Any, erased: Mapping[Noted, Removed], at: datetime) -> None:
    """Remember what was erased; what it removed now is added to what it removed before."""
    ordered = sorted(erased, key=lambda one: one.subject)
    rows = await connection.fetch(
        "SELECT subject, removed FROM erasures WHERE subject = ANY($1::text[]) ORDER BY subject FOR UPDATE",
        [one.subject for one in ordered],
    )
    before = {row["subject"]: Counter(json.loads(row["removed"])) for row in rows}
    await connection.execute(
        "INSERT INTO erasures AS e (subject, annotator_id, requested_at, erased_at, removed)"
        " SELECT s, a, r, $4, d FROM unnest($1::text[], $2::text[], $3::timestamptz[], $5::jsonb[]) AS n(s, a, r, d)"
        " ON CONFLICT (subject) DO UPDATE SET erased_at = excluded.erased_at, removed = excluded.removed,"
        " requested_at = greatest(e.requested_at, excluded.requested_at)",
        [one.subject for one in ordered],
        [one.annotator_id for one in ordered],
        [one.requested_at for one in ordered],
        at,
        [json.dumps(before.get(one.subject, Counter()) + erased[one], sort_keys=True) for one in ordered],
    )


async def list_people(connection: Any) -> list[Noted]:
    """Every person who was erased."""
    rows = await connection.fetch(
        "SELECT subject, annotator_id, requested_at FROM erasures WHERE annotator_id IS NOT NULL ORDER BY subject"
    )
    return [Noted(row["subject"], row["annotator_id"], row["requested_at"]) for row in rows]


async def list_items(connection: Any, since: datetime, limit: int) -> list[Noted]:
    """Items whose erasure was requested since then, the newest first."""
    rows = await connection.fetch(
        "SELECT subject, requested_at FROM erasures WHERE annotator_id IS NULL AND requested_at > $1"
        " ORDER BY requested_at DESC LIMIT $2",
        since,
        limit,
    )
    return [Noted(row["subject"], None, row["requested_at"]) for row in rows]


async def take_from_outbox(connection: Any, keys: Iterable[str]) -> dict[str, Removed]:
    """Remove what waits to be published about these items. Returns key -> how many records."""
    wanted = {key.encode(): key for key in keys}
    taken: dict[str, Removed] = {key: Counter() for key in wanted.values()}
    rows = await connection.fetch(
        "SELECT o.id, o.records FROM outbox AS o WHERE EXISTS ("
        " SELECT FROM unnest($1::bytea[]) AS k(key) WHERE position(k.key IN o.records) > 0) ORDER BY o.id FOR UPDATE",
        list(wanted),
    )
    for row in rows:
        records = unpack(row["records"])
        kept = [record for record in records if record.key not in wanted]
        for record in records:
            if record.key in wanted:
                taken[wanted[record.key]]["outbox"] += 1
        await _put_back(connection, row["id"], kept, len(records))
    return taken


async def _put_back(connection: Any, row: int, kept: Sequence[Outgoing], number: int) -> None:
    if not kept:
        await connection.execute("DELETE FROM outbox WHERE id = $1", row)
    elif len(kept) < number:
        await connection.execute(
            "UPDATE outbox SET records = $2, record_count = $3 WHERE id = $1", row, pack(kept), len(kept)
        )


async def names_in_outbox(connection: Any, people: Iterable[str]) -> bool:
    """Whether something that waits to be published names one of these people."""
    needles = [json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass") for name in people]
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM outbox AS o, unnest($1::bytea[]) AS k(name)"
        " WHERE position(k.name IN o.records) > 0)",
        needles,
    )
    return found
