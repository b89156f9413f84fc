"""A PostgreSQL with qc's schema; a fresh database for each test."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from uuid import uuid4

import asyncpg
import pytest

from cli.stack.postgres import DATABASE, Postgres
from services.qc.app import MIGRATIONS
from shared.db.migrate import migrate
from tests.support.qc import Qc
from tests.support.servers import Database


@pytest.fixture(scope="session")
def qc_postgres(postgres: Postgres) -> Generator[Postgres]:
    """The shared server, with a template database that has the schema."""

    async def prepare() -> None:
        await postgres.create_database("qc_template")
        connection = await asyncpg.connect(postgres.url("qc", "qc_template"))
        await migrate(connection, "qc", MIGRATIONS)
        await connection.close()

    asyncio.run(prepare())
    yield postgres
    asyncio.run(postgres.drop_database("qc_template"))


@pytest.fixture
async def qc(qc_postgres: Postgres) -> AsyncGenerator[Qc]:
    name = f"qc_{uuid4().hex[:12]}"
    await qc_postgres.create_database(name, template="qc_template")
    url = qc_postgres.url("qc", name)
    async with asyncpg.create_pool(url, min_size=1, max_size=8, server_settings={"search_path": "qc"}) as pool:
        yield Qc(pool)
    await qc_postgres.drop_database(name)


@pytest.fixture
async def qc_empty(qc_postgres: Postgres) -> AsyncGenerator[Qc]:
    """A second, new database."""
    name = f"qc_{uuid4().hex[:12]}"
    await qc_postgres.create_database(name, template="qc_template")
    url = qc_postgres.url("qc", name)
    async with asyncpg.create_pool(url, min_size=1, max_size=4, server_settings={"search_path": "qc"}) as pool:
        yield Qc(pool)
    await qc_postgres.drop_database(name)


@pytest.fixture
async def second_database(postgres: Postgres) -> AsyncGenerator[Database]:
    """Another database of the same deployment, as after a loss."""
    name = f"test_{uuid4().hex[:12]}"
    await postgres.create_database(name, template=DATABASE)
    yield Database(name, postgres)
    await postgres.drop_database(name)
