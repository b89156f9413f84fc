"""A consumer whose offsets live in PostgreSQL, inside the transaction of each batch's effects."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaError

from shared.bus.access import access_of
from shared.bus.consumer import Consumer
from shared.bus.records import Received, Record
from shared.bus.relay import Relay
from shared.bus.unit import Unit
from shared.bus.validate import Rejected
from shared.clock import Clock
from shared.db.database import Database
from shared.db.store import get_offsets
from shared.errors import Fenced
from shared.events import Event
from shared.runtime.metrics import BusMetrics
from shared.runtime.settings import ServiceSettings
from shared.topics import Topic

log = structlog.get_logger(__name__)
TOLD_AGAIN_S = 30.0
E = TypeVar("E", bound=Event)
Handler = Callable[[Sequence[Received[E]], Unit], Awaitable[None]]


class TransactionalConsumer(Consumer[E]):
    """Exactly-once effect: effects, outbox, dead letters and next offsets are one transaction.

    Each partition's offset moves by compare-and-set from where this consumer believes it is; a consumer that lost the
    partition finds another value there, drops its batch and starts from the stored offset.
    """

    def __init__(
        self,
        service: str,
        topic: Topic[E],
        handler: Handler[E],
        *,
        settings: ServiceSettings,
        metrics: BusMetrics,
        database: Database,
        relay: Relay,
        clock: Clock,
        passes_over: Callable[[Record], bool] | None = None,
        pace_ms: int | None = None,
    ) -> None:
        super().__init__(service, topic, settings, metrics, passes_over, pace_ms=pace_ms)
        self._handler = handler
        self._database = database
        self._relay = relay
        self._clock = clock
        self._told: dict[int, int] = {}
        self._told_at = 0.0

    async def _positions(self, partitions: set[int]) -> dict[int, int]:
        async with self._database.transaction() as connection:
            stored = await get_offsets(connection, sorted((self.topic.name, p) for p in partitions))
        return {partition: offset for (_, partition), offset in stored.items()}

    async def _apply(self, valid: list[Received[E]], refused: list[Rejected], ends: dict[int, int]) -> int:
        moves = {}
        for partition, end in ends.items():
            if partition not in self._expected:
                raise Fenced(f"partition {partition} of {self.topic.name} was revoked")
            moves[self.topic.name, partition] = (self._expected[partition], end)
        async with self._database.transaction() as connection:
            unit = Unit(self.service, connection, self._clock())
            for one in refused:
                unit.reject(one.record, one.reason, one.detail)
            if valid:
                await self._handler(valid, unit)
            self._limit.check(self.topic.name, len(valid) + len(refused), unit.poison)
            await unit.finish(moves)
        self.count_refused(unit.refused)
        if unit.published:
            self._metrics.published.inc(unit.published)
            self._relay.wake()
        return unit.poison

    async def tick(self) -> None:
        """Commit to Kafka's group what is done, for lag tools only: this consumer never reads it back."""
        consumer = self.consumer
        if consumer is None:
            return
        physical = self._kafka.physical(self.topic.name)
        again = time.monotonic() - self._told_at > TOLD_AGAIN_S  # what was given up on may have arrived late
        done = {p: o for p, o in self._expected.items() if o > 0 and (again or self._told.get(p) != o)}
        if not done:
            return
        try:
            await consumer.commit({TopicPartition(physical, p): OffsetAndMetadata(o, "") for p, o in done.items()})
            self._told.update(done)
            self._told_at = time.monotonic() if again else self._told_at
        except KafkaError as error:
            access_of(self._kafka).notice(error)
            log.info("group_commit_failed", topic=self.topic.name, error=type(error).__name__)
