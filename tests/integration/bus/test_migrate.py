"""Migrating while the services run: whoever holds a table is waited for, and nobody waits long behind the migration."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.monitor.app import MIGRATIONS
from shared.db import migrate as migrations
from shared.errors import RetryLater
from tests.support.servers import Database

COLUMN = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'items' AND column_name = 'note'"


@pytest.fixture
async def connections(database: Database) -> AsyncGenerator[list[Any]]:
    """Three of monitor's own, on its migrated schema."""
    found = [
        await asyncpg.connect(database.url("monitor"), server_settings={"search_path": "monitor"}) for _ in range(3)
    ]
    await migrations.migrate(found[0], "monitor", MIGRATIONS)
    yield found
    for connection in found:
        await connection.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_MS", 100)
    monkeypatch.setattr(migrations, "AGAIN_S", 0.1)
    shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    (tmp_path / "migrations/0900_note.sql").write_text("ALTER TABLE items ADD COLUMN note text;")
    return tmp_path / "migrations"


async def test_a_busy_table_is_waited_for_without_holding_up_the_others(connections: list[Any], folder: Path) -> None:
    migrating, busy, reader = connections
    transaction = busy.transaction()
    await transaction.start()
    await busy.execute("LOCK TABLE items IN ROW EXCLUSIVE MODE")
    task = asyncio.create_task(migrations.migrate(migrating, "monitor", folder))
    for _ in range(6):
        await reader.fetch("SELECT * FROM items", timeout=2)  # behind the migration it would wait for ever
        await asyncio.sleep(0.05)
    assert not task.done()
    await transaction.rollback()
    assert await task == ["monitor/0900_note.sql"]
    assert await reader.fetchval(COLUMN) == 1


async def test_a_table_that_stays_busy_changes_nothing(
    connections: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "TRIES", 2)
    migrating, busy, reader = connections
    async with busy.transaction():
        await busy.execute("LOCK TABLE items IN ROW EXCLUSIVE MODE")
        with pytest.raises(RetryLater, match="was not applied"):
            await migrations.migrate(migrating, "monitor", folder)
    assert await reader.fetchval(COLUMN) == 0
    assert await migrations.migrate(migrating, "monitor", folder) == ["monitor/0900_note.sql"]
