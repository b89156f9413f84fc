"""Numbered SQL files, applied once each, in order, under a lock. Expand first, contract a release later."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from shared.errors import ConfigurationError, RetryLater

log = structlog.get_logger(__name__)

LOCK_TIMEOUT_MS = 2_000
TRIES = 10
AGAIN_S = 0.5
BUSY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
BUS = Path(__file__).parent / "migrations"
_NAME = re.compile(r"^\d{4}_[a-z0-9_]+\.sql$")
_IDENTIFIER = re.compile(r"^[a-z_][a-z0-9_]*$")

LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; `name` is `bus/0001_bus.sql` or `<service>/0001_items.sql`."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def _files(kind: str, folder: Path) -> list[Migration]:
    found = sorted(path for path in folder.glob("*.sql") if _NAME.match(path.name))
    return [Migration(f"{kind}/{path.name}", path.read_text()) for path in found]


def migrations_of(service: str, folder: Path) -> list[Migration]:
    """The bus's tables first, then the service's own files."""
    return [*_files("bus", BUS), *_files(service, folder)]


async def migrate(connection: Any, schema: str, folder: Path) -> list[str]:
    """Bring one schema up to date, while the services run.

    Each file is a transaction of its own. A change of a table waits for the transactions on it, and everything after it
    waits too; so it gives way after `LOCK_TIMEOUT_MS`, and comes back. A file that locks one table has no deadlock with
    transactions that lock several.

    Args:
        connection: an asyncpg connection whose role may create in the schema.
        schema: the service's name; created where it is missing.
        folder: the service's `migrations/`.

    Returns:
        The names applied now.

    Raises:
        ConfigurationError: a file that was applied has been changed since.
        RetryLater: a table stayed busy; the files before are applied.
    """
    if not _IDENTIFIER.match(schema):
        raise ConfigurationError(f"{schema!r} is not a schema name")
    applied = []
    for migration in migrations_of(schema, folder):
        for attempt in range(1, TRIES + 1):
            try:
                if await _apply(connection, schema, migration):
                    applied.append(migration.name)
                break
            except BUSY as error:
                log.info("migration_waits", migration=migration.name, attempt=attempt, error=type(error).__name__)
                await asyncio.sleep(AGAIN_S)
        else:
            raise RetryLater(
                f"{migration.name} was not applied: its table stayed busy; look for the long transaction in"
                " pg_stat_activity, and try again"
            )
    return applied


async def _apply(connection: Any, schema: str, migration: Migration) -> bool:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('labelstream.migrate.' || $1))", schema)
        if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema):
            await connection.execute(f"CREATE SCHEMA {schema}")
        await connection.execute(f"SET LOCAL search_path = {schema}")
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        await connection.execute(LEDGER)
        known = await connection.fetchval("SELECT sha256 FROM schema_migrations WHERE name = $1", migration.name)
        if known == migration.sha256:
            return False
        if known is not None:
            raise ConfigurationError(f"{migration.name} was applied and then edited; add a new file instead")
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", migration.name, migration.sha256
        )
        return True


async def check_migrated(connection: Any, schema: str, folder: Path) -> None:
    """Refuse to run on a schema that is behind the code. A schema ahead of it is fine (rolling upgrade).

    Raises:
        RetryLater: names the files that are missing.
    """
    exists = await connection.fetchval("SELECT to_regclass($1)", f"{schema}.schema_migrations")
    rows = await connection.fetch(f"SELECT name FROM {schema}.schema_migrations") if exists else []  # noqa: S608  # a constant
    missing = {migration.name for migration in migrations_of(schema, folder)} - {row["name"] for row in rows}
    if missing:
        raise RetryLater(f"schema {schema} lacks {', '.join(sorted(missing))}; run `labelstream migrate`")
