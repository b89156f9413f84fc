"""The relay keeps the order of commits for every key, with one replica or several, and through a broken connection."""

import asyncio
from collections.abc import Callable, Sequence

import asyncpg
import pytest

from shared.bus.admin import create_topics
from shared.bus.publisher import Published, Publisher
from shared.bus.reader import read_all
from shared.bus.records import Outgoing, outgoing
from shared.bus.relay import Relay
from shared.db.store import add_outbox
from shared.runtime.settings import KafkaSettings
from shared.topics import ASSIGNMENT, PREDICTIONS
from tests.support.events import abstention
from tests.support.probe import prepare, probe, running, until
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(60)
KEYS, ROWS, RECORDS = 5, 120, 4


async def test_each_key_is_published_in_the_order_of_commits(kafka_settings: KafkaSettings, database: Database) -> None:
    await create_topics(kafka_settings, partitions=3)
    await prepare(database)
    writer = await asyncpg.connect(database.url(ASSIGNMENT), server_settings={"search_path": ASSIGNMENT})
    admin = await asyncpg.connect(database.admin_url)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND pid <> $2"
    try:
        async with running(probe(kafka_settings, database)), running(probe(kafka_settings, database)):
            for row in range(ROWS):
                numbered = (f"{row * RECORDS + place:04d}" for place in range(RECORDS))
                said = [abstention(f"i{key}", detail=number) for number in numbered for key in range(KEYS)]
                await add_outbox(writer, [outgoing(PREDICTIONS, one, source="test") for one in said])
                if row in (ROWS // 3, ROWS // 2):
                    await admin.execute(cut, ASSIGNMENT, writer.get_server_pid())
                    await asyncio.sleep(0.2)

            async def empty() -> bool:
                return not await writer.fetchval("SELECT EXISTS (SELECT FROM outbox)")

            await until(empty)
    finally:
        await writer.close()
        await admin.close()
    told = await told_of(kafka_settings)
    assert told.keys() == {f"i{key}" for key in range(KEYS)}
    for numbers in told.values():  # a row that is published again repeats all that it holds, in its order
        first = list(dict.fromkeys(numbers))
        assert first == [f"{number:04d}" for number in range(ROWS * RECORDS)]


async def test_a_cancel_that_comes_with_a_wake_ends_it(kafka_settings: KafkaSettings, database: Database) -> None:
    await prepare(database)
    service = probe(kafka_settings, database)
    await service.database.connect()
    async with Publisher(kafka_settings) as publisher:
        for ticks in range(4):
            relay = Relay(service.database, publisher, poll_s=60)
            running_one = asyncio.create_task(relay.run())

            async def leads(relay: Relay = relay) -> bool:
                return relay.leading

            await until(leads)
            await asyncio.sleep(0.05)  # it waits to be woken
            relay.wake()
            for _ in range(ticks):
                await asyncio.sleep(0)
            running_one.cancel()
            ended, _ = await asyncio.wait([running_one], timeout=5)
            assert ended, f"woken and cancelled {ticks} turns of the loop later, it goes on"
    await service.database.close()


async def told_of(kafka_settings: KafkaSettings) -> dict[str, list[str]]:
    """Item -> what was published of it, in order."""
    told: dict[str, list[str]] = {}
    for record in sorted(await read_all(kafka_settings, PREDICTIONS.name), key=lambda r: (r.partition, r.offset)):
        event = PREDICTIONS.event.validate_json(record.value or b"")
        told.setdefault(event.item_id, []).append(event.detail)
    return told


class Stopped(Publisher):
    """Of a process that stands still while it publishes."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__(kafka)
        self.stopped, self.resumed = asyncio.Event(), asyncio.Event()

    async def publish(self, records: Sequence[Outgoing]) -> Published:
        self.stopped.set()
        await self.resumed.wait()
        return await super().publish(records)


async def test_a_relay_that_stands_still_loses_its_place(kafka_settings: KafkaSettings, database: Database) -> None:
    await create_topics(kafka_settings, partitions=1)
    await prepare(database)
    service = probe(kafka_settings, database)
    await service.database.connect()
    async with Stopped(kafka_settings) as still, Publisher(kafka_settings) as publisher:
        first = Relay(service.database, still, poll_s=0.05, still_s=0.5)
        second = Relay(service.database, publisher, poll_s=0.05, still_s=5.0)
        async with asyncio.TaskGroup() as group:
            leading = group.create_task(first.run())
            await until_true(lambda: first.leading)
            for number in range(3):
                async with service.unit() as unit:
                    unit.emit(PREDICTIONS, abstention("i1", detail=str(number)))
            await asyncio.wait_for(still.stopped.wait(), 10)
            standing_by = group.create_task(second.run())
            await until_true(lambda: second.leading)

            async def empty() -> bool:
                return not await service.database.pool.fetchval("SELECT EXISTS (SELECT FROM outbox)")

            await until(empty)
            still.resumed.set()
            await until_true(lambda: not first.leading)
            leading.cancel()
            standing_by.cancel()
    await service.database.close()
    told = (await told_of(kafka_settings))["i1"]
    assert list(dict.fromkeys(told)) == ["0", "1", "2"]


async def until_true(check: Callable[[], bool]) -> None:
    async def checked() -> bool:
        return check()

    await until(checked)
