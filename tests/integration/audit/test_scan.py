"""The audit's pass over a topic on real Kafka: a client that passes over records hides nothing."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from cli.audit import topics
from cli.audit.topics import Scan
from shared.bus.admin import create_topics
from shared.bus.client import make_admin
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS
from tests.support import events as make

pytestmark = pytest.mark.timeout(90)
RECORDS = 600
FORWARD = 7


@pytest.fixture
async def stream(kafka_settings: KafkaSettings) -> KafkaSettings:
    await create_topics(kafka_settings, partitions=2)
    async with Publisher(kafka_settings) as publisher:
        await publisher.publish([outgoing(ITEMS, make.item(f"i{n}"), source="test") for n in range(RECORDS)])
    return kafka_settings


async def places(scan: Scan) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) async for records in scan.chunks() for record in records]


async def test_what_the_client_passes_over_is_read_again(
    stream: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead: list[int] = []

    @asynccontextmanager
    async def hasty(kafka: KafkaSettings, topic: str, start: Mapping[int, int]) -> AsyncGenerator[Any]:
        async with open_reader(kafka, topic, start) as consumer:
            getmany = consumer.getmany

            async def ahead_of_itself(**how: Any) -> Any:
                found = await getmany(timeout_ms=how["timeout_ms"], max_records=50)
                for place in found:
                    to = await consumer.position(place) + FORWARD
                    if len(ahead) < FORWARD and to < (consumer.highwater(place) or 0):
                        ahead.append(to)
                        consumer.seek(place, to)
                return found

            monkeypatch.setattr(consumer, "getmany", ahead_of_itself)
            yield consumer

    open_reader = topics.__dict__["open_reader"]
    monkeypatch.setattr(topics, "open_reader", hasty)
    scan = Scan(stream, ITEMS.name)
    found = await places(scan)
    assert len(ahead) == FORWARD, "the client passed over nothing: the test proves nothing"
    assert len(found) == RECORDS
    assert len(set(found)) == RECORDS
    assert sum(scan.next.values()) == RECORDS
    assert set(scan.low.values()) == {0}


async def test_what_retention_took_is_a_gap_that_is_believed(stream: KafkaSettings) -> None:
    admin = make_admin(stream)
    await admin.start()
    try:
        topic = stream.physical(ITEMS.name)
        await admin.delete_records({TopicPartition(topic, n): RecordsToDelete(before_offset=20) for n in range(2)})
    finally:
        await admin.close()
    scan = Scan(stream, ITEMS.name)
    assert len(await places(scan)) == RECORDS - 40
    assert set(scan.low.values()) == {20}
    assert await places(scan) == [], "the next pass goes on where this one ended"
