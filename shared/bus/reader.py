"""Reading a topic without a group, to the end that it has now."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from shared.bus.access import access_of
from shared.bus.client import make_reader
from shared.bus.records import Record, record_of
from shared.errors import RetryLater
from shared.runtime.settings import KafkaSettings
from shared.topics import BY_NAME

END_MS, FOLLOW_MS = 50, 500
"""How long the broker holds a fetch that finds nothing: short where that is the answer, long where more is awaited."""

Positions = dict[int, int]
"""Partition -> next offset."""


class Gaps:
    """Records that the client passes over are read again.

    A gap between two fetches is looked at twice, and then believed: it is of retention, or of markers of transactions.

    Args:
        at: partition -> next offset, 0 where absent; moved on by what is read.
    """

    def __init__(self, at: Positions) -> None:
        self._at = at
        self._looked_back: dict[int, tuple[int, int]] = {}

    def without(
        self, fetched: Mapping[TopicPartition, Sequence[Any]], consumer: AIOKafkaConsumer
    ) -> list[Sequence[Any]]:
        """What was fetched, but for the partitions where records were passed over; there the consumer goes back."""
        return [raws for place, raws in fetched.items() if raws and not self._passed_over(place, raws, consumer)]

    def _passed_over(self, place: TopicPartition, raws: Sequence[Any], consumer: AIOKafkaConsumer) -> bool:
        gap = self._at.get(place.partition, 0), raws[0].offset
        if gap[0] < gap[1] and self._looked_back.get(place.partition) != gap:
            self._looked_back[place.partition] = gap
            consumer.seek(place, gap[0])
            return True
        self._at[place.partition] = raws[-1].offset + 1
        return False


@asynccontextmanager
async def open_reader(
    kafka: KafkaSettings,
    topic: str,
    start: Mapping[int, int] | None = None,
    *,
    timeout_s: float = 30.0,
    following: bool = False,
) -> AsyncGenerator[AIOKafkaConsumer]:
    """A consumer without a group, at `start` (partition -> offset; 0 where absent) of every partition of a topic.

    Args:
        kafka: where.
        topic: the logical name.
        start: where to begin.
        timeout_s: seconds until giving up on the broker.
        following: it will stay at the end and wait for what comes, instead of asking where the end is.

    Raises:
        AccessRefused: we are not let in, or may not read this topic.
        RetryLater: Kafka does not answer, or has no such topic.
    """
    consumer = make_reader(kafka, wait_ms=FOLLOW_MS if following else END_MS)
    try:
        try:
            async with asyncio.timeout(timeout_s):
                await consumer.start()
                partitions = await _partitions(consumer, kafka.physical(topic))
        except (KafkaError, OSError, TimeoutError) as error:
            access_of(kafka).check(error)
            raise RetryLater(f"{topic} cannot be read: {error!r}") from error
        consumer.assign(partitions)
        for place in partitions:
            consumer.seek(place, (start or {}).get(place.partition, 0))
        yield consumer
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, physical: str) -> list[TopicPartition]:
    await consumer._client.add_topic(physical)  # noqa: SLF001  # the public way needs a subscription, which needs no group here
    found = consumer.partitions_for_topic(physical)
    if physical in consumer._client.cluster.unauthorized_topics:  # noqa: SLF001  # else it looks like a missing one
        raise TopicAuthorizationFailedError(physical)
    if not found:
        raise RetryLater(f"topic {physical} does not exist; run `labelstream topics create`")
    return [TopicPartition(physical, partition) for partition in sorted(found)]


async def at_end(consumer: AIOKafkaConsumer) -> bool:
    """Whether every partition has been read to the high watermark of its last fetch."""
    for place in consumer.assignment():
        end = consumer.highwater(place)
        if end is None or await consumer.position(place) < end:
            return False
    return True


async def read_to_end(
    kafka: KafkaSettings, topic: str, start: Mapping[int, int] | None = None, *, timeout_s: float = 300.0
) -> AsyncGenerator[list[Record]]:
    """Every record of a topic from `start` to the end that it has when each partition is reached, in chunks.

    The end is the high watermark of a fetch made after the call: some brokers report a wrong one by ListOffsets.

    Raises:
        RetryLater: the end is not reached in `timeout_s`, or Kafka does not answer.
    """
    gaps = Gaps(dict(start or {}))
    async with open_reader(kafka, topic, start) as consumer:
        ends: dict[TopicPartition, int] = {}
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    chunk = await consumer.getmany(timeout_ms=100, max_records=2000)
                    whole = list(chunk.values()) if _compacted(topic) else gaps.without(chunk, consumer)
                    records = [record_of(raw, kafka.prefix) for raws in whole for raw in raws]
                    for place in consumer.assignment():
                        end = consumer.highwater(place)
                        if end is not None:
                            ends.setdefault(place, end)
                    if records:
                        yield records
                    if await _reached(consumer, ends):
                        return
        except (KafkaError, TimeoutError) as error:
            access_of(kafka).check(error)
            raise RetryLater(f"{topic} could not be read to its end: {error!r}") from error


def _compacted(topic: str) -> bool:
    """Whether gaps are what a topic is made of."""
    known = BY_NAME.get(topic)
    return known is not None and known.compacted


async def _reached(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for place in consumer.assignment():
        if place not in ends or await consumer.position(place) < ends[place]:
            return False
    return True


async def read_all(kafka: KafkaSettings, topic: str, start: Mapping[int, int] | None = None) -> list[Record]:
    """All records of a small topic, in memory."""
    found: list[Record] = []
    async with aclosing(read_to_end(kafka, topic, start)) as chunks:
        async for chunk in chunks:
            found.extend(chunk)
    return found
