"""One service's schema, dumped while everything runs and put back later, as an operator would: pg_dump, pg_restore."""

import asyncio
from pathlib import Path

import asyncpg

from cli.migrate import migrate_all
from cli.stack.children import run
from cli.stack.postgres import DATABASE
from shared.topics import ASSIGNMENT
from tests.e2e.world.world import World

WITHIN_S = 60.0


async def dump(world: World, service: str) -> Path:
    """The schema as of one moment, with offsets and outbox; nothing is stopped for it."""
    path = world.directory / f"{service}-{len(world.ledger.sent)}.dump"
    await _run(world, "pg_dump", "--format=custom", f"--schema={service}", f"--file={path}", world.postgres.admin_url())
    return path


async def restore(world: World, service: str, path: Path) -> None:
    """Put an earlier schema in the place of the present one. No replica of the service may run."""
    await _drop(world, service)
    url = world.postgres.admin_url()
    await _run(world, "pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={url}", str(path))


async def empty(world: World, service: str) -> None:
    """An empty schema in the place of the present one, as where there is no backup."""
    await _drop(world, service)
    await world.postgres.create_database(DATABASE)
    await migrate_all({service: world.stack.database_urls[service]})


async def people(world: World, path: Path) -> None:
    """Put the people of a dump of assignment back: the one thing that no topic holds."""
    table = ("--data-only", f"--schema={ASSIGNMENT}", "--table=annotators")
    url = world.postgres.admin_url()
    await _run(world, "pg_restore", "--exit-on-error", *table, f"--dbname={url}", str(path))


async def _drop(world: World, service: str) -> None:
    world.restored = True
    connection = await asyncpg.connect(world.postgres.admin_url(), timeout=10)
    try:
        await connection.execute(f"DROP SCHEMA {service} CASCADE")
    finally:
        await connection.close(timeout=5)


async def _run(world: World, program: str, *arguments: str) -> None:
    binaries = world.postgres._binaries
    assert binaries is not None
    command = [binaries.program(program), *arguments]
    await asyncio.to_thread(run, command, what=program, within_s=WITHIN_S)
