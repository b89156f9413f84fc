"""One record with a header name that is not UTF-8 must not stop its partition: aiokafka alone never gets past it."""

import pytest

from shared.bus.admin import create_topics
from shared.bus.deadletter import original
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import Outgoing
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS
from tests.support.probe import items, prepare, probe, running, times_seen, until
from tests.support.raw import NotUtf8, slow_producers
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(60)
NAME = "caf\udce9"


async def test_a_header_name_that_is_not_utf8_stops_nothing(kafka_settings: KafkaSettings, database: Database) -> None:
    await create_topics(kafka_settings, partitions=1)
    await prepare(database)
    good, *others = items(5)
    odd = Outgoing(good.topic, good.key, good.value, (*good.headers, (NotUtf8(NAME), b"1")))
    poison = Outgoing(ITEMS.name, b"k", b"{", ((NotUtf8(NAME), b"2"),))
    async with running(probe(kafka_settings, database)):
        with slow_producers():
            async with Publisher(kafka_settings) as publisher:
                await publisher.publish([others[0], odd, others[1], poison, *others[2:]])

        async def all_seen() -> bool:
            return len(await times_seen(database)) == 5 and bool(await read_all(kafka_settings, ITEMS.dlq))

        await until(all_seen)
    assert set((await times_seen(database)).values()) == {1}
    (letter,) = await read_all(kafka_settings, ITEMS.dlq)
    source = original(letter)
    assert (source.offset, source.value, source.headers) == (3, b"{", ((NAME, b"2"),))
