"""The audit on real Kafka and PostgreSQL: qc and monitor run, assignment's part is written by hand."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from cli.audit import Report, audit
from services import assignment
from services.monitor.app import MIGRATIONS as MONITOR_SQL
from services.monitor.app import build as build_monitor
from services.monitor.settings import MonitorSettings
from services.qc.app import MIGRATIONS as QC_SQL
from services.qc.app import build as build_qc
from services.qc.settings import QcSettings
from shared.bus.admin import create_topics
from shared.bus.deadletter import dead_letter
from shared.bus.publisher import Publisher
from shared.bus.records import Outgoing, Record, outgoing
from shared.db.migrate import migrate
from shared.db.store import add_outbox
from shared.errors import Reason
from shared.events import Annotation, Overlap, content_hash, derived_id
from shared.runtime.settings import KafkaSettings
from shared.topics import ANNOTATIONS, ITEMS, LABELS, MODELS, PROJECTS, Topic
from tests.support import events as make
from tests.support.probe import running, until
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(90)

P = make.PROJECT
HASH = content_hash(make.item().content)
SQL = {"assignment": Path(assignment.__file__).parent / "migrations", "qc": QC_SQL, "monitor": MONITOR_SQL}
POLICY = make.policy(overlap=Overlap(min=2, max=2))


def answer(item: str, who: str) -> Annotation:
    kind = derived_id(Annotation.ce_type, P, item, who, "item")
    return make.annotation(item, by=who, annotation_id=kind, policy=POLICY)


ANSWERS = (answer("i2", "a"), answer("i2", "b"))


def out(topic: Topic[Any], *events: Any) -> list[Outgoing]:
    return [outgoing(topic, event, source="test") for event in events]


def letter(offset: int, key: bytes, value: bytes, reason: Reason) -> Outgoing:
    return dead_letter(Record(ITEMS.name, 0, offset, key, value, (), 0), reason, "", service="assignment")


class Deployment:
    """Topics and databases of one test."""

    def __init__(self, kafka: KafkaSettings, database: Database) -> None:
        self.kafka = kafka
        self.database = database
        self.urls = {service: database.url(service) for service in SQL}

    async def publish(self, *records: Outgoing) -> None:
        async with Publisher(self.kafka) as publisher:
            await publisher.publish(list(records))

    async def sql(self, service: str, statement: str, *parameters: Any) -> None:
        async with self.connected(service) as connection:
            await connection.execute(statement, *parameters)

    @asynccontextmanager
    async def connected(self, service: str) -> AsyncGenerator[Any]:
        connection = await asyncpg.connect(self.urls[service], server_settings={"search_path": service})
        try:
            yield connection
        finally:
            await connection.close()

    async def is_read(self) -> bool:
        """Whether qc has labelled i2, and qc and monitor have read both labels."""
        query = "SELECT sum(next_offset) FROM consumer_offsets WHERE topic IN ('labels.v1', 'items.v1')"
        async with self.connected("qc") as qc, self.connected("monitor") as monitor:
            return (await qc.fetchval(query), await monitor.fetchval(query)) == (2, 2 + 7)

    async def audit(self, *, at_rest: bool = False, submitted: tuple[UUID, ...] = ()) -> Report:
        return await audit(self.kafka, self.urls, at_rest=at_rest, submitted=submitted)

    @asynccontextmanager
    async def services(self) -> AsyncGenerator[None]:
        qc = build_qc(
            QcSettings(
                kafka=self.kafka, database_url=self.urls["qc"], database_allow_insecure=True, quality_interval_s=99
            )
        )
        monitor = build_monitor(
            MonitorSettings(kafka=self.kafka, database_url=self.urls["monitor"], database_allow_insecure=True)
        )
        async with running(qc), running(monitor):
            yield


@pytest.fixture
async def deployment(kafka_settings: KafkaSettings, database: Database) -> Deployment:
    """i1 labelled by the model and sent twice, i2 by two people, i3 queued, i4 not processed yet, two dead letters."""
    deployed = Deployment(kafka_settings, database)
    await create_topics(kafka_settings, partitions=1)
    for service, folder in SQL.items():
        connection = await asyncpg.connect(deployed.urls[service])
        await migrate(connection, service, folder)
        await connection.close()
    spec = make.project_spec(policy=POLICY)
    await deployed.publish(
        *out(PROJECTS, make.project_version(spec=spec), make.project_pointer()),
        *out(MODELS, make.model_version(), make.model_pointer()),
    )
    conflict = outgoing(ITEMS, make.item("i1", text="something else"), source="test")
    poison = Outgoing(ITEMS.name, b"sentiment/x", b"{", ())
    await deployed.publish(
        *out(ITEMS, make.item("i1"), make.item("i2"), make.item("i1"), make.item("i3")), poison, conflict,
        *out(ITEMS, make.item("i4")), *out(LABELS, make.auto_label("i1")), *out(ANNOTATIONS, *ANSWERS),
        letter(4, b"sentiment/x", b"{", Reason.BAD_JSON),
        letter(5, conflict.key or b"", conflict.value or b"", Reason.ID_CONFLICT),
    )  # fmt: skip
    async with deployed.services():
        await until(deployed.is_read)
    await fill_assignment(deployed)
    return deployed


async def fill_assignment(deployed: Deployment) -> None:
    """What assignment's database would hold."""
    await deployed.sql(
        "assignment",
        "INSERT INTO items (project_id, item_id, standing, round, ending, label_version, content_hash, received_at)"
        " VALUES ($1, 'i1', 'labelled', 1, 5, 1, $2, now()), ($1, 'i2', 'labelled', 1, 5, 1, $2, now()),"
        " ($1, 'i3', 'open', 1, 0, 0, $2, now())",
        P,
        HASH,
    )
    tallies = "INSERT INTO tallies VALUES ($1, 'labelled', 2), ($1, 'open', 1), ($1, 'duplicates', 1)"
    await deployed.sql("assignment", tallies, P)
    await deployed.sql(
        "assignment",
        "INSERT INTO rounds (project_id, item_id, number, audience, wanted, answered, ended, waiting_since, step,"
        " reason, priority, project_version, guideline_version) VALUES"
        " ($1, 'i2', 1, 'annotator', 2, 2, true, now(), 1, '', 0, 1, 0),"
        " ($1, 'i3', 1, 'annotator', 1, 0, false, now(), 1, '', 0, 1, 0)",
        P,
    )
    await deployed.sql(
        "assignment",
        "INSERT INTO leases (id, project_id, item_id, round, gold, annotator_id, role, state, blind, expires_at,"
        " ended_at) SELECT gen_random_uuid(), $1, 'i2', 1, false, who, 'annotator', 'answered', false,"
        " now() + interval '1 h', now() FROM unnest($2::text[]) AS who",
        P,
        [event.annotator_id for event in ANSWERS],
    )
    await deployed.sql(
        "assignment",
        "INSERT INTO consumer_offsets VALUES ('items.v1', 0, 6), ('labels.v1', 0, 2)",
    )


async def test_a_whole_deployment(deployment: Deployment) -> None:
    report = await deployment.audit(submitted=tuple(event.annotation_id for event in ANSWERS))
    assert report.by_check == {}, report.found
    assert (report.items, report.labelled, report.open, report.dead_lettered) == (6, 2, 2, 2)
    assert (report.duplicates, report.in_flight, report.opinions) == (1, 1, 2)
    assert (report.by_path["auto"], report.by_path["consensus"]) == (1, 1)
    at_rest = await deployment.audit(at_rest=True)
    assert at_rest.by_check == {"not_read_to_the_end": 1}


async def test_planted_violations_are_found(deployment: Deployment) -> None:
    """A lost item, a double label, a double-counted opinion, a phantom annotation, wrong counters, a missing letter."""
    await deployment.sql("assignment", "DELETE FROM rounds WHERE item_id = 'i3'")
    await deployment.sql("assignment", "DELETE FROM items WHERE item_id = 'i3'")
    await deployment.publish(*out(LABELS, make.label("i2", value="negative")))
    await deployment.sql("assignment", "UPDATE rounds SET answered = 3 WHERE item_id = 'i2'")
    await deployment.publish(*out(ANNOTATIONS, answer("i1", "nobody")))
    await deployment.sql("monitor", "UPDATE counters SET n = n + 1 WHERE kind = 'labels' AND part = 'auto'")
    await deployment.sql("qc", "UPDATE annotators SET given = given + 1 WHERE annotator_id = 'a'")
    await deployment.publish(Outgoing(ITEMS.name, b"sentiment/y", b"[", ()))
    await deployment.sql("assignment", "UPDATE consumer_offsets SET next_offset = 8 WHERE topic = 'items.v1'")
    report = await deployment.audit()
    expected = {"lost_item", "double_label", "opinion_counted_twice", "overlap_exceeded", "phantom_annotation"}
    assert set(report.by_check) == expected | {"wrong_counter", "missing_dead_letter"}
    lost = {one.item for one in report.found if one.check == "lost_item"}
    assert lost == {"i3", "i4"}
    wrong = [one.detail for one in report.found if one.check == "wrong_counter"]
    assert len(wrong) == 3  # monitor's label, qc's answer, and assignment's tally of the item that is gone
    double = next(one for one in report.found if one.check == "double_label")
    assert any(line.startswith("labels.v1/0/2: version 1") for line in double.history)


async def test_what_waits_in_an_outbox_is_under_way(deployment: Deployment) -> None:
    async with deployment.connected("assignment") as connection:
        await add_outbox(connection, out(LABELS, make.auto_label("i3")))
        await connection.execute("UPDATE items SET standing = 'labelled', label_version = 1 WHERE item_id = 'i3'")
        await connection.execute("UPDATE rounds SET ended = true WHERE item_id = 'i3'")
        await connection.execute("INSERT INTO tallies VALUES ($1, 'labelled', 1), ($1, 'open', -1)", P)
    report = await deployment.audit()
    assert report.by_check == {}, report.found
    assert "not_published" in (await deployment.audit(at_rest=True)).by_check


async def test_another_project_is_left_out(deployment: Deployment) -> None:
    report = await audit(deployment.kafka, deployment.urls, project="other")
    assert (report.items, report.violations) == (0, 0)


async def run_command(deployment: Deployment, *arguments: str) -> tuple[int, str]:
    """`labelstream audit` as an operator runs it; exit code and stdout."""
    kafka = deployment.kafka
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LABELSTREAM_")} | {
        "LABELSTREAM_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "LABELSTREAM_KAFKA_PREFIX": kafka.prefix,
        "LABELSTREAM_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "LABELSTREAM_KAFKA_ALLOW_INSECURE": "true",
    }
    for service, url in deployment.urls.items():
        environment[f"LABELSTREAM_{service.upper()}_DATABASE_URL"] = url
        environment[f"LABELSTREAM_{service.upper()}_DATABASE_ALLOW_INSECURE"] = "true"
    command = [sys.executable, "-m", "cli", "audit", *arguments]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def test_the_command(deployment: Deployment) -> None:
    code, printed = await run_command(deployment, "--json")
    document = json.loads(printed)
    assert (code, document["items"], document["violations"]) == (0, 6, 0)
    await deployment.sql("qc", "DELETE FROM annotations WHERE annotator_id = 'a'")
    code, printed = await run_command(deployment, "--project", P)
    assert code == 1
    for part in ("I2 opinion_not_counted: sentiment i2", "annotations.v1/0/0", "I3 wrong_counter", "violations in"):
        assert part in printed
