"""deploy/postgres/partition.sql: the services work on partitioned tables as they are."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.assignment.app import MIGRATIONS as ASSIGNMENTS
from services.monitor.app import MIGRATIONS as MONITORS
from services.qc.app import MIGRATIONS as QCS
from shared.db.migrate import migrate
from shared.topics import ANNOTATIONS, ASSIGNMENT, ITEMS, LABELS, MONITOR, PREDICTIONS, QC, ROUTES
from tests.support import events as make
from tests.support.assignment import Replica
from tests.support.monitor import Monitor
from tests.support.qc import Qc
from tests.support.servers import Database

SCRIPT = (Path(__file__).parents[2] / "deploy/postgres/partition.sql").read_text()
NAMES = [f"i{n:06}" for n in range(60)]


async def partition(url: str, service: str, folder: Path) -> Any:
    """A pool on the service's schema, with its items partitioned."""
    pool = await asyncpg.create_pool(url, min_size=1, max_size=4, server_settings={"search_path": service})
    async with pool.acquire() as connection:
        await migrate(connection, service, folder)
        await connection.execute(SCRIPT)
    return pool


async def partitions(connection: Any) -> tuple[int, int]:
    """Rows, and partitions that hold some."""
    row = await connection.fetchrow("SELECT count(*) AS n, count(DISTINCT tableoid) AS parts FROM items")
    return row["n"], row["parts"]


async def test_assignment(database: Database) -> None:
    pool = await partition(database.url(ASSIGNMENT), ASSIGNMENT, ASSIGNMENTS)
    await pool.close()
    replica = Replica(database.url(ASSIGNMENT))
    await replica.service.database.connect()
    replica.project()
    await replica.handle(LABELS, make.label("i000003"))  # parked
    await replica.seed(60)
    await replica.handle(ITEMS, *(make.item(name, text=f"text of {name}") for name in NAMES))
    ann = await replica.person("ann")
    (task,) = (await ann.post("/v1/next", json={})).json()["tasks"]
    answer = {"value": {"kind": "choice", "choice": "positive"}}
    assert (await ann.post(f"/v1/leases/{task['lease_id']}/submit", json=answer)).is_success
    await replica.queue.route_overdue()
    await replica.sweeper.sweep()
    async with replica.service.database.transaction() as connection:
        rows, parts = await partitions(connection)
    assert (rows, parts > 10, replica.refused) == (60, True, [])
    assert len(await replica.published(ROUTES)) == 59
    await replica.service.database.close()


async def test_qc(database: Database) -> None:
    pool = await partition(database.url(QC), QC, QCS)
    qc = Qc(pool)
    for name in NAMES:
        await qc.handle(ANNOTATIONS, [make.annotation(name, by=by) for by in ("ann", "bob", "eve")])
    await qc.handle(LABELS, await qc.published(LABELS))
    assert await qc.stored() == await qc.recomputed()
    async with pool.acquire() as connection:
        rows, parts = await partitions(connection)
    assert (rows, parts > 10) == (60, True)
    await pool.close()


async def test_monitor(database: Database) -> None:
    pool = await partition(database.url(MONITOR), MONITOR, MONITORS)
    monitor = Monitor(pool)
    for _ in range(2):
        await monitor.handle(ITEMS, [make.item(name) for name in NAMES])
        await monitor.handle(PREDICTIONS, [make.prediction(name) for name in NAMES])
        await monitor.handle(LABELS, [make.auto_label(name) for name in NAMES])
    async with pool.acquire() as connection:
        rows, parts = await partitions(connection)
    assert (rows, parts > 10, monitor.refused) == (60, True, [])
    await pool.close()


async def test_a_schema_with_items_is_refused(database: Database) -> None:
    pool = await partition(database.url(MONITOR), MONITOR, MONITORS)
    await Monitor(pool).handle(ITEMS, [make.item()])
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.RaiseError, match="items holds rows"):
            await connection.execute(SCRIPT)
    await pool.close()
