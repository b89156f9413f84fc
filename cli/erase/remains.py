"""What the databases still hold of an erased item or person: read by SQL of the command's own, not by the services'."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from cli.audit.databases import snapshot
from cli.erase.subjects import Subject
from shared.db.store import unpack

_ITEM = "project_id = $1 AND item_id = $2"

OF_ITEMS: Mapping[str, Mapping[str, str]] = {
    "assignment": {
        "item with content, prediction or state": "SELECT count(*) FROM items WHERE {item} AND (standing <> 'erased'"
        " OR content IS NOT NULL OR guess IS NOT NULL OR relabels IS NOT NULL OR created_at IS NOT NULL"
        " OR content_hash <> 'erased')",
        "rounds": "SELECT count(*) FROM rounds WHERE {item}",
        "leases": "SELECT count(*) FROM leases WHERE {item} AND state <> 'expired'",
        "leases that ran out": "SELECT count(*) FROM leases WHERE {item} AND state = 'expired'",
    },
    "qc": {
        "annotations": "SELECT count(*) FROM annotations WHERE {item} AND NOT gold",
        "gold answers": "SELECT count(*) FROM annotations WHERE {item} AND gold",
        "examples of errors": "SELECT count(*) FROM disputes WHERE {item}",
        "gold results": "SELECT count(*) FROM gold_results WHERE {item}",
        "rounds": "SELECT count(*) FROM rounds WHERE {item}",
        "label": "SELECT count(*) FROM items WHERE {item} AND (label_version > 0 OR label_symbol IS NOT NULL"
        " OR label_weights IS NOT NULL OR NOT erased)",
    },
    "monitor": {
        "item that is not erased": "SELECT count(*) FROM items WHERE {item} AND bits & 2 = 0",
        "relabels": "SELECT count(*) FROM relabels WHERE {item}",
        "audit": "SELECT count(*) FROM audits WHERE {item}",
        "label under a certificate": "SELECT count(*) FROM accepted WHERE {item}",
    },
}

OF_PEOPLE: Mapping[str, Mapping[str, str]] = {
    "assignment": {
        "account": "SELECT count(*) FROM annotators WHERE id = $1",
        "leases and answers": "SELECT count(*) FROM leases WHERE annotator_id = $1",
        "measurements": "SELECT count(*) FROM measurements WHERE annotator_id = $1",
        "gold plans": "SELECT count(*) FROM gold_plans WHERE annotator_id = $1",
        "restraints": "SELECT count(*) FROM restraints WHERE annotator_id = $1",
        "quarantines": "SELECT count(*) FROM quarantines WHERE annotator_id = $1",
        "idempotency keys": "SELECT count(*) FROM idempotency_keys WHERE principal = $1",
        "request log": "SELECT count(*) FROM request_log WHERE principal = $1 OR subject = $1",
        "exclusions": "SELECT count(*) FROM rounds WHERE cardinality(excluded) > 0 AND excluded @> ARRAY[$1]",
        "doubts": "SELECT count(*) FROM items WHERE relabels IS NOT NULL AND position(to_json($1::text)::text"
        " IN relabels) > 0",
    },
    "qc": {
        "annotations": "SELECT count(*) FROM annotations WHERE annotator_id = $1",
        "skill": "SELECT count(*) FROM annotators WHERE annotator_id = $1",
        "counts": "SELECT count(*) FROM annotator_counts WHERE annotator_id = $1",
        "conduct": "SELECT count(*) FROM conduct WHERE annotator_id = $1",
        "trust": "SELECT count(*) FROM trust WHERE annotator_id = $1",
    },
    "monitor": {
        "measurements": "SELECT count(*) FROM measurements WHERE subject = 'annotator#' || $1",
        "pairs": "SELECT count(*) FROM measurements AS m, jsonb_array_elements(m.measurement->'pairs') AS p"
        " WHERE m.kind = 'pair_agreement' AND $1 IN (p->>'first', p->>'second')",
    },
}


async def confirmed(connection: Any, subject: Subject) -> dict[str, Any] | None:
    """What a service noted about an erasure: when, and what it removed; None where it has not obeyed yet."""
    row = await connection.fetchrow(
        "SELECT requested_at, erased_at, removed::text AS removed FROM erasures WHERE subject = $1", subject.key
    )
    if row is None:
        return None
    return {"requested_at": row["requested_at"], "erased_at": row["erased_at"], "removed": json.loads(row["removed"])}


async def remaining(service: str, connection: Any, subject: Subject) -> dict[str, int]:
    """What is left -> rows; every kind that was looked for is there, with 0 where nothing is left."""
    queries, arguments = OF_ITEMS[service], (subject.project_id, subject.item_id)
    if subject.annotator_id is not None:
        queries, arguments = OF_PEOPLE[service], (subject.annotator_id,)  # type: ignore[assignment]
    left = {what: await connection.fetchval(query.format(item=_ITEM), *arguments) for what, query in queries.items()}
    left["outbox"] = await _in_outbox(connection, subject)
    if service == "qc" and subject.annotator_id is not None:
        left["snapshots"] = await _in_snapshots(connection, subject.annotator_id)
    return left


async def _in_outbox(connection: Any, subject: Subject) -> int:
    named = subject.annotator_id is not None
    needle = json.dumps(subject.annotator_id, ensure_ascii=False) if named else subject.key
    rows = await connection.fetch(
        "SELECT records FROM outbox WHERE position($1::bytea IN records) > 0", needle.encode("utf-8", "surrogatepass")
    )
    if named:
        return len(rows)
    return sum(record.key == subject.key.encode() for (payload,) in rows for record in unpack(payload))


async def _in_snapshots(connection: Any, annotator_id: str) -> int:
    needle = json.dumps(annotator_id).encode()  # as they are packed
    found = 0
    async for (body,) in connection.cursor("SELECT body FROM snapshots WHERE body IS NOT NULL"):
        found += needle in zlib.decompress(body)
    return found


async def look(service: str, url: str, subject: Subject) -> tuple[dict[str, Any] | None, dict[str, int]]:
    """One service's confirmation and what it still holds, in one snapshot.

    Raises:
        RetryLater: its database does not answer.
    """
    async with snapshot(service, url) as connection:
        return await confirmed(connection, subject), await remaining(service, connection, subject)
