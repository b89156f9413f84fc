"""Under exactly the ACLs that `labelstream topics acls` prints: what each principal may touch, and what it may not."""

import asyncio
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection

from cli.stack.kafka import resolve
from cli.stack.kafka.jars import executable
from shared.bus.acls import commands, rights
from shared.bus.admin import create_topics
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import Outgoing
from shared.errors import AccessRefused, RetryLater
from shared.topics import (
    ASSIGNMENT,
    GOLD_ANSWERS,
    ITEMS,
    LABELS,
    MONITOR,
    PREDICTIONS,
    PRELABEL,
    QC,
    SERVICES,
    TOPICS,
)
from tests.support.probe import until
from tests.support.secure.kafka import SecureKafka, api, binding
from tests.support.secure.tools import kafka_tools
from tests.support.servers import plaintext

pytestmark = pytest.mark.timeout(60)
OPERATIONS = {api.AclOperation.READ: "Read", api.AclOperation.WRITE: "Write"}
IMPLIED = (api.AclOperation.DESCRIBE,)


def operations(future: Any) -> set[str]:
    """What the broker itself says that a principal may do with one thing, beside describing it."""
    try:
        allowed = future.result(10).authorized_operations
    except KafkaException as error:
        if "AUTHORIZATION_FAILED" not in str(error):
            raise
        return set()  # not even that it exists
    return {OPERATIONS.get(one, one.name) for one in allowed if one not in IMPLIED}


@pytest.mark.parametrize("service", SERVICES)
async def test_the_broker_lets_a_service_do_that_and_nothing_else(
    secure: SecureKafka, deployment: str, prefix: str, service: str
) -> None:
    """Over every topic of this deployment and of another one on the same cluster, and every service's groups."""
    other = f"other.{prefix}"
    await create_topics(plaintext(secure.kafka.bootstrap, other, idempotence=True), partitions=1)
    names = [one + end for one in (t.name for t in TOPICS) for end in ("", ".dlq")]
    existing = [name for name in names if not name.endswith(".dlq") or owned(name)]
    client = secure.admin_as(service)
    asked = TopicCollection([start + name for start in (deployment, other) for name in existing])
    told = client.describe_topics(asked, include_authorized_operations=True, request_timeout=10)
    found = {(name, operation) for name, future in told.items() for operation in operations(future)}
    wanted = rights(service, prefix=deployment)
    assert found == {(one.name, one.operation) for one in wanted if one.resource == "topic"}

    groups = [f"{start}{party}.{ITEMS.name}" for start in (deployment, other) for party in (*SERVICES, "operator")]
    usable: set[str] = set()

    async def described() -> bool:
        known = client.describe_consumer_groups(groups, include_authorized_operations=True, request_timeout=10)
        try:
            usable.update(name for name, future in known.items() if operations(future))
        except KafkaException as error:
            if error.args[0].code() == KafkaError.COORDINATOR_LOAD_IN_PROGRESS:  # a broker that has just begun
                return False
            raise
        return True

    await until(described)
    assert usable == {f"{deployment}{service}.{ITEMS.name}"}


def owned(letters: str) -> bool:
    return any(topic.dlq == letters and topic.dlq_owner for topic in TOPICS)


async def test_gold_answers_are_read_by_qc_alone(secure: SecureKafka, deployment: str) -> None:
    assert await read_all(secure.settings(QC, deployment), GOLD_ANSWERS.name) == []
    for service in (ASSIGNMENT, PRELABEL, MONITOR, "stranger"):
        with pytest.raises(AccessRefused, match=rf"use topic {deployment}gold_answers\.v1"):
            await read_all(secure.settings(service, deployment), GOLD_ANSWERS.name)


@pytest.mark.parametrize(
    ("service", "topic"), [(ASSIGNMENT, PREDICTIONS), (PRELABEL, LABELS), (MONITOR, LABELS), (QC, ITEMS)]
)
async def test_nobody_writes_the_topic_of_another(
    secure: SecureKafka, deployment: str, service: str, topic: Any
) -> None:
    forged = Outgoing(topic=topic.name, key=b"p/i", value=b"{}", headers=())
    async with asyncio.timeout(20):
        async with Publisher(secure.settings(service, deployment), timeout_s=10) as publisher:
            with pytest.raises(AccessRefused, match=rf"use topic {deployment}{topic.name}"):
                await publisher.publish([forged])
    assert await read_all(plaintext(secure.kafka.bootstrap, deployment, idempotence=True), topic.name) == []


async def test_another_prefix_is_another_world(secure: SecureKafka, deployment: str, prefix: str) -> None:
    other = f"other.{prefix}"
    await create_topics(plaintext(secure.kafka.bootstrap, other, idempotence=True), partitions=1)
    with pytest.raises(AccessRefused, match=rf"use topic {other}items\.v1"):
        await read_all(secure.settings(PRELABEL, other), ITEMS.name)
    with pytest.raises(RetryLater):
        await read_all(secure.settings("stranger", deployment), ITEMS.name)


async def test_the_printed_commands_add_the_same_rules(secure: SecureKafka, prefix: str, tmp_path: Path) -> None:
    """By Kafka's own tool, as an operator runs it."""
    every = rights(QC, prefix=prefix, principal="User:CN=qc,O=Example Inc")
    wanted = [one for one in every if one.resource == "group" or one.name.endswith(GOLD_ANSWERS.name)]
    assert len(wanted) == 3
    config = tmp_path / "admin.properties"
    config.write_text("")
    calls = commands(wanted, bootstrap=secure.kafka.bootstrap, config=str(config))
    classpath = f"{await asyncio.to_thread(kafka_tools)}:{resolve()}/*"
    java = [executable("java", "Java"), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", classpath]

    def call(line: str) -> None:
        command = [*java, "org.apache.kafka.tools.AclCommand", *shlex.split(line)[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=40)  # noqa: S603
        assert done.returncode == 0, done.stdout + done.stderr

    async with asyncio.TaskGroup() as group:
        for line in calls:
            group.create_task(asyncio.to_thread(call, line))
    assert secure.bindings(prefix) == {binding(one) for one in wanted}
