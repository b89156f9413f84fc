"""Sources on real Kafka: topics written by other clients become items and predictions, by the project file alone."""

import asyncio
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer

from cli.project.commands import apply_spec
from cli.stack.kafka import resolve
from cli.stack.kafka.jars import executable
from cli.stack.paths import cache_root
from services.prelabel.app import build
from services.prelabel.settings import PrelabelSettings, SourceCredentials
from shared.bus.admin import create_topics
from shared.bus.client import make_admin
from shared.bus.deadletter import original
from shared.bus.reader import read_all
from shared.bus.records import Record, header
from shared.errors import RetryLater
from shared.events import Item, Prediction, ProjectPointer, ProjectSpec
from shared.labels import ChoiceSchema
from shared.runtime.service import Service
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS, PREDICTIONS, Topic
from tests.support.brokers import Broker
from tests.support.events import AT
from tests.support.probe import running, until

pytestmark = pytest.mark.timeout(90)

CLASSES = ("spam", "ham")


@pytest.fixture
def topic(prefix: str) -> str:
    """A topic that is not ours."""
    return f"{prefix}shop.reviews"


def service(kafka: KafkaSettings, directory: Path, **more: Any) -> Service:
    fields: dict[str, Any] = {
        "kafka": kafka,
        "model_dir": directory,
        "source_poll_s": 0.1,
        "source_retry_s": 0.2,
        **more,
    }
    return build(PrelabelSettings(**fields))


def project(topic: str, *, name: str = "shop", **source: Any) -> ProjectSpec:
    fields = {"name": "reviews", "topic": topic, "start": "earliest", "map": {"id": "id", "text": "text"}, **source}
    return ProjectSpec.model_validate(
        {"project": name, "data": "text", "label": ChoiceSchema(classes=CLASSES), "sources": [fields]}
    )


def produce(kafka: KafkaSettings, topic: str, values: Sequence[bytes | None], **more: Any) -> None:
    """Write with librdkafka, over all partitions."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "compression.type": "zstd", "linger.ms": 5})
    for number, value in enumerate(values):
        producer.produce(topic, value=value, key=b"%d" % number, **more)
    assert producer.flush(20) == 0


def reviews(count: int, start: int = 0) -> list[bytes]:
    return [json.dumps({"id": f"r{n}", "text": f"review {n}"}).encode() for n in range(start, start + count)]


async def create(kafka: KafkaSettings, topic: str, partitions: int = 2) -> None:
    from aiokafka.admin import NewTopic  # noqa: PLC0415  # used once

    admin = make_admin(kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)])
    finally:
        await admin.close()


async def read(kafka: KafkaSettings, topic: Topic[Any]) -> list[Any]:
    return [topic.event.validate_json(record.value or b"") for record in await read_all(kafka, topic.name)]


async def wait_items(kafka: KafkaSettings, count: int, within_s: float = 30) -> list[Item]:
    async def enough() -> bool:
        return len({one.item_id for one in await read(kafka, ITEMS)}) >= count

    await until(enough, within_s)
    return await read(kafka, ITEMS)


async def letters(kafka: KafkaSettings, topic: str) -> list[Record]:
    try:
        return await read_all(kafka, f"{topic}.dlq")
    except RetryLater:
        return []


async def prepared(kafka: KafkaSettings, topic: str, spec: ProjectSpec) -> None:
    await create_topics(kafka, partitions=2)
    await create(kafka, topic)
    await apply_spec(kafka, spec, now=AT)


async def test_records_of_librdkafka_become_items(kafka_settings: KafkaSettings, topic: str, tmp_path: Path) -> None:
    paths = {"id": "id", "text": "text", "metadata": {"shop": "_headers.shop"}}
    await prepared(kafka_settings, topic, project(topic, map=paths))
    produce(kafka_settings, topic, reviews(500), headers=[("shop", b"eu"), ("trace", None), ("raw", b"\xff\xfe")])
    async with running(service(kafka_settings, tmp_path)):
        found = await wait_items(kafka_settings, 500)
    assert Counter(one.item_id for one in found) == Counter(f"r{n}" for n in range(500))
    assert {one.metadata["shop"] for one in found} == {"eu"}
    assert {(one.origin.source, one.origin.topic) for one in found if one.origin} == {("reviews", topic)}


async def test_a_second_start_reads_nothing_again(kafka_settings: KafkaSettings, topic: str, tmp_path: Path) -> None:
    await prepared(kafka_settings, topic, project(topic))
    for start in (0, 100):
        produce(kafka_settings, topic, reviews(100, start))
        async with running(service(kafka_settings, tmp_path)):
            await wait_items(kafka_settings, start + 100)
    assert Counter(one.item_id for one in await read(kafka_settings, ITEMS)) == Counter(f"r{n}" for n in range(200))


@pytest.mark.timeout(240)
async def test_records_of_the_console_producer_become_items(
    kafka_settings: KafkaSettings, topic: str, tmp_path: Path
) -> None:
    await prepared(kafka_settings, topic, project(topic, map={"id": "id", "text": "text"}))
    await asyncio.to_thread(console_produce, kafka_settings.bootstrap, topic, b"\n".join(reviews(20)))
    async with running(service(kafka_settings, tmp_path)):
        found = await wait_items(kafka_settings, 20)
    assert {one.item_id for one in found} == {f"r{n}" for n in range(20)}


def kafka_tools() -> Path:
    """The one jar that a broker does not need, of the release whose broker the tests run."""
    (clients,) = resolve().glob("kafka-clients-*.jar")
    version = clients.stem.removeprefix("kafka-clients-")
    jar = cache_root() / f"kafka-tools-{version}.jar"
    if not jar.exists():
        artifact = f"-Dartifact=org.apache.kafka:kafka-tools:{version}"
        command = [
            executable("mvn", "Maven"),
            "-q",
            "-B",
            "dependency:copy",
            artifact,
            f"-DoutputDirectory={jar.parent}",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=150)  # noqa: S603  # our own command
    return jar


def console_produce(bootstrap: str, topic: str, lines: bytes) -> None:
    """The program behind kafka-console-producer.sh."""
    command = [executable("java", "Java 17"), "-Xmx128m", "-cp", f"{resolve() / '*'}:{kafka_tools()}"]
    command += ["org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", bootstrap, "--topic", topic]
    subprocess.run(command, input=lines, check=True, capture_output=True, timeout=40, env=dict(os.environ))  # noqa: S603


async def test_poison_goes_to_the_dead_letters_byte_for_byte(
    kafka_settings: KafkaSettings, topic: str, tmp_path: Path
) -> None:
    await prepared(kafka_settings, topic, project(topic))
    poison: list[bytes | None] = [
        b"{", b"\xff\xfe", None, b'{"text": "no id"}', b'{"id": "a", "text": NaN}', b"[" * 100_000, b"[1]", b"",
        b'{"id": "a", "text": 5}', b'{"id": "a", "text": "nul \\u0000"}', b'{"id": "a", "text": "half \\ud83d"}',
    ]  # fmt: skip
    produce(kafka_settings, topic, [*reviews(50), *poison, *reviews(50, 50)], headers=[("h", b"\xff"), ("n", None)])

    async def arrived() -> bool:
        return len(await letters(kafka_settings, topic)) >= len(poison)

    async with running(service(kafka_settings, tmp_path)):
        await wait_items(kafka_settings, 100)
        await until(arrived)
    found = await letters(kafka_settings, topic)
    assert Counter(letter.value for letter in found) == Counter(poison)
    for letter in found:
        read_as = original(letter)
        assert (read_as.topic, read_as.headers) == (topic, (("h", b"\xff"), ("n", None)))
        assert header(letter.headers, "dlq_reason") in {
            b"bad_json", b"not_utf8", b"null_value", b"bad_number", b"unmappable",
        }  # fmt: skip


async def test_a_scored_topic_gives_items_and_predictions(
    kafka_settings: KafkaSettings, topic: str, tmp_path: Path
) -> None:
    """The project's own model is elsewhere, so prelabel answers none of the items itself."""
    paths = {"id": "id", "text": "t", "distribution": "scores", "model_version": "by"}
    await prepared(kafka_settings, topic, project(topic, kind="predictions", map=paths))
    scored = [{"id": f"r{n}", "t": "x", "scores": {"spam": 0.9, "ham": 0.1}, "by": "v9"} for n in range(50)]
    produce(kafka_settings, topic, [json.dumps(one).encode() for one in scored])
    async with running(service(kafka_settings, tmp_path)):
        await wait_items(kafka_settings, 50)
        await asyncio.sleep(1.0)
        found: list[Prediction] = await read(kafka_settings, PREDICTIONS)
    assert Counter(one.item_id for one in found) == Counter(f"r{n}" for n in range(50))
    assert {(one.model_version, one.confidence, one.generation) for one in found} == {("v9", 0.9, 0)}


async def test_a_source_may_start_at_the_end(kafka_settings: KafkaSettings, topic: str, tmp_path: Path) -> None:
    await create_topics(kafka_settings, partitions=2)
    await create(kafka_settings, topic)
    produce(kafka_settings, topic, reviews(30))
    await apply_spec(kafka_settings, project(topic, start="latest"), now=AT)
    async with running(service(kafka_settings, tmp_path)):
        await until(placed(kafka_settings, topic, 30))
        produce(kafka_settings, topic, reviews(30, 30))
        found = await wait_items(kafka_settings, 30)
    assert {one.item_id for one in found} == {f"r{n}" for n in range(30, 60)}


async def test_a_source_may_start_at_a_time(kafka_settings: KafkaSettings, topic: str, tmp_path: Path) -> None:
    at = datetime.fromtimestamp(1_650_000_000, tz=UTC)
    await prepared(kafka_settings, topic, project(topic, start=at))
    produce(kafka_settings, topic, reviews(30), timestamp=1_600_000_000_000)
    produce(kafka_settings, topic, reviews(30, 30), timestamp=1_700_000_000_000)
    async with running(service(kafka_settings, tmp_path)):
        found = await wait_items(kafka_settings, 30)
    assert {one.item_id for one in found} == {f"r{n}" for n in range(30, 60)}


def placed(
    kafka: KafkaSettings, topic: str, total: int, group: str = "prelabel.source.shop.reviews"
) -> Callable[[], Any]:
    """Whether the group has committed offsets that add up to `total`."""

    async def check() -> bool:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=kafka.physical(group))
        await consumer.start()
        try:
            places = [TopicPartition(topic, partition) for partition in range(2)]
            consumer.assign(places)
            found = [await consumer.committed(place) for place in places]
        finally:
            await consumer.stop()
        return sum(offset or 0 for offset in found) == total

    return check


async def test_the_rate_is_kept(kafka_settings: KafkaSettings, topic: str, tmp_path: Path) -> None:
    await prepared(kafka_settings, topic, project(topic, max_per_second=40))
    produce(kafka_settings, topic, reviews(400))
    async with running(service(kafka_settings, tmp_path)):
        await wait_items(kafka_settings, 1)
        started = time.monotonic()
        before = len(await read(kafka_settings, ITEMS))
        await asyncio.sleep(3.0)
        after = len(await read(kafka_settings, ITEMS))
        seconds = time.monotonic() - started
    assert 20 <= (after - before) / seconds <= 45


async def test_sampling_is_recorded(kafka_settings: KafkaSettings, topic: str, tmp_path: Path) -> None:
    await prepared(kafka_settings, topic, project(topic, sample=0.25))
    produce(kafka_settings, topic, reviews(400))
    running_service = service(kafka_settings, tmp_path)
    async with running(running_service):
        await until(placed(kafka_settings, topic, 400))
        found = await read(kafka_settings, ITEMS)
    assert 70 <= len(found) <= 130
    assert {one.origin.sampling_rate for one in found} == {0.25}
    labels = {"project": "shop", "source": "reviews", "outcome": "sampled_out"}
    counted = running_service.registry.get_sample_value("labelstream_prelabel_source_records_total", labels)
    assert counted == 400 - len(found)


async def test_pause_resume_and_a_changed_mapping_need_no_restart(
    kafka_settings: KafkaSettings, topic: str, tmp_path: Path
) -> None:
    await prepared(kafka_settings, topic, project(topic, paused=True))
    produce(kafka_settings, topic, reviews(20))
    async with running(service(kafka_settings, tmp_path)):
        await asyncio.sleep(1.5)
        assert await read(kafka_settings, ITEMS) == []
        await apply_spec(kafka_settings, project(topic), now=AT)
        await wait_items(kafka_settings, 20)
        await apply_spec(kafka_settings, project(topic, map={"id": "join('-', ['x', id])", "text": "text"}), now=AT)
        await asyncio.sleep(1.0)
        produce(kafka_settings, topic, reviews(20, 20))
        found = await wait_items(kafka_settings, 40)
    assert {one.item_id for one in found} == {f"r{n}" for n in range(20)} | {f"x-r{n}" for n in range(20, 40)}


async def test_a_paused_project_stops_its_sources(kafka_settings: KafkaSettings, topic: str, tmp_path: Path) -> None:
    from cli.project.commands import publish  # noqa: PLC0415  # used once

    await prepared(kafka_settings, topic, project(topic))
    await publish(kafka_settings, ProjectPointer(project_id="shop", version=1, paused=True, applied_at=AT))
    produce(kafka_settings, topic, reviews(20))
    async with running(service(kafka_settings, tmp_path)):
        await asyncio.sleep(1.5)
        assert await read(kafka_settings, ITEMS) == []


async def test_a_source_of_another_cluster(
    own_kafka: Broker, kafka_settings: KafkaSettings, topic: str, tmp_path: Path
) -> None:
    """Its records and its offsets stay there; the items and the dead letters are ours."""
    foreign = kafka_settings.model_copy(update={"bootstrap": own_kafka.bootstrap})
    await create_topics(kafka_settings, partitions=1)
    await create(foreign, topic)
    produce(foreign, topic, [*reviews(40), b"{"])
    there = SourceCredentials(security_protocol="PLAINTEXT", allow_insecure=True, bootstrap_servers=own_kafka.bootstrap)
    spec = project(topic, bootstrap_servers=own_kafka.bootstrap, credentials="shop")
    await apply_spec(kafka_settings, spec, now=AT)
    async with running(service(kafka_settings, tmp_path, source_credentials={"shop": there})):
        await wait_items(kafka_settings, 40)
        await until(placed(foreign, topic, 41))
    assert len(await letters(kafka_settings, topic)) == 1


async def test_a_source_that_is_all_poison_stops_before_it_moves_more(
    kafka_settings: KafkaSettings, topic: str, tmp_path: Path
) -> None:
    """A wrong mapping: nothing goes to the dead letters, nothing is committed, and the other sources go on."""
    wrong = project(topic, map={"id": "no_such_field", "text": "text"})
    await prepared(kafka_settings, topic, wrong)
    produce(kafka_settings, topic, reviews(300))
    made = service(kafka_settings, tmp_path, dlq_limit_records=50)

    async def stopped() -> bool:
        labels = {"project": "shop", "source": "reviews"}
        return made.registry.get_sample_value("labelstream_prelabel_source_stopped", labels) == 1

    async with running(made):
        await until(stopped)
        assert len(await letters(kafka_settings, topic)) < 50
        await apply_spec(kafka_settings, project(topic), now=AT)
        found = await wait_items(kafka_settings, 300 - len(await letters(kafka_settings, topic)))
    assert len({one.item_id for one in found}) + len(await letters(kafka_settings, topic)) == 300


async def test_two_replicas_share_a_source(kafka_settings: KafkaSettings, topic: str, tmp_path: Path) -> None:
    await prepared(kafka_settings, topic, project(topic))
    produce(kafka_settings, topic, reviews(200))
    async with running(service(kafka_settings, tmp_path)):
        async with running(service(kafka_settings, tmp_path)):
            produce(kafka_settings, topic, reviews(200, 200))
            await wait_items(kafka_settings, 400)
        produce(kafka_settings, topic, reviews(200, 400))
        found = await wait_items(kafka_settings, 600)
    by_id: dict[str, set[str]] = {}
    for one in found:
        by_id.setdefault(one.item_id, set()).add(one.model_dump_json())
    assert set(by_id) == {f"r{n}" for n in range(600)}
    assert {len(bodies) for bodies in by_id.values()} == {1}, "a record read twice gives the identical item"
