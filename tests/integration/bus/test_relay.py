"""The relay keeps the order of commits for every key, with one replica or several, and through a broken connection."""

import asyncio

import asyncpg
import pytest

from shared.bus.admin import create_topics
from shared.bus.reader import read_all
from shared.bus.records import outgoing
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
    told: dict[str, list[str]] = {}
    for record in sorted(await read_all(kafka_settings, PREDICTIONS.name), key=lambda r: (r.partition, r.offset)):
        event = PREDICTIONS.event.validate_json(record.value or b"")
        told.setdefault(event.item_id, []).append(event.detail)
    assert told.keys() == {f"i{key}" for key in range(KEYS)}
    for numbers in told.values():  # a row that is published again repeats all that it holds, in its order
        first = list(dict.fromkeys(numbers))
        assert first == [f"{number:04d}" for number in range(ROWS * RECORDS)]
