"""A transaction that is cut anywhere: its tally is counted once, and its connection is never used again."""

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest
from pydantic import SecretStr

from shared.bus.admin import create_topics
from shared.bus.publisher import Publisher
from shared.db.database import INFRASTRUCTURE
from shared.db.database import Database as Pool
from shared.db.store import get_offsets, move_offsets
from shared.errors import Fenced
from shared.runtime.settings import DatabaseServiceSettings, KafkaSettings
from shared.topics import ASSIGNMENT, ITEMS
from tests.support.cutting import CancelledAt, Cutter
from tests.support.probe import COUNT, items, prepare, probe_at, running, times_seen, wait_for
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(60)
PLACE = (ITEMS.name, 0)
ENOUGH, BATCH = 40, 17
STATEMENTS = 4  # the effect, the offsets, the outbox, the commit; BEGIN is before them


@pytest.fixture
async def pool(database: Database) -> AsyncGenerator[Pool]:
    """It hands out first what came back last, so the next transaction gets the connection of the one before."""
    await prepare(database)
    kafka = KafkaSettings(allow_insecure=True, security_protocol="PLAINTEXT")
    url = SecretStr(database.url(ASSIGNMENT))
    opened = Pool(ASSIGNMENT, DatabaseServiceSettings(kafka=kafka, database_url=url, database_allow_insecure=True))
    await opened.connect()
    async with opened.transaction() as connection:
        await get_offsets(connection, [PLACE])
    yield opened
    await opened.close()


async def take(pool: Pool, offset: int, item: str) -> int:
    """One batch: its tally and its offset; the backend that did it."""
    async with pool.transaction() as connection:
        await connection.execute(COUNT, ["p"], [item])
        await move_offsets(connection, {PLACE: (offset, offset + 1)})
        return int(connection.get_server_pid())


async def settle(pool: Pool, offset: int, item: str) -> int | None:
    """Take it again, as the consumer does; None where it turns out that it was done."""
    try:
        return await take(pool, offset, item)
    except Fenced:
        return None


async def backend(pool: Pool) -> int:
    async with pool.transaction() as connection:
        return int(connection.get_server_pid())


async def test_cancelled_at_any_await_it_is_counted_once(pool: Pool, database: Database) -> None:
    closed, reached = 0, True
    for number in range(ENOUGH):
        before = await backend(pool)
        cut = CancelledAt(take(pool, number, f"i{number}"), number)
        (task,), _ = await asyncio.wait([asyncio.ensure_future(_await(cut))])
        if task.cancelled():
            closed += await backend(pool) != before
        await settle(pool, number, f"i{number}")
        if not (reached := cut.reached):
            break
    seen = await times_seen(database)
    assert not reached
    assert set(seen.values()) == {1}
    assert len(seen) == number + 1
    assert closed >= STATEMENTS, "each statement was cut once, and its connection was never used again"
    assert not await open_transactions(database)


async def _await(cut: CancelledAt) -> None:
    await cut


async def open_transactions(database: Database) -> int:
    admin = await asyncpg.connect(database.admin_url)
    try:
        found = await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state LIKE 'idle in transaction%'",
            database.name,
        )
    finally:
        await admin.close()
    return int(found)


async def test_a_backend_that_ends_inside_leaves_nothing_and_is_not_used_again(pool: Pool, database: Database) -> None:
    admin = await asyncpg.connect(database.admin_url)

    async def ended(number: int) -> None:
        """The backend ends before the effect, before the offset, before the commit."""
        async with pool.transaction() as connection:
            for place in range(3):
                if place == number:
                    await admin.execute("SELECT pg_terminate_backend($1, 1000)", connection.get_server_pid())
                if place == 0:
                    await connection.execute(COUNT, ["p"], [f"i{number}"])
                elif place == 1:
                    await move_offsets(connection, {PLACE: (number, number + 1)})

    try:
        for number in range(3):
            with pytest.raises(INFRASTRUCTURE):
                await ended(number)
            assert await settle(pool, number, f"i{number}") is not None
    finally:
        await admin.close()
    assert (await times_seen(database)) == {"i0": 1, "i1": 1, "i2": 1}


@pytest.mark.parametrize("answered", [False, True], ids=["before the server hears it", "before its answer is heard"])
async def test_a_batch_whose_connection_is_cut_anywhere_is_counted_once(
    kafka_settings: KafkaSettings, database: Database, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.bus.consumer.BACKOFF_S", (0.01,))
    await create_topics(kafka_settings, partitions=1)
    await prepare(database)
    cutter = Cutter(database.url(ASSIGNMENT))
    cutter.answered = answered
    async with (
        cutter.open(),
        running(probe_at(kafka_settings, cutter.url, database_allow_insecure=True)),
        Publisher(kafka_settings) as publisher,
    ):
        for place in range(ENOUGH):
            cutter.place = place
            await publisher.publish(items(BATCH, start=BATCH * place))
            await wait_for(database, BATCH * (place + 1))
            if cutter.place is not None:
                break
    seen = await times_seen(database)
    assert len(cutter.cuts) > STATEMENTS
    assert any(b"COMMIT;" in message for message in cutter.cuts)
    assert set(seen.values()) == {1}
