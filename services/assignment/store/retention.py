"""Statements that forget what has become too old. Each touches a bounded number of rows, found by an index."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.assignment.domain.states import RESTING

CONTENTS = "contents"
AT_REST = [state.value for state in RESTING]

_BLANK = (
    "UPDATE items AS i SET content = NULL, guess = NULL, sketch = NULL FROM unnest($1::text[], $2::text[]) AS k(p, i)"
    " WHERE i.project_id = k.p AND i.item_id = k.i"
)
_BLANK_ROUNDS = (
    "UPDATE rounds AS r SET guess = NULL FROM unnest($1::text[], $2::text[]) AS k(p, i)"
    " WHERE r.project_id = k.p AND r.item_id = k.i AND r.guess IS NOT NULL"
)
Place = tuple[str, str]


async def claim_cursor(connection: Any, name: str) -> datetime | None:
    """Up to when something was forgotten, locked; the oldest item's time at first. None: another replica has it."""
    await connection.execute(
        "INSERT INTO retention (name, until) SELECT $1, coalesce((SELECT min(received_at) FROM items), now())"
        " WHERE NOT EXISTS (SELECT FROM retention WHERE name = $1) ON CONFLICT DO NOTHING",
        name,
    )
    until: datetime | None = await connection.fetchval(
        "SELECT until FROM retention WHERE name = $1 FOR UPDATE SKIP LOCKED", name
    )
    return until


async def move_cursor(connection: Any, name: str, until: datetime) -> None:
    """Go on from there."""
    await connection.execute("UPDATE retention SET until = $2 WHERE name = $1", name, until)


async def list_contents(connection: Any, since: datetime, until: datetime, limit: int) -> list[tuple[Place, bool]]:
    """Items received in [since, until) that hold content, with whether they are at rest; locked."""
    rows = await connection.fetch(
        "SELECT i.project_id, i.item_id, i.standing = ANY($4::text[]) AS rests FROM items AS i"
        " WHERE i.received_at >= $1 AND i.received_at < $2 AND i.content IS NOT NULL"
        " AND NOT EXISTS (SELECT FROM kept_contents AS k WHERE k.project_id = i.project_id AND k.item_id = i.item_id)"
        " ORDER BY i.project_id, i.item_id LIMIT $3 FOR UPDATE OF i",
        since,
        until,
        limit,
        AT_REST,
    )
    return [((row["project_id"], row["item_id"]), row["rests"]) for row in rows]


async def blank_contents(connection: Any, places: Sequence[Place]) -> None:
    """Forget the content and the predictions of items that the caller has locked, and that are at rest."""
    columns = [project for project, _ in places], [item for _, item in places]
    await connection.execute(_BLANK, *columns)
    await connection.execute(_BLANK_ROUNDS, *columns)


async def keep_contents(connection: Any, places: Sequence[Place]) -> None:
    """Remember items whose time has come and that are not at rest yet."""
    await connection.execute(
        "INSERT INTO kept_contents SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
        [project for project, _ in places],
        [item for _, item in places],
    )


async def list_kept(connection: Any, after: Place, limit: int) -> list[tuple[Place, bool]]:
    """The next of them, with whether they are at rest by now; locked."""
    rows = await connection.fetch(
        "SELECT i.project_id, i.item_id, i.standing = ANY($4::text[]) AS rests FROM kept_contents AS k"
        " JOIN items AS i USING (project_id, item_id) WHERE (k.project_id, k.item_id) > ($1, $2)"
        " ORDER BY k.project_id, k.item_id LIMIT $3 FOR UPDATE OF i SKIP LOCKED",
        *after,
        limit,
        AT_REST,
    )
    return [((row["project_id"], row["item_id"]), row["rests"]) for row in rows]


async def forget_kept(connection: Any, places: Sequence[Place]) -> None:
    """They are done."""
    await connection.execute(
        "DELETE FROM kept_contents AS k USING unnest($1::text[], $2::text[]) AS n(p, i)"
        " WHERE k.project_id = n.p AND k.item_id = n.i",
        [project for project, _ in places],
        [item for _, item in places],
    )


async def delete_expired(connection: Any, before: datetime, limit: int) -> int:
    """Delete leases that ran out before then; how many."""
    done = await connection.execute(
        "DELETE FROM leases WHERE token = ANY(ARRAY(SELECT token FROM leases WHERE state = 'expired' AND ended_at < $1"
        " ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        before,
        limit,
    )
    return int(done.rsplit(" ", 1)[1])


async def delete_log(connection: Any, before: datetime, limit: int) -> int:
    """Delete the oldest lines of the request log that are from before then; how many."""
    await connection.execute("SELECT set_config('labelstream.upkeep', 'on', true)")
    done = await connection.execute(
        "DELETE FROM request_log WHERE id = ANY(ARRAY(SELECT id FROM (SELECT id, at FROM request_log ORDER BY id"
        " LIMIT $2) AS oldest WHERE at < $1))",
        before,
        limit,
    )
    return int(done.rsplit(" ", 1)[1])
