"""`labelstream labels split` on real Kafka and PostgreSQL, with qc at work."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services import assignment
from services.qc.app import MIGRATIONS as QC_SQL
from services.qc.app import build
from services.qc.settings import QcSettings
from shared.bus.admin import create_topics
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import outgoing
from shared.db.migrate import migrate
from shared.events import Relabel, RelabelCause
from shared.runtime.settings import KafkaSettings
from shared.topics import ANNOTATIONS, GOLD_ANSWERS, LABELS, PROJECTS, RELABELS, Topic
from tests.support import events as make
from tests.support.probe import running, until
from tests.support.qc_domain import policy
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(120)
SQL = {"assignment": Path(assignment.__file__).parent / "migrations", "qc": QC_SQL}
RULES = policy(1, 1)


async def publish(kafka: KafkaSettings, topic: Topic[Any], *events: Any) -> None:
    async with Publisher(kafka) as publisher:
        await publisher.publish([outgoing(topic, event, source="test") for event in events])


async def run(*words: str) -> tuple[int, Any]:
    """The exit code and the document, as of a person at a terminal."""
    command = (sys.executable, "-m", "cli", "labels", "split", *words, "--project", make.PROJECT, "--json")
    ran = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    out, _ = await ran.communicate()
    return ran.returncode or 0, json.loads(out or b"null")


@pytest.fixture
async def kafka(kafka_settings: KafkaSettings, database: Database, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """A project in the topic, empty schemas, and the environment that a person would have."""
    await create_topics(kafka_settings, partitions=1)
    for service, folder in SQL.items():
        connection = await asyncpg.connect(database.url(service))
        await migrate(connection, service, folder)
        await connection.close()
    await publish(kafka_settings, PROJECTS, make.project_version(), make.project_pointer())
    await publish(kafka_settings, GOLD_ANSWERS, make.gold_answer(value="neutral"), make.gold_answer("g2"))
    for service in ("assignment", "qc", "monitor"):
        monkeypatch.setenv(f"LABELSTREAM_{service.upper()}_DATABASE_URL", database.url(service))
        monkeypatch.setenv(f"LABELSTREAM_{service.upper()}_DATABASE_ALLOW_INSECURE", "true")
    for name, value in {
        "BOOTSTRAP": kafka_settings.bootstrap, "PREFIX": kafka_settings.prefix, "SECURITY_PROTOCOL": "PLAINTEXT",
        "ALLOW_INSECURE": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"LABELSTREAM_KAFKA_{name}", value)
    return kafka_settings


async def test_a_split_is_counted_first_and_then_sends_the_labels_back(
    kafka: KafkaSettings, database: Database
) -> None:
    settings = QcSettings(
        kafka=kafka, database_url=database.url("qc"), database_allow_insecure=True, review_interval_s=0.2
    )
    said = [make.annotation(f"i{n}", value="neutral" if n < 3 else "positive", policy=RULES) for n in range(5)]

    async def topic(name: Topic[Any]) -> list[Any]:
        return [name.event.validate_json(record.value or b"") for record in await read_all(kafka, name.name)]

    async def has(name: Topic[Any], number: int) -> bool:
        return len(await topic(name)) == number

    async with running(build(settings)):
        await publish(kafka, ANNOTATIONS, *said)
        await until(lambda: has(LABELS, 5))
        _, preview = await run("neutral", "fair", "mixed", "--preview")
        assert preview["version"] is None
        assert (preview["labels_to_give_again"], preview["answers_that_count_no_more"]) == (3, 3)
        assert (preview["days_within_the_budget"], preview["gold_answers_to_import_again"]) == (1, 1)
        assert await has(RELABELS, 0)
        _, applied = await run("neutral", "fair", "mixed")
        assert applied["version"] == 2
        await until(lambda: has(RELABELS, 3))
    requests: list[Relabel] = await topic(RELABELS)
    assert {one.item_id for one in requests} == {"i0", "i1", "i2"}
    assert {one.cause for one in requests} == {RelabelCause.SCHEMA}
