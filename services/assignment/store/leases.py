"""Statements on leases. A lease is only ever changed by a transaction that holds its round's row (gold: its own)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.assignment.domain.aggregate import Round
from services.assignment.domain.leases import ERASED_PERSON, Lease, LeaseState
from services.assignment.store.audit import LogLine, log_columns, logged_from
from services.assignment.store.items import columns
from services.assignment.store.rows import LEASE_COLUMNS, ROUND_COLUMNS, Key, load_lease, load_round
from shared.events import Audience

ONCE = "ON CONFLICT (project_id, item_id, annotator_id, gold) WHERE state <> 'expired'"
"""Nobody gets an item twice. Named, because each index that could conflict is searched once more."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease to be given out. `round_id` is None for gold."""

    id: UUID
    round_id: int | None
    key: Key
    round: int
    annotator_id: str
    role: Audience
    blind: bool
    lease_s: float


async def grant(connection: Any, grants: Sequence[Grant]) -> dict[UUID, tuple[int, datetime]]:
    """Insert leases and take their slots, in one statement.

    Returns:
        Lease id -> (fencing token, expiry) of those granted. One is missing where the person has the item already; its
        slot is not taken then. The caller holds the rounds' rows.
    """
    rows = await connection.fetch(
        "WITH given AS ("  # noqa: S608  # constants
        " INSERT INTO leases (id, round_id, project_id, item_id, round, gold, annotator_id, role, state, blind,"
        "  expires_at)"
        " SELECT id, round_id, p, i, number, round_id IS NULL, annotator_id, role, 'active', blind,"
        "  clock_timestamp() + make_interval(secs => lease_s)"
        " FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::smallint[], $6::text[], $7::text[],"
        "  $8::boolean[], $9::float8[]) AS n(id, round_id, p, i, number, annotator_id, role, blind, lease_s)"
        f" {ONCE} DO NOTHING RETURNING token, id, round_id, role, expires_at"
        "), taken AS ("
        " UPDATE rounds AS r SET active = r.active + t.n, granted = r.granted + t.n,"
        "  expert_active = r.expert_active + t.experts, blocked_at = NULL"
        " FROM (SELECT round_id, count(*) AS n, count(*) FILTER (WHERE role = 'expert') AS experts"
        "  FROM given GROUP BY round_id) AS t WHERE r.id = t.round_id"
        ") SELECT token, id, expires_at FROM given",
        [one.id for one in grants],
        [one.round_id for one in grants],
        [one.key[0] for one in grants],
        [one.key[1] for one in grants],
        [one.round for one in grants],
        [one.annotator_id for one in grants],
        [one.role.value for one in grants],
        [one.blind for one in grants],
        [one.lease_s for one in grants],
    )
    return {row["id"]: (row["token"], row["expires_at"]) for row in rows}


async def get_round_ids(connection: Any, ids: Iterable[UUID]) -> list[int]:
    """The rounds of these leases, to be locked before them; gold has none."""
    rows = await connection.fetch(
        "SELECT DISTINCT round_id FROM leases WHERE id = ANY($1::uuid[]) AND round_id IS NOT NULL", list(ids)
    )
    return [row["round_id"] for row in rows]


async def lock_leases(connection: Any, ids: Iterable[UUID]) -> dict[UUID, Lease]:
    """These leases, locked; the caller holds their rounds' rows."""
    rows = await connection.fetch(
        f"SELECT {LEASE_COLUMNS} FROM leases AS l WHERE l.id = ANY($1::uuid[]) ORDER BY l.token FOR UPDATE",  # noqa: S608  # constants
        list(ids),
    )
    return {row["id"]: load_lease(row) for row in rows}


async def lock_held(connection: Any, ids: Iterable[UUID]) -> tuple[dict[UUID, Lease], dict[int, Round]]:
    """These leases and their rounds by id, all locked: each round before its lease, in the order of the rounds' ids."""
    rows = await connection.fetch(_LOCK_HELD, list(ids))
    leases = {row["lease_id"]: held_of(row) for row in rows}
    return leases, {row["id"]: load_round(row) for row in rows if row["id"] is not None}


HELD_COLUMNS = (
    f"{ROUND_COLUMNS}, l.token, l.id AS lease_id, l.round_id, l.project_id AS lease_project, l.item_id AS lease_item,"
    " l.round, l.gold, l.annotator_id, l.role, l.state, l.blind,"
    " l.state = 'active' AND l.expires_at > clock_timestamp() AS valid, l.granted_at, l.expires_at, l.ended_at, l.late,"
    " l.digest"
)
_LOCK_HELD = (
    "WITH held AS MATERIALIZED ("  # noqa: S608  # constant columns
    f" SELECT {HELD_COLUMNS} FROM leases AS l JOIN rounds AS r ON r.id = l.round_id WHERE l.id = ANY($1::uuid[])"
    " ORDER BY r.id FOR UPDATE OF r, l"
    "), others AS MATERIALIZED ("
    f" SELECT {HELD_COLUMNS} FROM leases AS l LEFT JOIN rounds AS r ON false WHERE l.id = ANY($1::uuid[])"
    " AND NOT EXISTS (SELECT FROM rounds AS o WHERE o.id = l.round_id)"
    " AND (SELECT count(*) FROM held) < cardinality($1::uuid[]) ORDER BY l.token FOR UPDATE OF l"
    ") SELECT * FROM held UNION ALL SELECT * FROM others"
)


def held_of(row: Mapping[str, Any]) -> Lease:
    """The lease of a row of `HELD_COLUMNS`."""
    return load_lease({**row, "id": row["lease_id"], "project_id": row["lease_project"], "item_id": row["lease_item"]})


@dataclass(frozen=True, slots=True)
class Finish:
    """What became of a lease."""

    id: UUID
    state: LeaseState
    late: bool = False
    digest: bytes | None = None


async def finish(
    connection: Any,
    ends: Sequence[Finish],
    rounds: Sequence[Round],
    at: datetime,
    *,
    lines: Sequence[LogLine] = (),
    outbox: tuple[bytes, int] | None = None,
) -> None:
    """Record what became of leases, and the counts of their rounds, in one statement. The caller holds all the rows.

    Args:
        connection: in a transaction.
        ends: what became of leases.
        rounds: as they are now.
        at: when.
        lines: of the audit log.
        outbox: what the transaction publishes, packed, and how many records that are.
    """
    await connection.execute(
        _FINISH,
        [one.id for one in ends],
        [one.state.value for one in ends],
        [one.late for one in ends],
        [one.digest for one in ends],
        [one.id for one in rounds],
        [one.active for one in rounds],
        [one.answered for one in rounds],
        [one.skipped for one in rounds],
        [one.expert_active for one in rounds],
        [one.expert_answered for one in rounds],
        at,
        *(outbox or (None, None)),
        *log_columns(lines),
    )


_FINISH = (
    "WITH done AS ("  # noqa: S608  # constants
    " UPDATE leases AS l SET state = n.state, late = n.late, digest = n.digest, ended_at = $11"
    " FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::bytea[]) AS n(id, state, late, digest)"
    " WHERE l.id = n.id"
    "), published AS ("
    " INSERT INTO outbox (records, record_count) SELECT $12, $13 WHERE $12::bytea IS NOT NULL"
    f"), logged AS ({logged_from(14)}"
    ") UPDATE rounds AS r SET active = n.active, answered = n.answered, skipped = n.skipped,"
    " expert_active = n.expert_active, expert_answered = n.expert_answered, waiting_since = now()"
    " FROM unnest($5::bigint[], $6::smallint[], $7::smallint[], $8::integer[], $9::smallint[], $10::smallint[])"
    " AS n(id, active, answered, skipped, expert_active, expert_answered) WHERE r.id = n.id"
)


async def renew(connection: Any, lease_id: UUID, lease_s: float, longest_s: float) -> datetime | None:
    """Extend a lease that still runs, to so long after it was granted at most.

    Returns:
        Its expiry; None where it does not run.
    """
    expires: datetime | None = await connection.fetchval(
        "UPDATE leases SET expires_at ="
        " least(clock_timestamp() + make_interval(secs => $2), granted_at + make_interval(secs => $3))"
        " WHERE id = $1 AND state = 'active' AND expires_at > clock_timestamp() RETURNING expires_at",
        lease_id,
        lease_s,
        max(lease_s, longest_s),
    )
    return expires


async def get_lease(connection: Any, lease_id: UUID) -> Lease | None:
    """One lease, without a lock."""
    row = await connection.fetchrow(f"SELECT {LEASE_COLUMNS} FROM leases AS l WHERE l.id = $1", lease_id)  # noqa: S608  # constants
    return None if row is None else load_lease(row)


async def list_expired(connection: Any, limit: int) -> list[UUID]:
    """Leases whose time is up by the database's clock."""
    rows = await connection.fetch(
        "SELECT id FROM leases WHERE state = 'active' AND expires_at <= now() ORDER BY expires_at LIMIT $1", limit
    )
    return [row["id"] for row in rows]


async def count_held(connection: Any, annotator_id: str) -> int:
    """How many leases a person holds."""
    held: int = await connection.fetchval(
        "SELECT count(*) FROM leases WHERE annotator_id = $1 AND state = 'active' AND expires_at > now()", annotator_id
    )
    return held


async def list_gold_seen(connection: Any, annotator_id: str, project_id: str, known: Iterable[str]) -> set[str]:
    """Of the gold items, those that a person has had, as gold or when they were of the stream."""
    rows = await connection.fetch(
        "SELECT item_id FROM leases WHERE annotator_id = $1 AND project_id = $2 AND gold AND state <> 'expired'"
        " UNION ALL SELECT l.item_id FROM unnest($3::text[]) AS k(item_id) JOIN leases AS l ON l.project_id = $2"
        " AND l.item_id = k.item_id AND l.annotator_id = $1 AND NOT l.gold AND l.state <> 'expired'",
        annotator_id,
        project_id,
        list(known),
    )
    return {row["item_id"] for row in rows}


async def count_gold(connection: Any, annotator_id: str, project_id: str) -> tuple[int, int]:
    """Gold items that a person has answered in a project, and that they hold."""
    row = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE state = 'answered') AS answered, count(*) FILTER (WHERE state = 'active'"
        " AND expires_at > now()) AS held FROM leases WHERE annotator_id = $1 AND project_id = $2 AND gold"
        " AND state <> 'expired'",
        annotator_id,
        project_id,
    )
    return row["answered"], row["held"]


async def list_of_item(connection: Any, project_id: str, item_id: str) -> list[Lease]:
    """Every lease of one item of the stream, oldest first."""
    rows = await connection.fetch(
        f"SELECT {LEASE_COLUMNS} FROM leases AS l"  # noqa: S608  # constant columns
        " WHERE l.project_id = $1 AND l.item_id = $2 AND NOT l.gold ORDER BY l.token",
        project_id,
        item_id,
    )
    return [load_lease(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer read back from our own annotations."""

    id: UUID
    key: Key
    round: int
    gold: bool
    annotator_id: str
    role: Audience
    state: LeaseState
    blind: bool
    late: bool
    at: datetime


async def restore(connection: Any, answers: Sequence[Answered]) -> set[UUID]:
    """Record answers that the database does not know. Returns the ids that were new.

    Where the database is an older backup, the person may hold the item in it: the lease becomes the answer. Answers to
    erased items are left out, those by erased people get the name that such answers have.
    """
    rows = await connection.fetch(
        "WITH given AS (SELECT id, p, i, number, gold, CASE WHEN EXISTS ("
        "   SELECT FROM erasures AS e WHERE e.annotator_id = n.who) THEN $12 || id ELSE who END AS annotator_id,"
        "  role, state, blind, late, at FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::boolean[],"
        "  $6::text[], $7::text[], $8::text[], $9::boolean[], $10::boolean[], $11::timestamptz[])"
        "  AS n(id, p, i, number, gold, who, role, state, blind, late, at)"
        "  WHERE NOT EXISTS (SELECT FROM erasures AS e WHERE e.subject = p || '/' || i)"
        "), held AS ("
        " UPDATE leases AS l SET state = g.state, round = g.number, role = g.role, blind = g.blind, late = g.late,"
        "  expires_at = greatest(l.expires_at, g.at), ended_at = g.at,"
        "  round_id = CASE WHEN l.round = g.number THEN l.round_id END"
        " FROM given AS g WHERE l.project_id = g.p AND l.item_id = g.i AND l.annotator_id = g.annotator_id"
        "  AND l.gold = g.gold AND l.state = 'active' RETURNING g.id"
        "), added AS ("
        " INSERT INTO leases (id, project_id, item_id, round, gold, annotator_id, role, state, blind, late, granted_at,"
        "  expires_at, ended_at)"
        " SELECT id, p, i, number, gold, annotator_id, role, state, blind, late, at, at, at"
        " FROM given WHERE id NOT IN (SELECT id FROM held) ON CONFLICT DO NOTHING RETURNING id"
        ") SELECT id FROM held UNION ALL SELECT id FROM added",
        [one.id for one in answers],
        [one.key[0] for one in answers],
        [one.key[1] for one in answers],
        [one.round for one in answers],
        [one.gold for one in answers],
        [one.annotator_id for one in answers],
        [one.role.value for one in answers],
        [one.state.value for one in answers],
        [one.blind for one in answers],
        [one.late for one in answers],
        [one.at for one in answers],
        ERASED_PERSON,
    )
    return {row["id"] for row in rows}


async def recount(connection: Any, keys: Iterable[Key]) -> None:
    """Set the counts of every round of these items to what their leases say; the caller holds the items' rows.

    A round that ended after the backup wanted at least the opinions that it got: who asked for more is not read again.
    """
    await connection.execute(
        "UPDATE rounds AS r SET answered = n.answered, skipped = n.skipped, active = n.active, granted = n.granted,"
        " expert_answered = n.expert_answered, expert_active = n.expert_active,"
        " wanted = CASE WHEN r.ended THEN greatest(r.wanted, n.answered - n.expert_answered) ELSE r.wanted END"
        " FROM (SELECT r.id, count(l.id) AS granted, count(*) FILTER (WHERE l.state = 'answered') AS answered,"
        "  count(*) FILTER (WHERE l.state = 'skipped') AS skipped,"
        "  count(*) FILTER (WHERE l.state = 'active') AS active,"
        "  count(*) FILTER (WHERE l.state = 'answered' AND l.role = 'expert') AS expert_answered,"
        "  count(*) FILTER (WHERE l.state = 'active' AND l.role = 'expert') AS expert_active"
        "  FROM rounds AS r JOIN unnest($1::text[], $2::text[]) AS k(p, i) ON r.project_id = k.p AND r.item_id = k.i"
        "  LEFT JOIN leases AS l ON l.project_id = r.project_id AND l.item_id = r.item_id AND l.round = r.number"
        "   AND NOT l.gold GROUP BY r.id) AS n WHERE r.id = n.id",
        *columns(keys),
    )
