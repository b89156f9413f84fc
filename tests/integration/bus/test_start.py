"""Starting: what is refused, what is waited for, what is read back."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from shared.bus.admin import create_topics
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import Received
from shared.bus.unit import Unit
from shared.events import Prediction
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS, PREDICTIONS
from tests.support.probe import client, items, prepare, probe, running, times_seen, until
from tests.support.servers import Database, plaintext

pytestmark = pytest.mark.timeout(60)


async def test_a_database_of_another_cluster_is_refused(
    kafka_settings: KafkaSettings, tansu_settings: KafkaSettings, database: Database
) -> None:
    await create_topics(kafka_settings, partitions=1)
    await create_topics(tansu_settings, partitions=1)
    await prepare(database)
    async with running(probe(kafka_settings, database)):
        pass
    service = probe(tansu_settings, database)
    async with running(service, wait=False) as http:
        async with asyncio.timeout(15):
            await service.fatal.wait()
        answer = await http.get("/health")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "belongs to Kafka cluster" in answer.text


async def test_a_schema_that_is_behind_is_waited_for(kafka_settings: KafkaSettings, database: Database) -> None:
    await create_topics(kafka_settings, partitions=1)
    async with running(probe(kafka_settings, database), wait=False) as http:

        async def says_migrate() -> bool:
            return "labelstream migrate" in (await http.get("/ready")).text

        await until(says_migrate)
        assert (await http.get("/health")).status_code == httpx.codes.OK
        await prepare(database)

        async def ready() -> bool:
            return (await http.get("/ready")).status_code == httpx.codes.OK

        await until(ready)


async def test_missing_brokers_are_named_and_waited_for(database: Database) -> None:
    await prepare(database)
    async with running(probe(plaintext("127.0.0.1:1", "x.", idempotence=True), database), wait=False) as http:

        async def says_cluster() -> bool:
            return "cluster" in (await http.get("/ready")).text

        await until(says_cluster)


async def test_own_output_is_read_back_once(kafka_settings: KafkaSettings, database: Database) -> None:
    """A database that knows none of its own output folds all of it before anything is decided; a second start none."""
    await create_topics(kafka_settings, partitions=2)
    await prepare(database)
    async with running(probe(kafka_settings, database)):
        async with Publisher(kafka_settings) as publisher:
            await publisher.publish(items(50))

        async def answered() -> bool:
            return len(await read_all(kafka_settings, PREDICTIONS.name)) == 50

        await until(answered)

    folded: list[str] = []

    async def fold(batch: Sequence[Received[Prediction]], _: Unit) -> None:
        folded.extend(received.event.item_id for received in batch)

    known = probe(kafka_settings, database)
    known.rebuild(PREDICTIONS, fold)
    async with running(known):
        assert folded == [], "the relay has remembered how far the output is known"

    name = f"{database.name}_restored"
    await database.server.create_database(name)
    restored = Database(name, database.server)
    try:
        await prepare(restored)
        for expected in (50, 50):
            service = probe(kafka_settings, restored)
            service.rebuild(PREDICTIONS, fold)
            async with running(service):
                assert len(folded) == expected

                async def caught_up() -> bool:
                    return len(await times_seen(restored)) == 50

                await until(caught_up)
    finally:
        await database.server.drop_database(name)


async def test_the_publisher_heals_after_a_fatal_error(kafka_settings: KafkaSettings, database: Database) -> None:
    await create_topics(kafka_settings, partitions=2)
    await prepare(database)
    service = probe(kafka_settings, database)
    async with running(service), Publisher(kafka_settings) as publisher:
        await publisher.publish(items(10))

        async def answered(number: int) -> bool:
            return len(await read_all(kafka_settings, PREDICTIONS.name)) >= number

        await until(lambda: answered(10))
        broken = service.publisher._producer
        assert broken is not None
        await broken.stop()
        await publisher.publish(items(10, start=10))
        await until(lambda: answered(20))
        assert service.publisher._producer is not broken


async def test_health_is_up_before_anything_else(database: Database) -> None:
    service = probe(plaintext("127.0.0.1:1", "x.", idempotence=True), database)
    async with client(service) as http:
        assert (await http.get("/health")).status_code == httpx.codes.OK
        assert (await http.get("/ready")).status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "labelstream_ready 0.0" in (await http.get("/metrics")).text
    assert ITEMS.name in {consumer.topic.name for consumer in service.consumers}


async def test_a_coordinator_that_does_not_answer_holds_up_neither_figures_nor_the_drain(
    kafka_settings: KafkaSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit to Kafka's group is for lag tools only; aiokafka may wait in it for ever."""
    await create_topics(kafka_settings, partitions=1)
    await prepare(database)
    monkeypatch.setattr("shared.runtime.startup.TICK_S", 0.1)
    service = probe(kafka_settings, database)

    async def never() -> None:
        await asyncio.Event().wait()

    for consumer in service.consumers:
        monkeypatch.setattr(consumer, "tick", never)
    async with running(service):
        async with Publisher(kafka_settings) as publisher:
            await publisher.publish(items(20))

        async def shown() -> bool:
            lag = service.registry.get_sample_value(
                "labelstream_consumer_lag_records", {"topic": ITEMS.name, "partition": "0"}
            )
            return lag == 0 and len(await times_seen(database)) == 20

        await until(shown)
        leaving = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - leaving < 5
