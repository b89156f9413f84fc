"""`labelstream doctor` and `topics create --fix` on real Kafka and PostgreSQL."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from cli.stack.children import free_port
from shared.bus.admin import create_topics, describe_topics
from shared.bus.client import make_admin
from shared.bus.records import Outgoing
from shared.events import Training
from shared.runtime.settings import KafkaSettings
from shared.topics import (
    ITEMS,
    LABELS,
    MODELS,
    PREDICTIONS,
    PROJECTS,
    QUALITY,
    ROUTES,
    SHADOW_PREDICTIONS,
    TRAINER,
)
from tests.support import events as make
from tests.support.deployment import Deployment
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(120)

MODEL = b"not a real model, and nobody loads it here"


@pytest.fixture
async def deployment(kafka_settings: KafkaSettings, database: Database) -> Deployment:
    deployed = Deployment(kafka_settings, database)
    await create_topics(kafka_settings, partitions=2)
    await deployed.migrate()
    return deployed


async def register(deployment: Deployment, directory: Path) -> Path:
    """A live model whose file is there."""
    sha256 = hashlib.sha256(MODEL).hexdigest()
    version = make.model_version(sha256=sha256, size_bytes=len(MODEL), uri="file:///nowhere.onnx")
    await deployment.publish(MODELS, version, make.model_pointer())
    file = directory / f"{sha256}.onnx"
    file.write_bytes(MODEL)
    return file


async def spoil(kafka: KafkaSettings, topic: str, **settings: str) -> None:
    admin = make_admin(kafka)
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, kafka.physical(topic), settings)])
    await admin.close()


def lines(document: dict[str, Any], status: str) -> dict[tuple[str, str], str]:
    return {
        (one["area"], one["subject"]): f"{one['found']} -> {one['todo']}"
        for one in document["findings"]
        if one["status"] == status
    }


async def test_a_whole_deployment_is_healthy_and_what_breaks_is_named(deployment: Deployment, tmp_path: Path) -> None:
    kafka, directory = deployment.kafka, {"LABELSTREAM_PRELABEL_MODEL_DIR": str(tmp_path)}
    file = await register(deployment, tmp_path)
    document = await deployment.json("doctor", "--probe", more=directory)
    assert document["healthy"], document
    areas = {one["area"] for one in document["findings"]}
    assert areas == {
        "brokers",
        "topics",
        "access",
        "schemas",
        "migrations",
        "lag",
        "clock",
        "disk",
        "models",
        "training",
    }
    clocks = {subject for area, subject in lines(document, "ok") if area == "clock"}
    assert clocks == {"broker", "PostgreSQL of assignment", "PostgreSQL of qc", "PostgreSQL of monitor"}

    file.write_bytes(MODEL[::-1])
    await spoil(kafka, QUALITY.name, **{"retention.ms": "1000", "max.message.bytes": "5000000"})
    await deployment.publish(ITEMS, make.item())
    newer = make.prediction()
    await deployment.send(
        Outgoing(PREDICTIONS.name, newer.key.encode(), b"{}", (("ce_type", b"labelstream.prediction.v2"),))
    )
    async with deployment.connected("qc") as connection:
        await connection.execute("DELETE FROM schema_migrations WHERE name = 'bus/0001_bus.sql'")
        await connection.execute(
            "INSERT INTO outbox (records, record_count, created_at) VALUES ('', 1, now() - interval '1 hour')"
        )
    document = await deployment.json("doctor", code=1, more=directory)
    wrong = lines(document, "wrong")
    expected = {
        ("topics", kafka.physical(QUALITY.name)): "`labelstream topics create --fix`",
        ("schemas", kafka.physical(PREDICTIONS.name)): "deploy the readers",
        ("migrations", "schema qc"): "lacks bus/0001_bus.sql -> `labelstream migrate`",
        ("lag", "outbox of qc"): "1 records wait",
        ("lag", kafka.physical(f"assignment.{ITEMS.name}")): "1 records, never read -> start assignment",
        ("models", f"{make.PROJECT}, version m1"): "was registered",
    }
    for line, part in expected.items():
        assert part in wrong[line], wrong
    assert {area for area, _ in wrong} == {area for area, _ in expected}

    fixed = await deployment.json("topics", "create", "--partitions", "2", "--fix")
    name = kafka.physical(QUALITY.name)
    assert fixed["fixed"] == [name]
    assert fixed["settings"][name]["retention.ms"] == {"found": "1000", "wanted": str(QUALITY.retention_ms)}
    state = (await describe_topics(kafka))[QUALITY.name]
    assert state.config["retention.ms"] == str(QUALITY.retention_ms)
    assert (await deployment.json("topics", "create", "--partitions", "2"))["settings"] == {}


async def test_the_trainer_is_known_where_projects_ask_for_it(deployment: Deployment, tmp_path: Path) -> None:
    kafka, more = deployment.kafka, {"LABELSTREAM_TRAINER_MODEL_DIR": str(tmp_path)}
    spec = make.project_spec(training=Training())
    await deployment.publish(PROJECTS, make.project_version(spec=spec), make.project_pointer())
    await deployment.publish(LABELS, make.label())
    wrong = lines(await deployment.json("doctor", code=1, more=more), "wrong")
    assert "the trainer never ran -> start the trainer" in wrong["training", "projects"]
    assert not [name for area, name in wrong if area == "lag" and TRAINER in name]

    place = TopicPartition(kafka.physical(LABELS.name), 0)
    group = kafka.physical(f"{TRAINER}.{LABELS.name}")
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=group, enable_auto_commit=False) as reader:
        reader.assign([place])
        await reader.commit({place: OffsetAndMetadata(0, "")})
    lag = await deployment.json("topics", "lag")
    behind = {one["topic"]: one["lag"] for one in lag["readers"] if one["service"] == TRAINER}
    assert behind.keys() == {ITEMS.name, LABELS.name, SHADOW_PREDICTIONS.name, ROUTES.name, QUALITY.name}
    assert behind[LABELS.name] == 1
    document = await deployment.json("doctor", code=1, more=more)
    assert lines(document, "wrong").keys() >= {("lag", kafka.physical(f"{TRAINER}.{LABELS.name}"))}
    assert lines(document, "ok")["training", "model store"].startswith(f"{tmp_path} can be written")


async def test_a_setting_that_is_not_ours_survives_a_fix(deployment: Deployment) -> None:
    await spoil(deployment.kafka, QUALITY.name, **{"retention.ms": "1000", "flush.messages": "77"})
    await deployment.json("topics", "create", "--fix")
    state = (await describe_topics(deployment.kafka))[QUALITY.name]
    assert (state.config["retention.ms"], state.config["flush.messages"]) == (str(QUALITY.retention_ms), "77")


async def test_what_is_down_is_named_and_the_rest_is_looked_at(deployment: Deployment) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    url = deployment.urls["qc"].rsplit("@", 1)[0] + f"@{nowhere}/nothing"
    more = {"LABELSTREAM_KAFKA_BOOTSTRAP": nowhere, "LABELSTREAM_QC_DATABASE_URL": url}
    document = await deployment.json("doctor", code=1, more=more)
    unknown = lines(document, "unknown")
    assert {area for area, _ in unknown} == {"topics", "access", "schemas", "lag", "models", "training"}
    assert lines(document, "wrong").keys() == {("brokers", nowhere), ("migrations", "database of qc")}
    assert {("migrations", "schema assignment"), ("migrations", "schema monitor")} <= lines(document, "ok").keys()
    code, printed = await deployment.run("doctor", more=more)
    assert code == 1
    assert f"check that Kafka runs at {nowhere}" in printed
