"""Reads one source: its records become items and predictions, or dead letters; then their offsets are committed."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from services.prelabel.domain.mapping import Mapper
from services.prelabel.domain.rate import TokenBucket
from services.prelabel.domain.records import SourceRecord
from services.prelabel.jobs.clusters import create_dead_letter_topic, make_source_consumer, source_cluster
from services.prelabel.metrics import Metrics
from services.prelabel.settings import PrelabelSettings
from shared.bus.access import access_of
from shared.bus.deadletter import dead_letter
from shared.bus.flow import PoisonLimit
from shared.bus.publisher import Publisher
from shared.bus.records import Outgoing, Record, outgoing, record_of
from shared.bus.references import Erasures
from shared.errors import PoisonMessage, Reason
from shared.events import ProjectSpec, Source
from shared.topics import ITEMS, PREDICTIONS, PRELABEL

log = structlog.get_logger(__name__)

POLL_MS = 500
LONGEST_NAP_S = 1.0
CALL_TIMEOUT_S = 30.0
FINE = frozenset({"mapped", "sampled_out", "erased"})
LOST_PARTITION = (CommitFailedError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError)


@dataclass(frozen=True, slots=True)
class Made:
    """What a batch of source records became."""

    outputs: list[Outgoing]
    outcomes: Counter[str]


def make_outputs(mapper: Mapper, erasures: Erasures, records: Sequence[Record], *, max_bytes: int) -> Made:
    """Map records in order: items before their predictions, dead letters byte for byte.

    Args:
        mapper: of the source.
        erasures: an item that is among them is passed over.
        records: as read.
        max_bytes: the largest value that our topics take; of a larger record the dead letter says only where it is.
    """
    outputs: list[Outgoing] = []
    outcomes: Counter[str] = Counter()
    for record in records:
        try:
            made = _map(mapper, erasures, record, max_bytes)
        except PoisonMessage as error:
            kept = record._replace(value=None) if len(record.value or b"") > max_bytes else record
            outcomes[error.reason.value] += 1
            outputs.append(dead_letter(kept, error.reason, error.detail, service=PRELABEL))
        else:
            outcomes["erased" if made is None else "mapped" if made else "sampled_out"] += 1
            outputs += made or ()
    return Made(outputs, outcomes)


def _map(mapper: Mapper, erasures: Erasures, record: Record, max_bytes: int) -> list[Outgoing] | None:
    """The records to publish; None where the item is erased."""
    if len(record.value or b"") > max_bytes:
        raise PoisonMessage(
            Reason.TOO_LARGE,
            f"the value has {len(record.value or b'')} bytes, the limit is {max_bytes}; it stays in the source topic",
        )
    mapped = mapper.map(
        SourceRecord(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=record.headers,
            timestamp_ms=record.timestamp_ms,
        )
    )
    about = mapped.item or mapped.prediction
    if about is not None and erasures.has_item(about.project_id, about.item_id):
        return None
    made = []
    if mapped.item is not None:
        made.append(outgoing(ITEMS, mapped.item, source=PRELABEL, cause=record))
    if mapped.prediction is not None:
        made.append(outgoing(PREDICTIONS, mapped.prediction, source=PRELABEL, cause=record))
    if any(len(one.value or b"") > max_bytes for one in made):
        raise PoisonMessage(Reason.TOO_LARGE, f"the event made of it is larger than {max_bytes} bytes; map less")
    return made


class SourceReader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One source of one project, as this replica reads it.

    The rate limit is the project's for the whole group: a replica takes the share of its partitions.
    """

    def __init__(
        self,
        spec: ProjectSpec,
        source: Source,
        publisher: Publisher,
        *,
        erasures: Erasures,
        settings: PrelabelSettings,
        metrics: Metrics,
    ) -> None:
        self._spec = spec
        self._source = source
        self._erasures = erasures
        self._publisher = publisher
        self._settings = settings
        self._metrics = metrics
        self._mapper = Mapper(spec, source)
        self._consumer: AIOKafkaConsumer = make_source_consumer(settings, spec.project, source)
        self._placed: dict[TopicPartition, int] = {}
        self._limit = PoisonLimit(settings.dlq_limit_records, settings.dlq_limit_ratio)
        rate = source.max_per_second
        self._bucket = TokenBucket(rate, time.monotonic()) if rate is not None else None

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            AccessRefused: the source's cluster does not let us in, or lacks us a right; says what to check.
            RetryLater, KafkaError, TimeoutError: a broker does not answer; start a new reader.
            InvariantBroken: nearly everything is unmappable; the mapping or the topic is the wrong one.
        """
        consumer = self._consumer
        consumer.subscribe([self._source.topic], listener=self)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await create_dead_letter_topic(self._settings.kafka, self._source.topic)
                await self._connect()
            log.info("source_started", project=self._spec.project, source=self._source.name, topic=self._source.topic)
            while True:
                await self._place()
                await self._step()
        finally:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await consumer.stop()

    async def _connect(self) -> None:
        try:
            await self._consumer.start()
        except KafkaError as error:
            access_of(source_cluster(self._settings, self._source)).check(error)
            raise

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Forget where we were: the group knows."""
        for place in revoked:
            self._placed.pop(place, None)

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """New partitions are placed before anything of them is taken."""

    async def _place(self) -> None:
        """Go to the committed offset of each new partition; where there is none, to the source's start, and commit it.

        Raises:
            TimeoutError: the cluster does not answer.
        """
        consumer = self._consumer
        new = [place for place in consumer.assignment() if place not in self._placed]
        if not new:
            return
        async with asyncio.timeout(CALL_TIMEOUT_S):
            committed = {place: await consumer.committed(place) for place in new}
            fresh = [place for place in new if committed[place] is None]
            starts = await self._starts(fresh) if fresh else {}
        for place in new:
            offset = starts[place] if place in starts else committed[place]
            try:
                consumer.seek(place, offset)
            except IllegalStateError:
                continue
            self._placed[place] = offset
        await self._commit({place: self._placed[place] for place in starts if place in self._placed})

    async def _starts(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        consumer, start = self._consumer, self._source.start
        if start == "earliest":
            earliest: dict[TopicPartition, int] = await consumer.beginning_offsets(places)
            return earliest
        ends = await self._ends(places)
        if start == "latest":
            return ends
        found = await consumer.offsets_for_times(dict.fromkeys(places, int(start.timestamp() * 1000)))
        return {place: found[place].offset if found.get(place) else ends[place] for place in places}

    async def _ends(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Where the topic ends: the high watermark of a fetch, since some brokers list a wrong end."""
        consumer = self._consumer
        listed: dict[TopicPartition, int] = await consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, listed[place])
        while any(consumer.highwater(place) is None for place in places):
            await consumer.getmany(*places, timeout_ms=POLL_MS, max_records=1)
        return {place: max(listed[place], consumer.highwater(place)) for place in places}

    async def _step(self) -> None:
        room = self._room()
        if room == 0:
            await asyncio.sleep(min(LONGEST_NAP_S, self._bucket.wait_s() if self._bucket else 0.0))
            return
        fetched = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=room)
        raws = {place: found for place, found in fetched.items() if place in self._placed and found}
        if raws:
            await self._take(raws)
        self._report()

    def _room(self) -> int:
        """How many records may be taken now."""
        if self._bucket is None or self._source.max_per_second is None:
            return self._settings.max_records
        partitions = self._consumer.partitions_for_topic(self._source.topic) or {0}
        share = max(1, len(self._placed)) / max(1, len(partitions), len(self._placed))
        now = time.monotonic()
        self._bucket.change(self._source.max_per_second * share, now)
        return min(self._settings.max_records, self._bucket.available(now))

    async def _take(self, raws: Mapping[TopicPartition, Sequence[Any]]) -> None:
        records = [record_of(raw, "") for found in raws.values() for raw in found]
        limit = self._settings.kafka.max_record_bytes
        made = await asyncio.to_thread(make_outputs, self._mapper, self._erasures, records, max_bytes=limit)
        poison = sum(n for outcome, n in made.outcomes.items() if outcome not in FINE)
        self._limit.check(self._source.topic, len(records), poison)
        await self._publisher.publish(made.outputs)
        await self._commit({place: found[-1].offset + 1 for place, found in raws.items()})
        self._limit.add(len(records), poison)
        if self._bucket is not None:
            self._bucket.spend(len(records))
        for outcome, count in made.outcomes.items():
            self._metrics.source_records.labels(self._spec.project, self._source.name, outcome).inc(count)

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Tell the source's cluster. A partition lost meanwhile is read again by its new owner, to no other effect."""
        if not offsets:
            return
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._consumer.commit({place: OffsetAndMetadata(n, "") for place, n in offsets.items()})
        except LOST_PARTITION as error:
            log.info("source_commit_refused", source=self._source.name, error=type(error).__name__)
            for place in offsets:
                self._placed.pop(place, None)
            return
        self._placed.update({place: n for place, n in offsets.items() if place in self._placed})

    def _report(self) -> None:
        lag = 0
        for place, done in self._placed.items():
            end = self._consumer.highwater(place) if place in self._consumer.assignment() else None
            lag += max(0, end - done) if end is not None else 0
        self._metrics.source_lag.labels(self._spec.project, self._source.name).set(lag)
