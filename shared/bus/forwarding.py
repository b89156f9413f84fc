"""A consumer without a database: what it publishes has ids derived from its input, so a repeat does no harm."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError

from shared.bus.consumer import Consumer
from shared.bus.deadletter import dead_letter
from shared.bus.publisher import Publisher
from shared.bus.records import Outgoing, Received
from shared.bus.validate import Rejected
from shared.errors import Reason, RetryLater
from shared.events import Event
from shared.runtime.metrics import BusMetrics
from shared.runtime.settings import ServiceSettings
from shared.topics import Topic

log = structlog.get_logger(__name__)
E = TypeVar("E", bound=Event)
Transform = Callable[[Sequence[Received[E]]], Awaitable[Sequence[Outgoing]]]

COORDINATOR_S = 10.0
"""Longest wait for the group's coordinator; aiokafka itself may wait for ever where a broker was killed."""
LOST_PARTITION = (CommitFailedError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError)


class ForwardingConsumer(Consumer[E]):
    """At least once: outputs are acknowledged by all replicas before the input's offset is committed to Kafka."""

    def __init__(
        self,
        service: str,
        topic: Topic[E],
        transform: Transform[E],
        *,
        settings: ServiceSettings,
        metrics: BusMetrics,
        publisher: Publisher,
    ) -> None:
        super().__init__(service, topic, settings, metrics)
        self._transform = transform
        self._publisher = publisher

    async def _positions(self, partitions: set[int]) -> dict[int, int]:
        consumer = self.consumer
        if consumer is None:
            raise RetryLater("the consumer is not started")
        physical = self._kafka.physical(self.topic.name)
        async with asyncio.timeout(COORDINATOR_S):
            stored = {p: await consumer.committed(TopicPartition(physical, p)) for p in partitions}
        return {partition: offset or 0 for partition, offset in stored.items()}

    async def _apply(self, valid: list[Received[E]], refused: list[Rejected], ends: dict[int, int]) -> int:
        outputs = list(await self._transform(valid)) if valid else []
        self._limit.check(self.topic.name, len(valid) + len(refused), len(refused))
        if self.topic.dlq_owner == self.service:
            outputs += [dead_letter(one.record, one.reason, one.detail, service=self.service) for one in refused]
        await self._publisher.publish(outputs)
        await self._commit(ends)
        self._metrics.published.inc(len(outputs))
        reasons: Counter[tuple[str, Reason]] = Counter((self.topic.name, one.reason) for one in refused)
        self.count_refused(reasons)
        return len(refused)

    async def _commit(self, ends: dict[int, int]) -> None:
        consumer = self.consumer
        if consumer is None:
            return
        physical = self._kafka.physical(self.topic.name)
        try:
            async with asyncio.timeout(COORDINATOR_S):  # then the batch is published and committed once more
                await consumer.commit({TopicPartition(physical, p): OffsetAndMetadata(o, "") for p, o in ends.items()})
        except LOST_PARTITION as error:
            log.info("commit_refused", topic=self.topic.name, error=type(error).__name__)

    async def tick(self) -> None:
        """Nothing: every batch has committed."""
