"""monitor as a service on real Kafka and PostgreSQL."""

from typing import Any

import asyncpg
import pytest

from services.monitor.app import MIGRATIONS, build
from services.monitor.settings import MonitorSettings
from shared.bus.admin import create_topics
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import Outgoing, outgoing
from shared.clock import utc_now
from shared.db.migrate import migrate
from shared.events import Evidence, Label, Path
from shared.runtime.service import Service
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS, LABELS, PREDICTIONS, PROJECTS, RELABELS, ROUTES, Topic
from tests.support import events as make
from tests.support.probe import running, until
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(90)


def monitor(kafka: KafkaSettings, database: Database) -> Service:
    return build(
        MonitorSettings(
            kafka=kafka, database_url=database.url("monitor"), database_allow_insecure=True, snapshot_interval_s=0.1
        )
    )


async def prepare(database: Database) -> None:
    connection = await asyncpg.connect(database.url("monitor"))
    await migrate(connection, "monitor", MIGRATIONS)
    await connection.close()


def out(topic: Topic[Any], *events: Any) -> list[Outgoing]:
    return [outgoing(topic, event, source="test") for event in events]


def doubtful(item_id: str) -> Label:
    """One person's `positive` beside an unsure model's `negative`."""
    evidence = Evidence(proposal=make.proposal("negative", confidence=0.5))
    return make.label(item_id, path=Path.SINGLE, posterior=None, evidence=evidence, labelled_at=utc_now())


async def test_the_flow_in_metrics_and_a_rebuilt_database(kafka_settings: KafkaSettings, database: Database) -> None:
    """A new database counts the same from the topics, and asks for nothing again."""
    await create_topics(kafka_settings, partitions=2)
    async with Publisher(kafka_settings) as publisher:
        await publisher.publish([
            *out(PROJECTS, make.project_version(), make.project_pointer()),
            *out(ITEMS, make.item("i1"), make.item("i2"), make.item("i1"), make.item("i3")),
            *out(PREDICTIONS, make.prediction("i1"), make.prediction("i2"), make.prediction("i1")),
            *out(ROUTES, make.route("i2")),
            *out(LABELS, make.auto_label("i1"), doubtful("i2")),
            Outgoing(LABELS.name, b"sentiment/i9", b"{", ()),
        ])  # fmt: skip
    restored = Database(f"{database.name}_restored", database.server)
    await database.server.create_database(restored.name)
    try:
        for place in (database, restored):
            await prepare(place)
            async with running(monitor(kafka_settings, place)) as http:

                async def shows_everything() -> bool:
                    text = (await http.get("/metrics")).text
                    return all(line in text for line in SHOWN)

                await until(shows_everything)

                async def asked() -> bool:
                    return bool(await read_all(kafka_settings, RELABELS.name))

                await until(asked)
    finally:
        await database.server.drop_database(restored.name)
    assert [record.key for record in await read_all(kafka_settings, RELABELS.name)] == [b"sentiment/i2"]
    letters = await read_all(kafka_settings, LABELS.dlq)
    assert {record.value for record in letters} == {b"{"}


SHOWN = (
    'labelstream_items{project="sentiment",state="labelled"} 2.0',
    'labelstream_items{project="sentiment",state="awaiting_prediction"} 1.0',
    'labelstream_labels_total{path="auto",project="sentiment"} 1.0',
    'labelstream_labels_total{path="single",project="sentiment"} 1.0',
    'labelstream_predictions_total{outcome="proposed",project="sentiment"} 2.0',
    'labelstream_relabels_total{cause="disagreement",project="sentiment"} 1.0',
    'labelstream_relabel_budget_remaining{project="sentiment"} 99.0',
    'labelstream_dead_letters_total{reason="bad_json",topic="labels.v1"} 1.0',
)
