"""The whole service on real Kafka and PostgreSQL."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from services.qc.app import MIGRATIONS, build
from services.qc.settings import QcSettings
from shared.bus.admin import create_topics
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import Outgoing, outgoing
from shared.db.migrate import migrate
from shared.events import Event, GoldResult, Label, Skill
from shared.runtime.service import Service
from shared.runtime.settings import KafkaSettings
from shared.topics import ANNOTATIONS, ESCALATIONS, GOLD_ANSWERS, LABELS, PROJECTS, QUALITY, Topic
from tests.integration.qc.test_handlers import crowd
from tests.support import events as make
from tests.support.probe import running, until
from tests.support.qc import recompute, stored_counts
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(90)
ITEMS = 120
GOLD = [make.annotation("gold-1", by=f"ann{n}", value=make.CLASSES[n % 3], gold=True) for n in range(6)]


def records(topic: Topic[Any], events: Sequence[Event]) -> list[Outgoing]:
    return [outgoing(topic, event, source="test") for event in events]


async def publish(kafka: KafkaSettings, *several: list[Outgoing]) -> None:
    async with Publisher(kafka) as publisher:
        for one in several:
            await publisher.publish(one)


def service(kafka: KafkaSettings, database: Database, **more: Any) -> Service:
    settings = QcSettings(
        kafka=kafka,
        database_url=database.url("qc"),
        database_allow_insecure=True,
        snapshot_check_s=0.2,
        quality_interval_s=0.5,
        gold_interval_s=0.5,
        **more,
    )
    return build(settings)


@pytest.fixture
async def stream(kafka_settings: KafkaSettings, database: Database) -> KafkaSettings:
    await create_topics(kafka_settings, partitions=3)
    await prepare(database)
    spec = [make.project_version(), make.project_pointer()]
    await publish(kafka_settings, records(PROJECTS, spec))
    return kafka_settings


async def prepare(database: Database) -> None:
    connection = await asyncpg.connect(database.url("qc"))
    await migrate(connection, "qc", MIGRATIONS)
    await connection.close()


async def values(database: Database, query: str) -> list[Any]:
    connection = await asyncpg.connect(database.url("qc"), server_settings={"search_path": "qc"})
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def events(kafka: KafkaSettings, topic: Topic[Any]) -> list[Any]:
    return [topic.event.validate_json(record.value or b"") for record in await read_all(kafka, topic.name)]


async def settled(database: Database, annotations: int) -> None:
    """Every annotation is stored and everything said is published."""

    async def done() -> bool:
        [stored] = await values(database, "SELECT count(*) FROM annotations")
        [waiting] = await values(database, "SELECT count(*) FROM outbox")
        [dirty] = await values(database, "SELECT count(*) FROM annotators WHERE dirty")
        return bool(stored == annotations and waiting == 0 and dirty == 0)

    await until(done, within_s=40)


async def same_counts(database: Database) -> bool:
    connection = await asyncpg.connect(database.url("qc"), server_settings={"search_path": "qc"})
    try:
        return await stored_counts(connection) == await recompute(connection, {})
    finally:
        await connection.close()


async def test_from_answers_to_labels_and_a_new_database_says_nothing_twice(
    stream: KafkaSettings, database: Database, second_database: Database
) -> None:
    said = crowd(ITEMS)
    good = records(ANNOTATIONS, [*said, *GOLD])
    poison = [
        Outgoing(ANNOTATIONS.name, b"sentiment/x", b"{", ()),
        *records(ANNOTATIONS, [make.annotation("bad", value="purple"), make.annotation("bad", project_id="nobody")]),
    ]
    async with running(service(stream, database)):
        await publish(stream, good[:200], poison, good[200:], good[:50])
        await publish(stream, records(GOLD_ANSWERS, [make.gold_answer()]))
        await settled(database, len(good))
        await until(lambda: _all_scored(database))
        await settled(database, len(good))
    labels = Counter(label.item_id for label in await events(stream, LABELS))
    assert labels == {f"i{n}": 1 for n in range(ITEMS)}
    assert len(await read_all(stream, ANNOTATIONS.dlq)) == 3
    quality = [event.measurement for event in await events(stream, QUALITY)]
    assert sorted(m.annotator_id for m in quality if isinstance(m, GoldResult)) == [f"ann{n}" for n in range(6)]
    assert any(isinstance(m, Skill) and m.speed is not None and m.confusion for m in quality)
    assert await same_counts(database)

    before = {topic: len(await read_all(stream, topic.name)) for topic in (LABELS, ESCALATIONS)}
    gold_before = sum(isinstance(m, GoldResult) for m in quality)
    await prepare(second_database)
    async with running(service(stream, second_database)):
        await settled(second_database, len(good))
    assert {topic: len(await read_all(stream, topic.name)) for topic in (LABELS, ESCALATIONS)} == before
    gold_after = [e.measurement for e in await events(stream, QUALITY) if isinstance(e.measurement, GoldResult)]
    assert len(gold_after) == gold_before
    assert await same_counts(second_database)
    counts = (
        "SELECT (annotator_id, truth, answered, source, answers, weight)::text FROM annotator_counts WHERE weight > 0"
    )
    assert sorted(await values(database, counts)) == sorted(await values(second_database, counts))


async def _all_scored(database: Database) -> bool:
    [pending] = await values(database, "SELECT count(*) FROM gold_results WHERE expected IS NULL")
    return bool(pending == 0)


async def test_two_replicas_make_each_label_once(stream: KafkaSettings, database: Database) -> None:
    said = crowd(ITEMS)
    async with running(service(stream, database, max_records=30)):
        await publish(stream, records(ANNOTATIONS, said[:150]))
        async with running(service(stream, database, max_records=30)):
            await publish(stream, records(ANNOTATIONS, said[150:]))
            await settled(database, len(said))
        await settled(database, len(said))
    labels = await events(stream, LABELS)
    assert Counter(label.item_id for label in labels) == {f"i{n}": 1 for n in range(ITEMS)}
    assert all(isinstance(label, Label) for label in labels)
    assert await same_counts(database)
