"""The services' databases: reachable, migrated, in time, with room left, their outboxes empty."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

from cli.audit.databases import snapshot
from cli.doctor.findings import Finding, Status
from cli.migrate import SERVICES_DIR
from shared.clock import utc_now
from shared.db.migrate import migrations_of
from shared.db.store import count_outbox

SKEW = timedelta(seconds=1)
"""Leases, blocked rounds and events use the clocks of the database and of the services side by side."""
OLD_OUTBOX_S = 60.0
LOW_SHARE, LOW_BYTES = 0.1, 1_000_000_000
LARGEST = 3


async def database(service: str, url: str) -> list[Finding]:
    """One service's database.

    Raises:
        RetryLater: it does not answer.
    """
    async with snapshot(service, url) as connection:
        return [
            *await _migrations(service, connection),
            await _clock(service, connection),
            *await _room(service, connection),
            await _outbox(service, connection),
        ]


async def _migrations(service: str, connection: Any) -> list[Finding]:
    subject = f"schema {service}"
    exists = await connection.fetchval("SELECT to_regclass($1)", f"{service}.schema_migrations")
    rows = await connection.fetch("SELECT name, sha256 FROM schema_migrations") if exists else []
    applied = {row["name"]: row["sha256"] for row in rows}
    files = {one.name: one.sha256 for one in migrations_of(service, SERVICES_DIR / service / "migrations")}
    missing = sorted(files.keys() - applied.keys())
    edited = sorted(name for name in files.keys() & applied.keys() if files[name] != applied[name])
    ahead = sorted(applied.keys() - files.keys())
    found = []
    if missing:
        found.append(
            Finding("migrations", subject, Status.WRONG, f"lacks {', '.join(missing)}", "`labelstream migrate`")
        )
    if edited:
        why = f"{', '.join(edited)} is not the file that was applied"
        found.append(
            Finding("migrations", subject, Status.WRONG, why, "restore the file; put the change into a new one")
        )
    if ahead:
        why = f"is ahead of this version by {', '.join(ahead)}"
        found.append(
            Finding("migrations", subject, Status.NOTE, why, "fine during an upgrade; else upgrade this command")
        )
    return found or [Finding("migrations", subject, Status.OK, f"all {len(files)} files are applied")]


async def _clock(service: str, connection: Any) -> Finding:
    before = utc_now()
    theirs = await connection.fetchval("SELECT clock_timestamp()")
    after = utc_now()
    return skew(f"PostgreSQL of {service}", theirs - (before + (after - before) / 2), after - before)


def skew(subject: str, ahead: timedelta, asked_for: timedelta) -> Finding:
    """A clock against ours. `asked_for` is how long the question took: the answer is that much uncertain."""
    off = max(abs(ahead) - asked_for / 2, timedelta())
    said = f"{ahead.total_seconds():+.3f} s against this machine (to {asked_for.total_seconds() / 2:.3f} s)"
    if off > SKEW:
        return Finding("clock", subject, Status.WRONG, said, "synchronise both machines (chrony, ntpd)")
    return Finding("clock", subject, Status.OK, said)


async def _room(service: str, connection: Any) -> list[Finding]:
    size = await connection.fetchval("SELECT pg_database_size(current_database())")
    rows = await connection.fetch(
        "SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')"
        " ORDER BY 2 DESC LIMIT $2",
        service,
        LARGEST,
    )
    largest = ", ".join(f"{row['name']} {megabytes(row['bytes'])}" for row in rows)
    found = [Finding("disk", f"database of {service}", Status.OK, f"{megabytes(size)} in all; {largest}")]
    where = await connection.fetchval(
        "SELECT CASE WHEN pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')"
        " THEN current_setting('data_directory', true) END"
    )
    return found + (free_space(Path(where), f"data directory of {service}") if where else [])


def free_space(path: Path, subject: str) -> list[Finding]:
    """How much room is left where a path is; nothing where it is not on this machine."""
    if not path.exists():
        return []
    usage = shutil.disk_usage(path)
    said = f"{megabytes(usage.free)} free of {megabytes(usage.total)} at {path}"
    if usage.free < LOW_BYTES or usage.free < LOW_SHARE * usage.total:
        return [Finding("disk", subject, Status.WRONG, said, "make room, or grow the volume")]
    return [Finding("disk", subject, Status.OK, said)]


def megabytes(number: int) -> str:
    return f"{number / 1_000_000:,.0f} MB"


async def _outbox(service: str, connection: Any) -> Finding:
    records, age = await count_outbox(connection)
    said = f"{records} records wait to be published, the oldest for {age:.0f} s"
    if age > OLD_OUTBOX_S:
        todo = f"nothing is lost; check that {service} runs and that Kafka acknowledges (copies in sync, quotas)"
        return Finding("lag", f"outbox of {service}", Status.WRONG, said, todo)
    return Finding("lag", f"outbox of {service}", Status.OK, said)
