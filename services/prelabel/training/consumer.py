"""A consumer whose offsets lie in the trainer's own file, in the transaction of each batch's effects."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from sqlite3 import Connection
from typing import TypeVar

from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from services.prelabel.training.store.kept import Kept, get_offsets, save_offsets
from shared.bus.consumer import Consumer
from shared.bus.records import Received
from shared.bus.validate import Rejected
from shared.errors import Reason
from shared.events import Event
from shared.runtime.metrics import BusMetrics
from shared.runtime.settings import ServiceSettings
from shared.topics import TRAINER, Topic

E = TypeVar("E", bound=Event)
Write = Callable[[Connection], None]
Handler = Callable[[Sequence[Received[E]]], Awaitable[Write]]


class KeptConsumer(Consumer[E]):
    """Exactly-once effect on the file: what a batch writes and its next offsets are one transaction.

    An empty directory therefore reads every topic from its beginning. Kafka's group is told afterwards, for lag tools.
    """

    def __init__(
        self, topic: Topic[E], handler: Handler[E], kept: Kept, *, settings: ServiceSettings, metrics: BusMetrics
    ) -> None:
        super().__init__(TRAINER, topic, settings, metrics)
        self._handler = handler
        self._kept = kept
        self._told: dict[int, int] = {}

    async def _positions(self, partitions: set[int]) -> dict[int, int]:
        return await self._kept.run(lambda connection: get_offsets(connection, self.topic.name, partitions))

    async def _apply(self, valid: list[Received[E]], refused: list[Rejected], ends: dict[int, int]) -> int:
        write = await self._handler(valid) if valid else None
        self._limit.check(self.topic.name, len(valid) + len(refused), len(refused))

        def apply(connection: Connection) -> None:
            if write is not None:
                write(connection)
            save_offsets(connection, {(self.topic.name, partition): end for partition, end in ends.items()})

        await self._kept.run(apply)
        self.count_refused({(self.topic.name, one.reason): 0 for one in refused} | _counted(self.topic.name, refused))
        return len(refused)

    async def tick(self) -> None:
        """Tell Kafka's group where we are."""
        consumer, physical = self.consumer, self._kafka.physical(self.topic.name)
        ahead = {partition: end for partition, end in self._expected.items() if self._told.get(partition, 0) < end}
        if consumer is None or not ahead:
            return
        with suppress(KafkaError, IllegalStateError, asyncio.TimeoutError):
            await consumer.commit({TopicPartition(physical, p): OffsetAndMetadata(end, "") for p, end in ahead.items()})
            self._told |= ahead


def _counted(topic: str, refused: Sequence[Rejected]) -> dict[tuple[str, Reason], int]:
    found: dict[tuple[str, Reason], int] = {}
    for one in refused:
        found[topic, one.reason] = found.get((topic, one.reason), 0) + 1
    return found
