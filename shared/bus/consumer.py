"""Consumers: raw batches from FastStream, judged record by record, processed with retries, never losing their place."""

import abc
import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from shared.bus.flow import LagReporter, PoisonLimit, Progress, silent_s
from shared.bus.records import Received, Record, exemplar, record_of
from shared.bus.validate import Rejected, decode
from shared.bus.waking import Waker
from shared.db.database import INFRASTRUCTURE
from shared.errors import AccessRefused, Fenced, InvariantBroken, Reason, RetryLater
from shared.events import Event
from shared.runtime.logging import where
from shared.runtime.metrics import BusMetrics
from shared.runtime.settings import ServiceSettings
from shared.topics import Topic

log = structlog.get_logger(__name__)
E = TypeVar("E", bound=Event)
Judged = Received[E] | Rejected

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
LONGEST_RETRY_S = 60.0
SILENT_S = 10.0
LOOK_BACK_S = 10.0
LARGE_BATCH_BYTES = 200_000
MAX_STALE_BATCHES = 20


async def _parse(raw: Any) -> KafkaMessage:
    """Wrap a raw batch without touching headers or values: FastStream's own parser drops what is not UTF-8."""
    first = raw[0]
    return KafkaMessage(
        body=b"", headers={}, message_id=f"{first.offset}", correlation_id="", raw_message=raw, consumer=_NO_CONSUMER
    )


async def _decode(_: Any) -> None:
    return None


class _NoConsumer:
    """Acknowledging is the consumer's own business."""

    async def commit(self) -> None: ...

    def seek(self, partition: Any, offset: int) -> None: ...


_NO_CONSUMER = _NoConsumer()


class Consumer(ConsumerRebalanceListener, Generic[E]):  # type: ignore[misc]
    """One topic read by one group.

    A batch is processed in place until it succeeds: infrastructure errors back off and try again, an error that the
    records cause is cornered by halving the batch, and the one record left is refused as `unprocessable`.
    """

    def __init__(
        self,
        service: str,
        topic: Topic[E],
        settings: ServiceSettings,
        metrics: BusMetrics,
        passes_over: Callable[[Record], bool] | None = None,
        *,
        pace_ms: int | None = None,
    ) -> None:
        self.service = service
        self.topic = topic
        self._passes_over = passes_over
        self.progress = Progress(topic.name)
        self._settings = settings
        self._pace_s = (settings.batch_pace_ms if pace_ms is None else pace_ms) / 1000
        self._kafka = settings.kafka
        self._metrics = metrics
        self._limit = PoisonLimit(settings.dlq_limit_records, settings.dlq_limit_ratio)
        self._lag = LagReporter(metrics, topic.name)
        self._expected: dict[int, int] = {}
        self._stale = 0
        self._looked_back: dict[int, tuple[int, int]] = {}
        self._sought_at = 0.0
        self._subscriber: Any = None
        self._busy = asyncio.Lock()
        self._began = 0.0
        self._draining = False
        self._waker = Waker(topic.name)

    @property
    def group(self) -> str:
        """The consumer group: one per service and topic, so that no topic waits for another's rebalance."""
        return self._kafka.physical(f"{self.service}.{self.topic.name}")

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        found: AIOKafkaConsumer | None = self._subscriber.consumer if self._subscriber is not None else None
        return found

    def register(self, broker: KafkaBroker, *, max_records: int) -> None:
        """Declare the subscription. Every argument that FastStream would default unsafely is given."""
        kafka = self._kafka
        self._subscriber = broker.subscriber(
            kafka.physical(self.topic.name),
            batch=True,
            group_id=self.group,
            group_instance_id=kafka.group_instance_id,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            max_records=max_records,
            batch_timeout_ms=20,
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=4 * 1_048_576,
            session_timeout_ms=kafka.session_timeout_ms,
            heartbeat_interval_ms=kafka.heartbeat_interval_ms,
            max_poll_interval_ms=kafka.max_poll_interval_ms,
            listener=self,
            parser=_parse,
            decoder=_decode,
            title=self.topic.name,
            description=self.topic.about,
            no_reply=True,
        )
        self._subscriber(self._on_message)

    @abc.abstractmethod
    async def _positions(self, partitions: set[int]) -> dict[int, int]:
        """The next offset of each partition; a partition that is absent starts where Kafka's group stands."""

    @abc.abstractmethod
    async def _apply(self, valid: list[Received[E]], refused: list[Rejected], ends: dict[int, int]) -> int:
        """Process judged records and move to `ends` (partition -> next offset), all or nothing.

        Returns:
            How many of them were poison.
        """

    @abc.abstractmethod
    async def tick(self) -> None:
        """Called every second: tell Kafka's group where we are."""

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        for place in revoked:
            self._expected.pop(place.partition, None)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._metrics.rebalances.labels(self.topic.name).inc()
        await self._take_over(assigned)

    async def _take_over(self, assigned: set[TopicPartition]) -> None:
        """Find out where each partition stands, and go there."""
        partitions = {place.partition for place in assigned}
        self.progress.joined = self.progress.joined or not partitions
        while partitions:
            try:
                positions = await self._positions(partitions)
            except (*INFRASTRUCTURE, RetryLater, KafkaError) as error:
                self.progress.failure = f"offsets not readable: {type(error).__name__}"
                log.warning("offsets_not_readable", topic=self.topic.name, error=type(error).__name__)
                await asyncio.sleep(BACKOFF_S[1])
                continue
            self._expected = positions
            self._seek()
            self.progress.joined = True
            self.progress.mark()
            return

    def _seek(self) -> None:
        """Go to where this consumer should be on every partition that it knows."""
        consumer = self.consumer
        if consumer is None:
            return
        physical = self._kafka.physical(self.topic.name)
        for partition, offset in self._expected.items():
            try:
                consumer.seek(TopicPartition(physical, partition), offset)
            except IllegalStateError:
                log.info("partition_gone", topic=self.topic.name, partition=partition)

    async def _on_message(self, message: KafkaMessage) -> None:
        if self._draining:
            self._seek()
            return
        async with self._busy:
            await self._pace(len(message.raw_message))
            await self._take(message.raw_message)

    async def _pace(self, records: int) -> None:
        """Let the next batch fill up where batches come one after the other and are small; a lone one never waits."""
        early_s = self._pace_s - (time.monotonic() - self._began)
        if early_s > 0 and records < self._settings.max_records:
            await asyncio.sleep(early_s)
        self._began = time.monotonic()

    async def _take(self, raws: Any) -> None:
        records = self._fresh([record_of(raw, self._kafka.prefix) for raw in raws])
        if not records:
            return
        seen: set[int] = set()
        for record in records:
            if record.partition not in seen:
                seen.add(record.partition)
                self._lag.working_on(record.partition, record.timestamp_ms)
        started = time.perf_counter()
        self._metrics.batch_records.labels(self.topic.name).observe(len(records))
        try:
            await self._settle(records)
        except Fenced as error:
            log.info("fenced", topic=self.topic.name, detail=str(error))
            self._metrics.retries.labels(self.topic.name, "fenced").inc()
            await self._take_over(self._assigned())
        except RetryLater as error:
            log.warning("batch_put_back", topic=self.topic.name, detail=str(error))
            self._seek()
        except InvariantBroken as error:
            self._halt(str(error))
        except Exception as error:  # noqa: BLE001  # FastStream would drop the batch, and the next one would pass over it
            log.error("batch_put_back", topic=self.topic.name, **where(error))
            self.progress.failure = type(error).__name__
            self._metrics.retries.labels(self.topic.name, "unforeseen").inc()
            await asyncio.sleep(BACKOFF_S[-2])
            self._seek()
        self._metrics.batch_seconds.labels(self.topic.name).observe(time.perf_counter() - started, exemplar(records[0]))

    async def quiesce(self, timeout_s: float) -> None:
        """Take no further batch and wait for the one that runs.

        Raises:
            TimeoutError: it did not finish; its records will be read again.
        """
        self._draining = True
        async with asyncio.timeout(timeout_s), self._busy:
            return

    def _assigned(self) -> set[TopicPartition]:
        return set(self.consumer.assignment()) if self.consumer is not None else set()

    def _halt(self, why: str) -> None:
        """Stop reading for good: the partitions stay paused and the service is unhealthy until it is restarted."""
        if self.progress.fatal is None:
            log.error("consumer_stopped", topic=self.topic.name, detail=why)
        self.progress.fatal = why
        self._seek()
        if self.consumer is not None:
            self.consumer.pause(*self.consumer.assignment())

    def _fresh(self, records: list[Record]) -> list[Record]:
        """The records from where this consumer should be; others were fetched before it went there."""
        if self.progress.fatal is not None:
            self._halt(self.progress.fatal)
            return []
        fresh = [record for record in records if record.offset >= self._expected.get(record.partition, 0)]
        if len(fresh) == len(records):
            self._stale = 0
            return [] if self._passed_over(records) else fresh
        self._stale += 1
        if self._stale > MAX_STALE_BATCHES:
            self._halt(
                f"{self.topic.name} gives offsets below the stored ones again and again: was the topic deleted and made"
                " anew? The stored offsets of this service must be reset by an operator."
            )
            return []
        self._seek()
        return []

    def _passed_over(self, records: Sequence[Record]) -> bool:
        """Whether records before these may be there and were not handed over; then this consumer goes back to look.

        Retention and markers of transactions leave gaps too: those are the same ones the second time.
        """
        if self.topic.compacted:
            return False
        first: dict[int, int] = {}
        for record in records:
            first.setdefault(record.partition, record.offset)
        ahead = {p: (at, to) for p, to in first.items() if (at := self._expected.get(p)) is not None and to > at}
        unseen = {partition: gap for partition, gap in ahead.items() if self._looked_back.get(partition) != gap}
        if not unseen:
            return False
        log.info("gap_looked_at_again", topic=self.topic.name, partitions=sorted(unseen))
        self._looked_back |= unseen
        self._seek()
        return True

    async def _settle(self, records: Sequence[Record]) -> None:
        """Process records, halving them until each error has one record to blame.

        Raises:
            Fenced: a partition has another owner.
            RetryLater: the infrastructure did not recover in a minute.
            InvariantBroken: the consumer must stop.
        """
        try:
            await self._with_retries(records, None)
        except (Fenced, RetryLater, InvariantBroken):
            raise
        except Exception as error:  # noqa: BLE001  # whatever a record provokes, its neighbours go on
            if len(records) == 1:
                log.error("record_unprocessable", topic=self.topic.name, offset=records[0].offset, **where(error))
                await self._with_retries(records, f"{type(error).__name__} while processing; see the service's log")
                return
            self._metrics.retries.labels(self.topic.name, "halved").inc()
            middle = len(records) // 2
            await self._settle(records[:middle])
            await self._settle(records[middle:])

    async def _with_retries(self, records: Sequence[Record], blame: str | None) -> None:
        started = time.monotonic()
        attempt = 0
        while True:
            try:
                await self._once(records, blame)
            except Fenced:
                raise
            except (*INFRASTRUCTURE, RetryLater, KafkaError) as error:
                self.progress.failure = str(error) if isinstance(error, AccessRefused) else type(error).__name__
                self._metrics.retries.labels(self.topic.name, type(error).__name__).inc()
                if time.monotonic() - started > LONGEST_RETRY_S:
                    raise RetryLater(f"gave up for now: {error!r}") from error
                log.warning("batch_retry", topic=self.topic.name, attempt=attempt, error=type(error).__name__)
                await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
                attempt += 1
            else:
                return

    async def _once(self, records: Sequence[Record], blame: str | None) -> None:
        passed = 0
        if blame is None:
            wanted = self._wanted(records)
            passed = len(records) - len(wanted)
            judged = await self._judge(wanted)
            valid = [one for one in judged if isinstance(one, Received)]
            refused = [one for one in judged if isinstance(one, Rejected)]
        else:
            valid, refused = [], [Rejected(record, Reason.UNPROCESSABLE, blame) for record in records]
        if any(record.offset < self._expected.get(record.partition, 0) for record in records):
            raise Fenced("done before: while it was tried or judged, a rebalance has found a place behind it")
        ends = {record.partition: record.offset + 1 for record in records}
        poison = await self._apply(valid, refused, ends)
        self._limit.add(len(records), poison)
        for record in records:
            gap = record.offset - self._expected.get(record.partition, record.offset)
            if gap > 1 and not self.topic.compacted:
                self._metrics.skipped_offsets.labels(self.topic.name).inc(gap)
            self._expected[record.partition] = record.offset + 1
        self._metrics.records.labels(self.topic.name, "processed").inc(len(records) - poison - passed)
        self._metrics.records.labels(self.topic.name, "skipped").inc(passed)
        self.progress.mark()

    def _wanted(self, records: Sequence[Record]) -> Sequence[Record]:
        """The records that this service does not pass over unread."""
        passes_over = self._passes_over
        return records if passes_over is None else [record for record in records if not passes_over(record)]

    async def _judge(self, records: Sequence[Record]) -> list[Judged[E]]:
        limit = self._kafka.max_record_bytes
        if sum(len(record.value or b"") for record in records) > LARGE_BATCH_BYTES:
            return await asyncio.to_thread(lambda: [decode(self.topic, r, max_bytes=limit) for r in records])
        return [decode(self.topic, record, max_bytes=limit) for record in records]

    def report(self) -> None:
        """Set the lag gauges, and notice whether this consumer stands still or has lost its group."""
        consumer = self.consumer
        if consumer is None:
            return
        self._waker.watch(consumer)
        lag = self._lag.report(consumer, self._expected, self._kafka.physical(self.topic.name))
        silent = silent_s(consumer) > SILENT_S  # out of its group, or cut off: what it calls lag is of long ago
        if lag == 0 and not silent:
            self.progress.moved_at = time.monotonic()
        self.progress.behind = lag > 0 or silent
        if lag > 0 and not self._busy.locked():
            self._look_back()

    def _look_back(self) -> None:
        """Lag, nothing at work, nothing comes: what was not handed over is waited for in vain."""
        now = time.monotonic()
        if min(self.progress.still_s, now - self._sought_at) > LOOK_BACK_S:
            self._sought_at = now
            self._seek()

    def count_refused(self, reasons: dict[tuple[str, Reason], int]) -> None:
        """Add refusals of a committed batch to the metrics."""
        for (topic, reason), number in reasons.items():
            self._metrics.dead_letters.labels(topic, reason.value).inc(number)
            self._metrics.records.labels(topic, "rejected").inc(number)
