"""Publishing with acks=all, in order, healing itself after a fatal producer error."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.bus.client import make_producer
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
                    await asyncio.wait_for(producer.start(), self._timeout_s)
                except (KafkaError, OSError, TimeoutError) as error:
                    await producer.stop()
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
            raise RetryLater(f"publishing {len(records)} records failed: {error!r}") from error

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> Published:
        prefix = self._kafka.prefix
        waiting: list[asyncio.Future[object]] = []
        try:
            for record in records:
                sent = await producer.send(
                    prefix + record.topic, record.value, key=record.key, headers=list(record.headers)
                )
                waiting.append(sent)
            done: Published = {}
            for record, future in zip(records, waiting, strict=True):
                metadata = await future
                place = (record.topic, metadata.partition)  # type: ignore[attr-defined]
                done[place] = max(done.get(place, 0), metadata.offset + 1)  # type: ignore[attr-defined]
        finally:
            for future in waiting:
                if future.done() and not future.cancelled():
                    future.exception()
        return done


async def _discard(producer: AIOKafkaProducer) -> None:
    try:
        await asyncio.wait_for(producer.stop(), 10.0)
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("producer_stop_failed", error=type(error).__name__)
