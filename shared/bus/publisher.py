"""Publishing with acks=all, in order, healing itself after a fatal producer error."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.bus.access import access_of
from shared.bus.client import make_producer
from shared.bus.partition import partition_of
from shared.bus.records import Outgoing
from shared.errors import RetryLater
from shared.runtime.settings import KafkaSettings

log = structlog.get_logger(__name__)

Published = dict[tuple[str, int], int]
"""(logical topic, partition) -> the offset after the last record published there."""


class Publisher:
    """A Kafka producer that is thrown away and made anew when it fails.

    A producer of aiokafka that met a fatal error raises on every later send, so it is never kept.
    """

    def __init__(self, kafka: KafkaSettings, *, timeout_s: float = 60.0) -> None:
        self._kafka = kafka
        self._timeout_s = timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._started()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _started(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = make_producer(self._kafka)
                try:
                    async with asyncio.timeout(self._timeout_s):
                        await producer.start()
                except (KafkaError, OSError, TimeoutError) as error:
                    await producer.stop()
                    access_of(self._kafka).check(error)
                    raise RetryLater(f"Kafka at {self._kafka.bootstrap} does not answer: {error!r}") from error
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        """Flush and stop."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _discard(producer)

    async def publish(self, records: Sequence[Outgoing]) -> Published:
        """Publish records in order; returns when all are acknowledged by all in-sync replicas.

        Raises:
            AccessRefused: we are not let in, or may not write to one of the topics.
            RetryLater: some may not have arrived. Publishing all of them again is right: their effect is idempotent.
        """
        if not records:
            return {}
        producer = await self._started()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send(producer, records)
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            log.warning("publish_failed", error=type(error).__name__, records=len(records))
            if self._producer is producer:
                self._producer = None
            await _discard(producer)
            access_of(self._kafka).check(error)
            raise RetryLater(f"publishing {len(records)} records failed: {error!r}") from error

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> Published:
        """In lots of a partition each: a record costs neither a future nor a wake-up of its own."""
        waiting: list[tuple[str, int, int, asyncio.Future[Any]]] = []
        try:
            for (topic, partition), several in (await self._by_partition(producer, records)).items():
                for lot in _lots(producer, several):
                    sent = await producer.send_batch(lot, self._kafka.prefix + topic, partition=partition)
                    waiting.append((topic, partition, lot.record_count(), sent))
            done: Published = {}
            for topic, partition, number, sent in waiting:
                metadata = await sent
                done[topic, partition] = max(done.get((topic, partition), 0), metadata.offset + number)
        finally:
            for *_, sent in waiting:
                if sent.done() and not sent.cancelled():
                    sent.exception()
        return done

    async def _by_partition(
        self, producer: AIOKafkaProducer, records: Sequence[Outgoing]
    ) -> dict[tuple[str, int], list[Outgoing]]:
        """The records of each (topic, partition), in their order."""
        names = {record.topic for record in records}
        partitions = {name: sorted(await producer.partitions_for(self._kafka.prefix + name)) for name in names}
        places: dict[tuple[str, int], list[Outgoing]] = {}
        for record in records:
            place = record.topic, partition_of(record.key, partitions[record.topic])
            places.setdefault(place, []).append(record)
        return places


def _lots(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> list[BatchBuilder]:
    """Records of one partition as full batches; closed, so that nobody else adds to them."""
    lots = [producer.create_batch()]
    for record in records:
        if _append(lots[-1], record) is None:
            lots.append(producer.create_batch())
            _append(lots[-1], record)  # the first of a batch always fits
    for lot in lots:
        lot.close()
    return lots


def _append(lot: BatchBuilder, record: Outgoing) -> Any:
    return lot.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))


async def _discard(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(10.0):
            await producer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("producer_stop_failed", error=type(error).__name__)
