"""Publishing in lots: every record once, each key in its order, and the offsets it says are where they end."""

import pytest

from shared.bus.admin import create_topics
from shared.bus.partition import partition_of
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import Outgoing
from shared.errors import RetryLater
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS, PREDICTIONS

PARTITIONS = 3


def record(number: int, *, topic: str = PREDICTIONS.name, size: int = 400) -> Outgoing:
    key = f"bench/i{number % 7}".encode()
    return Outgoing(topic, key, f"{number:06d}".encode().ljust(size, b"."), (("ce_id", f"{number}".encode()),))


async def test_lots_larger_than_a_batch_arrive_whole_and_in_order(kafka_settings: KafkaSettings) -> None:
    await create_topics(kafka_settings, partitions=PARTITIONS)
    sent = [record(n) for n in range(4000)]  # 1.6 MB: several batches of 262,144 bytes for a partition
    other = [record(n, topic=ITEMS.name) for n in range(5)]
    async with Publisher(kafka_settings) as publisher:
        done = await publisher.publish([*sent, *other])
        again = await publisher.publish(sent[:10])
    found = await read_all(kafka_settings, PREDICTIONS.name)
    assert len(found) == len(sent) + 10
    for partition in range(PARTITIONS):
        here = [one for one in found if one.partition == partition]
        mine = [r for r in (*sent, *sent[:10]) if partition_of(r.key, range(PARTITIONS)) == partition]
        assert [(one.key, one.value, one.headers) for one in here] == [(r.key, r.value, r.headers) for r in mine]
        ends = done | again
        assert ends.get((PREDICTIONS.name, partition), 0) == (here[-1].offset + 1 if here else 0)
    assert len(await read_all(kafka_settings, ITEMS.name)) == len(other)


async def test_a_record_that_the_broker_refuses_is_an_error_and_the_next_publish_works(
    kafka_settings: KafkaSettings,
) -> None:
    await create_topics(kafka_settings, partitions=PARTITIONS)
    async with Publisher(kafka_settings) as publisher:
        with pytest.raises(RetryLater, match="publishing 2 records failed"):
            await publisher.publish([record(1), record(2, size=3 * kafka_settings.max_record_bytes)])
        await publisher.publish([record(3)])
    values = [one.value for one in await read_all(kafka_settings, PREDICTIONS.name)]
    assert record(3).value in values
