"""Our outbox, a row per transaction, beside faststream-outbox, a row per event. `python -m tests.bench.outbox [EVENTS]`

Both write transactions of 500 events of 300 bytes and hand every event to a sink that does nothing, so that the outbox
alone is measured. The library is not one of the project's: without it only ours is measured. See docs/decisions/0014.
"""

import asyncio
import hashlib
import importlib
import importlib.util
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from cli.stack.postgres import Postgres
from shared.bus.records import Outgoing
from shared.db.migrate import BUS
from shared.db.store import add_outbox, finish_outbox, list_outbox

LIBRARY = "faststream_outbox"
EVENTS, BATCH, ROWS = 50_000, 500, 20
HEADERS = tuple((name, b"x" * 20) for name in ("ce_id", "ce_type", "ce_source", "ce_time", "traceparent"))
WITHIN_S = 120.0


def body(number: int) -> bytes:
    """300 bytes, half of them as hard to compress as ids and digests are."""
    digest = hashlib.sha512(str(number).encode()).hexdigest()
    return f'{{"project_id":"bench","item_id":"item-{number:09d}","digest":"{digest}"}}'.encode().ljust(300)


@asynccontextmanager
async def _measured(admin: Any, what: str, number: int) -> AsyncGenerator[None]:
    before, started = await admin.fetchval("SELECT pg_current_wal_insert_lsn()"), time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    wal = await admin.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::pg_lsn)", before)
    print(f"{what:44} {number / seconds:10,.0f} events/s {float(wal) / number:8,.0f} WAL bytes an event", flush=True)


async def ours(url: str, admin: Any, number: int) -> None:
    """Write, then relay, one after the other."""
    async with asyncpg.create_pool(url, min_size=2, max_size=2) as pool:
        async with pool.acquire() as connection:
            await connection.execute((BUS / "0001_bus.sql").read_text())
        async with _measured(admin, "ours: write", number), pool.acquire() as connection:
            for start in range(0, number, BATCH):
                made = [Outgoing("labels.v1", b"key", body(n), HEADERS) for n in range(start, start + BATCH)]
                async with connection.transaction():
                    await add_outbox(connection, made)
        sunk = 0
        async with _measured(admin, "ours: relay", number), pool.acquire() as connection:
            while rows := await list_outbox(connection, ROWS):
                sunk += sum(len(records) for _, records in rows)
                await finish_outbox(connection, [row for row, _ in rows], {("labels.v1", 0): sunk})
        if sunk != number:
            raise AssertionError(f"{sunk} of {number} events came out")


async def theirs(url: str, admin: Any, number: int, workers: int) -> None:
    """The same with the library: fetches and deletes in lots of 500, as many handlers at once as `workers`."""
    alchemy, aio = importlib.import_module("sqlalchemy"), importlib.import_module("sqlalchemy.ext.asyncio")
    library = importlib.import_module(LIBRARY)
    engine = aio.create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=10)
    metadata = alchemy.MetaData()
    table = library.make_outbox_table(metadata, table_name=f"outbox_{workers}")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    broker, sunk, done = library.OutboxBroker(engine, outbox_table=table, logger=None), [0], asyncio.Event()

    async def sink(_: bytes) -> None:
        sunk[0] += 1
        if sunk[0] == number:
            done.set()

    broker.subscriber(
        "labels", max_workers=workers, fetch_batch_size=BATCH, min_fetch_interval=0.01, max_fetch_interval=0.05,
        terminal_flush_batch_size=BATCH,
    )(sink)  # fmt: skip
    async with _measured(admin, "faststream-outbox: write", number):
        for start in range(0, number, BATCH):
            async with engine.begin() as connection:
                await broker.publish_batch(
                    *map(body, range(start, start + BATCH)), queue="labels", session=connection,
                    headers={name: value.decode() for name, value in HEADERS},
                )  # fmt: skip
    async with _measured(admin, f"faststream-outbox: relay, workers {workers}", number):
        await broker.start()
        await asyncio.wait_for(done.wait(), WITHIN_S)
    await broker.stop()
    await engine.dispose()


async def main(arguments: Sequence[str]) -> None:
    """Print what was measured."""
    number = int(arguments[0]) if arguments else EVENTS
    async with Postgres() as server:
        admin = await asyncpg.connect(server.admin_url())
        try:
            await ours(server.url("assignment"), admin, number)
            if importlib.util.find_spec(LIBRARY) is None:
                print(f"{LIBRARY}: not installed here, so not measured; pip install 'faststream-outbox[asyncpg]'")
                return
            for workers in (1, 4):
                await theirs(server.url("assignment"), admin, number, workers)
        finally:
            await admin.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
