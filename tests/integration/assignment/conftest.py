"""A PostgreSQL with assignment's schema; a fresh database for each test."""

from collections.abc import AsyncGenerator, Generator
from uuid import uuid4

import asyncpg
import pytest

from cli.stack.postgres import Postgres
from services.assignment.app import MIGRATIONS
from shared.db.migrate import migrate
from tests.support.assignment import Replica
from tests.support.servers import run_sync

TEMPLATE = "assignment_template"


@pytest.fixture(scope="session")
def assignment_postgres(postgres: Postgres) -> Generator[Postgres]:
    """The shared server, with a template database that has the schema."""

    async def prepare() -> None:
        await postgres.create_database(TEMPLATE)
        connection = await asyncpg.connect(postgres.url("assignment", TEMPLATE))
        await migrate(connection, "assignment", MIGRATIONS)
        await connection.close()

    run_sync(prepare())
    yield postgres
    run_sync(postgres.drop_database(TEMPLATE))


@pytest.fixture
async def assignment_url(assignment_postgres: Postgres) -> AsyncGenerator[str]:
    name = f"assignment_{uuid4().hex[:12]}"
    await assignment_postgres.create_database(name, template=TEMPLATE)
    yield assignment_postgres.url("assignment", name)
    await assignment_postgres.drop_database(name)


@pytest.fixture
async def replica(assignment_url: str) -> AsyncGenerator[Replica]:
    """One replica with the default test project (no model accepts anything, three opinions at most)."""
    one = Replica(assignment_url)
    await one.service.database.connect()
    one.project()
    yield one
    await one.service.database.close()
