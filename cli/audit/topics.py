"""What the topics hold, into the ledger: each record judged by the same validator as the services use."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from hashlib import blake2b
from typing import Any

from aiokafka.errors import KafkaError

from cli.audit.ledger import Ledger
from cli.dlq.letters import REPLAY_OF, REPLAY_TO, Source
from shared.bus.deadletter import REASON, original
from shared.bus.reader import Gaps, Positions, open_reader
from shared.bus.records import Outgoing, Record, header, record_of
from shared.bus.validate import Rejected, decode
from shared.errors import RetryLater
from shared.events import Annotation, Event, Item, Label, content_hash
from shared.runtime.settings import KafkaSettings
from shared.topics import BY_NAME, TOPICS

EARLY, LATE, PENDING = 1, 0, -1
DLQ = ".dlq"
STREAMS = tuple(topic.name for topic in TOPICS if not topic.compacted)
NO_PLACE = -1
SILENT_S = 60.0
TOPICS_AT_ONCE = 6

UPSERT_LETTER = (
    "INSERT INTO letters VALUES (?, ?, ?, ?, ?, NULL, ?, ?, 0) ON CONFLICT DO UPDATE SET copies = copies + 1"
)


class Scan:
    """One pass over one topic, from where the last pass ended to the end that it has now.

    The end is the high watermark of a fetch: some brokers report a wrong one by ListOffsets.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self.topic = topic
        self.next: Positions = {}
        self.low: Positions = {}
        self.high: Positions = {}
        self._kafka = kafka
        self._gaps = Gaps(self.next)

    async def chunks(self) -> AsyncGenerator[list[Record]]:
        """The records in chunks of at most 2000.

        Raises:
            RetryLater: Kafka does not answer.
        """
        async with open_reader(self._kafka, self.topic, self.next) as consumer:
            ends: dict[Any, int] = {}
            silent_since = time.monotonic()
            try:
                while not await self._reached(consumer, ends):
                    fetched = await consumer.getmany(timeout_ms=100, max_records=2000)
                    if fetched:
                        silent_since = time.monotonic()
                    elif time.monotonic() - silent_since > SILENT_S:
                        raise RetryLater(f"{self.topic} gave nothing for {SILENT_S:.0f} s before its end")
                    for place in consumer.assignment():
                        end = consumer.highwater(place)
                        if end is not None:
                            ends.setdefault(place, end)
                    whole = self._gaps.without(fetched, consumer)
                    records = [record_of(raw, self._kafka.prefix) for raws in whole for raw in raws]
                    for record in records:
                        self.low.setdefault(record.partition, record.offset)
                    yield records
                for place in consumer.assignment():
                    self.next[place.partition] = await consumer.position(place)
                    self.high[place.partition] = max(ends[place], self.next[place.partition])
                    self.low.setdefault(place.partition, self.high[place.partition])
            except KafkaError as error:
                raise RetryLater(f"{self.topic} could not be read to its end: {error!r}") from error

    async def _reached(self, consumer: Any, ends: dict[Any, int]) -> bool:
        for place in consumer.assignment():
            if place not in ends or await consumer.position(place) < ends[place]:
                return False
        return True


class TopicReader:
    """Reads dead letters first, then the streams, twice: before and after the databases are read.

    Args:
        project: only this project's events; all where absent.
    """

    def __init__(self, ledger: Ledger, kafka: KafkaSettings, existing: Iterable[str], project: str | None) -> None:
        names = set(existing)
        self._ledger = ledger
        self._kafka = kafka
        self._project = project
        self._letters = [Scan(kafka, name) for name in sorted(names) if name.endswith(DLQ)]
        self._streams = [Scan(kafka, name) for name in STREAMS if name in names]
        self._at_once = asyncio.Semaphore(TOPICS_AT_ONCE)
        self._writing = asyncio.Lock()
        self.records = 0

    async def read(self, early: int) -> None:
        """One pass over everything.

        Raises:
            RetryLater: Kafka does not answer.
        """
        for scans in (self._letters, self._streams):
            try:
                async with asyncio.TaskGroup() as group:
                    for scan in scans:
                        group.create_task(self._pass(scan, early))
            except* RetryLater as errors:
                raise errors.exceptions[0] from None
        for scan in self._streams:
            rows = [(scan.topic, part, scan.low[part], high, high) for part, high in scan.high.items()]
            self._ledger.many(
                "INSERT INTO ends VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET high = excluded.high", rows
            )

    async def _pass(self, scan: Scan, early: int) -> None:
        async with self._at_once, aclosing(scan.chunks()) as chunks:
            async for records in chunks:
                self.records += len(records)
                async with self._writing:
                    await asyncio.to_thread(self.take, records, early)

    def take(self, records: Sequence[Record], early: int) -> None:
        """Judge records and note them."""
        found = Noted(self._project, early, lettered(self._ledger, records))
        for record in records:
            found.note(record, max_bytes=self._kafka.max_record_bytes)
        found.write(self._ledger)

    def take_pending(self, records: Sequence[Outgoing]) -> None:
        """Note what a service's outbox still holds."""
        found = Noted(self._project, PENDING)
        for place, record in enumerate(records):
            unsent = Record(record.topic, NO_PLACE, -1 - place, record.key, record.value, record.headers, 0)
            found.note(unsent, max_bytes=2**31)
        found.write(self._ledger)


def lettered(ledger: Ledger, records: Sequence[Record]) -> frozenset[Source]:
    """The places of those records that have a dead letter."""
    ranges: dict[tuple[str, int], tuple[int, int]] = {}
    for record in records:
        key = (record.topic, record.partition)
        low, high = ranges.get(key, (record.offset, record.offset))
        ranges[key] = min(low, record.offset), max(high, record.offset)
    return frozenset(
        (*key, pos)
        for key, limits in ranges.items()
        for (pos,) in ledger.rows(
            "SELECT pos FROM letters WHERE topic = ? AND part = ? AND pos BETWEEN ? AND ?", (*key, *limits)
        )
    )


class Noted:
    """Rows of one chunk, by table.

    Args:
        project: only its events; all where absent.
        early: when the chunk was read, as the ledger says it.
        lettered: places whose bytes are compared with their dead letters.
    """

    def __init__(self, project: str | None, early: int, lettered: frozenset[Source] = frozenset()) -> None:
        self._project = project
        self._early = early
        self._lettered = lettered
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._letters: list[tuple[Any, ...]] = []
        self._replays: list[tuple[Any, ...]] = []
        self._digests: list[tuple[Any, ...]] = []

    def note(self, record: Record, *, max_bytes: int) -> None:
        """Note one record of a stream or of a dead letter topic."""
        if record.topic.endswith(DLQ):
            self._letter(record)
            return
        topic = BY_NAME.get(record.topic)
        if topic is None:
            return
        judged = decode(topic, record, max_bytes=max_bytes)
        if isinstance(judged, Rejected):
            if self._wanted(record.key):
                self._add("refused", record.topic, record.partition, record.offset, judged.reason.value)
        elif self._project is None or getattr(judged.event, "project_id", None) == self._project:
            self._event(judged.event, record)
        place = (record.topic, record.partition, record.offset)
        if place in self._lettered:
            self._digests.append((_digest(record.value), *place))

    def _wanted(self, key: bytes | None) -> bool:
        return self._project is None or (key or b"").startswith(self._project.encode() + b"/")

    def _add(self, table: str, *row: Any) -> None:
        self._rows.setdefault(table, []).append(row)

    def _letter(self, record: Record) -> None:
        replayed = header(record.headers, REPLAY_OF)
        if replayed is not None:
            topic, part, pos = replayed.decode("utf-8", "replace").rsplit("/", 2)
            back = header(record.headers, REPLAY_TO) in (None, topic.encode())
            self._replays.append((int(back), topic, int(part), int(pos)))
            return
        try:
            source = original(record)
        except ValueError:
            return
        if self._wanted(record.key):
            reason = (header(record.headers, REASON) or b"").decode("utf-8", "replace")
            place = (source.topic, source.partition, source.offset)
            self._letters.append((*place, reason, _digest(record.value), self._early, 1))

    def _event(self, event: Event, record: Record) -> None:
        where = (record.partition, record.offset)
        match event:
            case Item():
                row = (event.project_id, event.item_id, *where, content_hash(event.content), self._early)
                self._add("items", *row)
            case Annotation():
                self._add(
                    "annotations", event.annotation_id.bytes, event.project_id, event.item_id, event.round,
                    event.outcome.value, event.annotator_id, event.role.value, event.gold, event.late,
                    _digest(record.value), *where, self._early,
                )  # fmt: skip
            case Label():
                proposal = event.evidence.proposal
                model = (proposal.model_version, proposal.generation) if proposal is not None else (None, None)
                self._add(
                    "labels", event.project_id, event.item_id, event.version, event.path.value, event.opinions, *model,
                    _digest(record.value), *where, self._early,
                )  # fmt: skip
            case _:
                pass

    def write(self, ledger: Ledger) -> None:
        """Into the ledger."""
        for table, rows in self._rows.items():
            ledger.add(table, rows)
        ledger.many(UPSERT_LETTER, self._letters)
        ledger.many("UPDATE letters SET replayed = ? WHERE topic = ? AND part = ? AND pos = ?", self._replays)
        ledger.many("UPDATE letters SET source = ? WHERE topic = ? AND part = ? AND pos = ?", self._digests)


def _digest(value: bytes | None) -> bytes:
    """Of a value; empty for null."""
    return b"" if value is None else blake2b(value, digest_size=16).digest()
