"""A PostgreSQL with monitor's schema; a fresh database for each test."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from uuid import uuid4

import asyncpg
import pytest

from cli.stack.postgres import Postgres
from services.monitor.app import MIGRATIONS
from shared.db.migrate import migrate
from tests.support.monitor import Monitor


@pytest.fixture(scope="session")
def monitor_postgres() -> Generator[Postgres]:
    """One server for the session, with a template database that has the schema."""
    server = Postgres()

    async def start() -> None:
        await server.start()
        await server.create_database("monitor_template")
        connection = await asyncpg.connect(server.url("monitor", "monitor_template"))
        await migrate(connection, "monitor", MIGRATIONS)
        await connection.close()

    asyncio.run(start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def monitor(monitor_postgres: Postgres) -> AsyncGenerator[Monitor]:
    name = f"monitor_{uuid4().hex[:12]}"
    await monitor_postgres.create_database(name, template="monitor_template")
    url = monitor_postgres.url("monitor", name)
    async with asyncpg.create_pool(url, min_size=1, max_size=8, server_settings={"search_path": "monitor"}) as pool:
        yield Monitor(pool)
    await monitor_postgres.drop_database(name)
