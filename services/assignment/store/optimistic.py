"""One answer by optimistic concurrency: its rows are read without a lock, and written if nobody changed them since.

Two statements that are each a transaction: no lock is held while PostgreSQL waits for us, and neither a BEGIN nor a
COMMIT costs a round trip. A row's version is its `xmin`, the transaction that wrote it; who only locks a row leaves it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.assignment.domain.aggregate import Round
from services.assignment.domain.leases import Lease
from services.assignment.store.audit import LogLine
from services.assignment.store.leases import HELD_COLUMNS, Finish, held_of
from services.assignment.store.rows import load_round


@dataclass(frozen=True, slots=True)
class Read:
    """A lease of the stream and its round as they were, and the version of the round's row."""

    lease: Lease
    asked: Round
    version: int


async def read_held(connection: Any, lease_id: UUID) -> Read | None:
    """A lease with its round, neither of them locked; None for gold, and where there is no such lease."""
    row = await connection.fetchrow(_READ, lease_id)
    return None if row is None else Read(held_of(row), load_round(row), row["version"])


_READ = (
    f"SELECT {HELD_COLUMNS}, r.xmin AS version"  # noqa: S608  # constant columns
    " FROM leases AS l JOIN rounds AS r ON r.id = l.round_id WHERE l.id = $1"
)


async def finish_unchanged(
    connection: Any, end: Finish, asked: Round, at: datetime, version: int, *, line: LogLine, outbox: tuple[bytes, int]
) -> bool:
    """What `store.leases.finish` does, for one lease whose round is still as it was read; else nothing.

    The round is locked before the lease, as everywhere, and the outbox row gets its number while it is held. A lease
    never ends without its round, so the round's version is that of both; were it otherwise, nothing would be done.

    Args:
        connection: not in a transaction.
        end: what became of the lease.
        asked: its round, as it is now.
        at: when.
        version: of the round as it was read.
        line: of the audit log.
        outbox: what is published, packed, and how many records that are.

    Returns:
        Whether it was done.
    """
    try:
        done: int = await connection.fetchval(
            _FINISH,
            asked.id,
            version,
            asked.active,
            asked.answered,
            asked.skipped,
            asked.expert_active,
            asked.expert_answered,
            end.id,
            end.state.value,
            end.late,
            end.digest,
            at,
            *outbox,
            line.principal,
            line.action,
            line.outcome,
            line.subject,
            line.project,
            line.lease_id,
        )
    except asyncpg.DivisionByZeroError:
        return False
    return done == 1


_FINISH = (
    "WITH counted AS ("
    " UPDATE rounds SET active = $3, answered = $4, skipped = $5, expert_active = $6, expert_answered = $7,"
    " waiting_since = now() WHERE id = $1 AND xmin = $2::xid RETURNING 1"
    "), done AS ("
    " UPDATE leases SET state = $9, late = $10, digest = $11, ended_at = $12"
    " WHERE id = $8 AND state = 'active' AND EXISTS (SELECT FROM counted) RETURNING 1"
    "), published AS ("
    " INSERT INTO outbox (records, record_count) SELECT $13::bytea, $14::int WHERE EXISTS (SELECT FROM done)"
    "), logged AS ("
    " INSERT INTO request_log (principal, action, outcome, subject, project_id, lease_id)"
    " SELECT $15::text, $16::text, $17::text, $18::text, $19::text, $20::uuid WHERE EXISTS (SELECT FROM done)"
    "), n AS (SELECT (SELECT count(*) FROM done)::int AS leases, (SELECT count(*) FROM counted)::int AS rounds"
    ") SELECT leases / (1 + leases - rounds) FROM n"
)
"""1 or 0; a round without its lease is a division by zero, which undoes the statement."""
