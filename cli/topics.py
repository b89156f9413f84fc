"""`labelstream topics create | list | lag | acls`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from rich.console import Console

from cli import acls
from cli.output import JsonFlag, Output, table
from cli.settings import kafka_settings
from shared.bus.admin import (
    Outcome,
    create_topics,
    describe_topics,
    differences,
    fix_topics,
    wanted_topics,
)
from shared.bus.client import make_admin
from shared.bus.reader import open_reader
from shared.runtime.settings import KafkaSettings
from shared.topics import ERASURES, PRELABEL, PROCESSES, TOPICS, TRAINER, Topic

app = typer.Typer(no_args_is_help=True)
app.command("acls")(acls.command)

DAY_MS = 86_400_000
COORDINATOR_WITHIN_S = 20.0
COORDINATOR_RETRY_S = 0.2
END_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Lag:
    """Records of one partition that a service has not committed yet; `committed` is None before its first commit."""

    service: str
    topic: str
    partition: int
    committed: int | None
    end: int

    @property
    def records(self) -> int:
        return self.end - (self.committed or 0)


@app.command("create")
def create(
    *,
    partitions: Annotated[int, typer.Option(min=1, help="Of every topic that consumer groups read.")] = 4,
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition; 3 in production.")] = 1,
    fix: Annotated[
        bool, typer.Option("--fix", help="Also give existing topics the retention and compaction they should have.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Create whatever topic is missing, and say how existing ones differ; partitions and copies are never changed."""
    out = Output(as_json=as_json)
    with out.working("creating topics"):
        outcome, wrong, fixed = asyncio.run(_create(kafka_settings(), partitions, replication, fix=fix))
    document = {
        "created": list(outcome.created),
        "existing": list(outcome.existing),
        "different": {name: {"found": found, "wanted": want} for name, (found, want) in outcome.different.items()},
        "settings": {
            name: {key: {"found": found, "wanted": want} for key, (found, want) in keys.items()}
            for name, keys in wrong.items()
        },
        "fixed": fixed,
    }

    def render(to: Console) -> None:
        to.print(f"{len(outcome.created)} created, {len(outcome.existing)} existed", markup=False)
        for name, (found, want) in outcome.different.items():
            to.print(f"{name} has {found} partitions, not {want}; it was left as it is", markup=False)
        for name, keys in wrong.items():
            for key, (before, after) in keys.items():
                verb = "was" if name in fixed else "is"
                to.print(f"{name}: {key} {verb} {before or 'unset'}, it should be {after}", markup=False)
        if wrong and not fixed:
            to.print("`labelstream topics create --fix` sets them", markup=False)
        elif fixed:
            to.print(f"{len(fixed)} put right", markup=False)

    out.result(document, render)


async def _create(
    kafka: KafkaSettings, partitions: int, replication: int, *, fix: bool
) -> tuple[Outcome, dict[str, dict[str, tuple[str, str]]], list[str]]:
    """What was created, which settings of existing topics were not as they should be, and which of those were fixed."""
    outcome = await create_topics(kafka, partitions=partitions, replication=replication)
    wanted = {one.name: one for one in wanted_topics(partitions=partitions, max_record_bytes=kafka.max_record_bytes)}
    states = await describe_topics(kafka)
    found = {name: differences(states[name], one) for name, one in wanted.items() if name in states}
    fixed = await fix_topics(kafka, wanted) if fix else []
    wrong = {kafka.physical(name): keys for name, keys in found.items() if keys}
    return outcome, wrong, [kafka.physical(name) for name in fixed]


@app.command("list")
def list_topics(as_json: JsonFlag = False) -> None:
    """List the topics, their partitions, who writes and who reads them."""
    out = Output(as_json=as_json)
    kafka = kafka_settings()
    with out.working("asking the broker"):
        found = asyncio.run(partitions_of(kafka))
    rows = [_row(topic, kafka, found) for topic in TOPICS]
    headings = ("topic", "partitions", "dlq", "keeps", "writers", "readers")

    def render(to: Console) -> None:
        to.print(table(headings, [[row[heading] for heading in headings] for row in rows]))
        missing = [row["topic"] for row in rows if row["partitions"] is None]
        if missing:
            to.print(f"\nmissing: {', '.join(missing)}; run `labelstream topics create`", markup=False)

    out.result({"topics": rows}, render)


def _row(topic: Topic[Any], kafka: KafkaSettings, found: dict[str, int]) -> dict[str, Any]:
    return {
        "topic": kafka.physical(topic.name),
        "partitions": found.get(kafka.physical(topic.name)),
        "dlq": topic.dlq_owner,
        "keeps": "latest per key" if topic.compacted else f"{topic.retention_ms // DAY_MS} days",
        "writers": ", ".join(topic.writers),
        "readers": ", ".join(topic.readers),
        "about": topic.about,
    }


async def partitions_of(kafka: KafkaSettings) -> dict[str, int]:
    """Physical topic name to its number of partitions."""
    admin = make_admin(kafka)
    await admin.start()
    try:
        described: list[dict[str, Any]] = await admin.describe_topics()
    finally:
        await admin.close()
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


@app.command("lag")
def lag(as_json: JsonFlag = False) -> None:
    """Show how far every service is behind, by what it committed to Kafka; exit code 0 however far that is."""
    out = Output(as_json=as_json)
    with out.working("reading offsets"):
        found = asyncio.run(lags(kafka_settings()))
    rows = _by_reader(found)
    document = {
        "lag": sum(one.records for one in found),
        "readers": rows,
        "partitions": [
            {"service": one.service, "topic": one.topic, "partition": one.partition}
            | {"committed": one.committed, "end": one.end, "lag": one.records}
            for one in found
        ],
    }
    headings = ("service", "topic", "lag", "records")
    out.result(document, lambda to: to.print(table(headings, [[row[name] for name in headings] for row in rows])))


def _by_reader(found: Sequence[Lag]) -> list[dict[str, Any]]:
    readers = sorted({(one.service, one.topic) for one in found})
    return [
        {
            "service": service,
            "topic": topic,
            "lag": sum(one.records for one in found if (one.service, one.topic) == (service, topic)),
            "records": sum(one.end for one in found if (one.service, one.topic) == (service, topic)),
        }
        for service, topic in readers
    ]


async def lags(kafka: KafkaSettings) -> list[Lag]:
    """The lag of every service on every partition that its group reads; reference topics have no group.

    Erasures are the exception: each service with a database obeys them once, in order. The trainer is there only where
    it has ever run: a deployment can do without.
    """
    found: list[Lag] = []
    admin = make_admin(kafka)
    await admin.start()
    try:
        for topic in TOPICS:
            if topic.compacted and topic is not ERASURES:
                continue
            ends = await end_offsets(kafka, topic.name)
            for service in PROCESSES:
                if service in topic.readers and not (topic.compacted and service in (PRELABEL, TRAINER)):
                    committed = await _committed(admin, kafka, service, topic, sorted(ends))
                    found += [Lag(service, topic.name, part, committed[part], end) for part, end in ends.items()]
    finally:
        await admin.close()
    ran = any(one.service == TRAINER and one.committed is not None for one in found)
    return found if ran else [one for one in found if one.service != TRAINER]


async def _committed(
    admin: AIOKafkaAdminClient, kafka: KafkaSettings, service: str, topic: Topic[Any], partitions: Sequence[int]
) -> dict[int, int | None]:
    group = kafka.physical(f"{service}.{topic.name}")
    places = [TopicPartition(kafka.physical(topic.name), partition) for partition in partitions]
    async with asyncio.timeout(COORDINATOR_WITHIN_S):
        while True:
            try:
                offsets = await admin.list_consumer_group_offsets(group, partitions=places)
            except GroupCoordinatorNotAvailableError:  # a cluster makes its topic of offsets when first asked
                await asyncio.sleep(COORDINATOR_RETRY_S)
            else:
                break
    return {
        place.partition: offsets[place].offset if place in offsets and offsets[place].offset >= 0 else None
        for place in places
    }


async def end_offsets(kafka: KafkaSettings, topic: str) -> dict[int, int]:
    """Partition to the offset after its last record, by the high watermark of a fetch.

    Raises:
        TimeoutError: a partition did not answer.
        RetryLater: there is no such topic.
    """
    async with open_reader(kafka, topic) as consumer, asyncio.timeout(END_WITHIN_S):
        while True:
            await consumer.getmany(timeout_ms=50, max_records=1)
            ends = {place.partition: consumer.highwater(place) for place in consumer.assignment()}
            if all(end is not None for end in ends.values()):
                return {partition: int(end) for partition, end in sorted(ends.items()) if end is not None}
