"""monitor's handlers on a database of the test's own."""

from collections.abc import AsyncGenerator

import asyncpg
import pytest

from services.monitor.app import MIGRATIONS
from shared.db.migrate import migrate
from tests.support.monitor import Monitor
from tests.support.servers import Database


@pytest.fixture
async def monitor(database: Database) -> AsyncGenerator[Monitor]:
    url = database.url("monitor")
    async with asyncpg.create_pool(url, min_size=1, max_size=8, server_settings={"search_path": "monitor"}) as pool:
        async with pool.acquire() as connection:
            await migrate(connection, "monitor", MIGRATIONS)
        yield Monitor(pool)
