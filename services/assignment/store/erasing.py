"""Statements that erase items and people. Rounds are locked before leases, in the order of their ids, as everywhere."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.assignment.store.items import columns
from services.assignment.store.rows import Key
from shared.db.erasures import Removed

FORGOTTEN = "erased"
"""What stands where an erased person was named."""


def _rows(done: str) -> int:
    return int(done.rsplit(" ", 1)[1])


async def delete_rounds_and_leases(connection: Any, keys: Sequence[Key]) -> dict[Key, Removed]:
    """Delete the rounds and leases of items whose rows the caller has locked, gold leases among them."""
    pairs = columns(keys)
    await connection.execute(
        "SELECT r.id FROM rounds AS r JOIN unnest($1::text[], $2::text[]) AS k(p, i)"
        " ON r.project_id = k.p AND r.item_id = k.i ORDER BY r.id FOR UPDATE OF r",
        *pairs,
    )
    removed: dict[Key, Removed] = {key: Counter() for key in keys}
    for table, condition in (
        ("leases", "t.state <> 'expired'"),
        ("leases", "t.state = 'expired'"),
        ("rounds", "true"),
    ):
        rows = await connection.fetch(
            f"WITH gone AS (DELETE FROM {table} AS t USING unnest($1::text[], $2::text[]) AS k(p, i)"  # noqa: S608  # ours
            f" WHERE t.project_id = k.p AND t.item_id = k.i AND {condition} RETURNING t.project_id, t.item_id)"
            " SELECT project_id, item_id, count(*) AS n FROM gone GROUP BY 1, 2",
            *pairs,
        )
        for row in rows:
            removed[row["project_id"], row["item_id"]][table] += row["n"]
    return removed


async def list_held(connection: Any, annotator_id: str) -> list[UUID]:
    """The leases that a person holds, also those whose time is up."""
    rows = await connection.fetch("SELECT id FROM leases WHERE annotator_id = $1 AND state = 'active'", annotator_id)
    return [row["id"] for row in rows]


@dataclass(frozen=True, slots=True)
class Given:
    """A lease that became an answer or a skip."""

    token: int
    key: Key
    gold: bool


async def list_given(connection: Any, annotator_id: str, limit: int) -> list[Given]:
    """Leases of a person that became answers or skips."""
    rows = await connection.fetch(
        "SELECT token, project_id, item_id, gold FROM leases"
        " WHERE annotator_id = $1 AND state <> 'active' AND state <> 'expired' ORDER BY token LIMIT $2",
        annotator_id,
        limit,
    )
    return [Given(row["token"], (row["project_id"], row["item_id"]), row["gold"]) for row in rows]


async def rename_given(connection: Any, tokens: Sequence[int], names: Sequence[str]) -> None:
    """Cut answers loose from who gave them: each gets a name of its own, and its digest goes."""
    await connection.execute(
        "UPDATE leases AS l SET annotator_id = n.name, digest = NULL"
        " FROM unnest($1::bigint[], $2::text[]) AS n(token, name) WHERE l.token = n.token",
        list(tokens),
        list(names),
    )


_OF_A_PERSON = (
    ("leases", "DELETE FROM leases WHERE annotator_id = $1 AND state = 'expired'"),
    ("people", "DELETE FROM annotators WHERE id = $1"),
    ("measurements", "DELETE FROM measurements WHERE annotator_id = $1"),
    ("gold_plans", "DELETE FROM gold_plans WHERE annotator_id = $1"),
    ("restraints", "DELETE FROM restraints WHERE annotator_id = $1"),
    ("workdays", "DELETE FROM workdays WHERE annotator_id = $1"),
    ("quarantines", "DELETE FROM quarantines WHERE annotator_id = $1"),
    ("idempotency_keys", "DELETE FROM idempotency_keys WHERE principal = $1"),
    (
        "mentions",
        "UPDATE rounds SET excluded = array_remove(excluded, $1) WHERE excluded <> '{}' AND excluded @> ARRAY[$1]",
    ),
)
_BLANK_PRINCIPAL = "UPDATE request_log SET principal = $2 WHERE principal = $1"
_BLANK_SUBJECT = "UPDATE request_log SET subject = $2 WHERE subject = $1"
_BLANK_DOUBTS = (
    "UPDATE items SET relabels = replace(relabels, $1, $2) WHERE relabels IS NOT NULL AND position($1 IN relabels) > 0"
)


async def delete_person(connection: Any, annotator_id: str) -> Removed:
    """Delete a person: name, role, token, quarantines, requests, leases that ran out; mentions are blanked."""
    quoted = json.dumps(annotator_id, ensure_ascii=False)
    removed: Removed = Counter()
    await connection.execute("SELECT set_config('labelstream.upkeep', 'on', true)")
    for what, statement in _OF_A_PERSON:
        removed[what] += _rows(await connection.execute(statement, annotator_id))
    for what, statement, arguments in (
        ("mentions", _BLANK_PRINCIPAL, (annotator_id, FORGOTTEN)),
        ("mentions", _BLANK_SUBJECT, (annotator_id, FORGOTTEN)),
        ("mentions", _BLANK_DOUBTS, (quoted, f'"{FORGOTTEN}"')),
    ):
        removed[what] += _rows(await connection.execute(statement, *arguments))
    await connection.execute("SELECT set_config('labelstream.upkeep', '', true)")
    return +removed
