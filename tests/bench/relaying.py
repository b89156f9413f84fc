"""How fast one relay is: outbox rows of full batches, to Kafka and gone, by the relay alone in a process."""

import asyncio
import time
from pathlib import Path

import asyncpg
from aiokafka.admin import NewTopic

from shared.bus.client import make_admin
from shared.bus.publisher import Publisher
from shared.bus.records import Outgoing, outgoing
from shared.bus.relay import Relay
from shared.db.database import Database
from shared.db.migrate import migrate
from shared.db.store import add_outbox
from shared.runtime.settings import DatabaseServiceSettings, KafkaSettings
from shared.topics import LABELS
from tests.support import events as make

TOPIC = "relaying.v1"
SCHEMA = "relaying"
ROWS, BATCH = 100, 500


async def relay_speed(kafka: KafkaSettings, url: str) -> dict[str, float]:
    """Records a second, and CPU microseconds of a record, of one relay.

    Args:
        kafka: where; a topic is made there.
        url: a superuser's, of a server; a schema is made there.
    """
    admin = make_admin(kafka)
    await admin.start()
    await admin.create_topics([NewTopic(kafka.physical(TOPIC), 4, 1)])
    await admin.close()
    connection = await asyncpg.connect(url)
    await migrate(connection, SCHEMA, Path("nothing of its own"))
    await connection.execute(f"SET search_path = {SCHEMA}")
    label = make.auto_label()
    one = outgoing(LABELS, label, source="tests/bench")
    for row in range(ROWS):
        keys = [f"{make.PROJECT}/i{row * BATCH + n}".encode() for n in range(BATCH)]
        await add_outbox(connection, [Outgoing(TOPIC, key, one.value, one.headers) for key in keys])
    await connection.close()
    settings = DatabaseServiceSettings(kafka=kafka, database_url=url, database_allow_insecure=True)
    database = Database(SCHEMA, settings)
    await database.connect()
    async with Publisher(kafka) as publisher, database.pool.acquire() as leading:
        relay = Relay(database, publisher, poll_s=0.1)
        await relay.drain(leading)
        began, used = time.perf_counter(), time.process_time()
        drained = 1
        while await relay.drain(leading):
            drained += 1
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        await asyncio.sleep(0)
    await database.close()
    records = ROWS * BATCH * (drained - 1) / drained
    return {"records_per_second": records / seconds, "cpu_us": cpu / records * 1e6}
