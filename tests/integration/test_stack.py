"""The embedded servers do what the tests and `labelstream up` rely on."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from cli.stack.children import Child, ChildFailed, free_port
from cli.stack.embedded import Stack, StackOptions
from cli.stack.kafka.jars import executable
from cli.stack.postgres import ROLES, Postgres
from cli.stack.processes import ServiceProcess
from cli.stack.tansu import Tansu
from shared.bus.admin import create_topics, wanted_topics
from shared.bus.client import make_admin, make_producer, make_reader
from shared.errors import ConfigurationError
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS, PROJECTS, SERVICES
from tests.support.brokers import Broker
from tests.support.servers import Database, plaintext

COUNT = 200


async def _produce(settings: KafkaSettings, values: list[bytes]) -> None:
    producer = make_producer(settings)
    try:
        await producer.start()
        topic = settings.physical(ITEMS.name)
        waiting = [await producer.send(topic, value, key=value) for value in values]
        for sent in waiting:
            await sent
    finally:
        await producer.stop()


async def _read(settings: KafkaSettings, count: int) -> list[bytes]:
    reader = make_reader(settings)
    reader.subscribe([settings.physical(ITEMS.name)])
    await reader.start()
    try:
        values: list[bytes] = []
        async with asyncio.timeout(10):
            while len(values) < count:
                batches = await reader.getmany(timeout_ms=200)
                values += [record.value for records in batches.values() for record in records]
        return values
    finally:
        await reader.stop()


def _values(start: int = 0) -> list[bytes]:
    return [b"value %d" % number for number in range(start, start + COUNT)]


async def test_tansu_round_trip(tansu_settings: KafkaSettings) -> None:
    await create_topics(tansu_settings, partitions=2)
    await _produce(tansu_settings, _values())
    assert sorted(await _read(tansu_settings, COUNT)) == sorted(_values())


async def test_every_start_of_tansu_is_another_cluster(tansu: Tansu, tmp_path: Path) -> None:
    async with Tansu(tmp_path) as second:
        assert second.cluster_id != tansu.cluster_id


async def test_kafka_round_trip(kafka_settings: KafkaSettings) -> None:
    await create_topics(kafka_settings, partitions=2)
    await _produce(kafka_settings, _values())
    assert sorted(await _read(kafka_settings, COUNT)) == sorted(_values())


async def test_topics_are_created_once_and_never_changed(kafka_settings: KafkaSettings) -> None:
    wanted = {kafka_settings.physical(topic.name) for topic in wanted_topics(partitions=2, max_record_bytes=1_048_576)}
    assert set((await create_topics(kafka_settings, partitions=2)).created) == wanted
    again = await create_topics(kafka_settings, partitions=3)
    assert again.created == ()
    assert again.different[kafka_settings.physical(ITEMS.name)] == (2, 3)
    assert kafka_settings.physical(PROJECTS.name) in again.existing


async def test_two_who_create_topics_at_once_both_succeed(kafka_settings: KafkaSettings) -> None:
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(create_topics(kafka_settings, partitions=1)) for _ in range(2)]
    assert not set(both[0].result().created) & set(both[1].result().created)


async def test_reference_topics_are_compacted(kafka_settings: KafkaSettings) -> None:
    await create_topics(kafka_settings, partitions=1)
    assert await _config(kafka_settings, PROJECTS.name, "cleanup.policy") == "compact"
    assert await _config(kafka_settings, ITEMS.name, "retention.ms") == str(ITEMS.retention_ms)


async def _config(settings: KafkaSettings, name: str, key: str) -> str:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # noqa: PLC0415  # used once

    admin = make_admin(settings)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, settings.physical(name), {key: ""})
        (response,) = await admin.describe_configs([resource])
        return str(response.resources[0][4][0][1])
    finally:
        await admin.close()


@pytest.mark.timeout(90)
async def test_kill_9_of_kafka_keeps_acknowledged_records(own_kafka: Broker, prefix: str) -> None:
    settings = plaintext(own_kafka.bootstrap, prefix, idempotence=True)
    await create_topics(settings, partitions=2)
    acknowledged: list[bytes] = []
    enough = asyncio.Event()
    sending = asyncio.create_task(_send_until(settings, acknowledged, enough))
    await _until(lambda: len(acknowledged) > COUNT)
    own_kafka.kill9()
    before = len(acknowledged)
    await own_kafka.restart()
    await _until(lambda: len(acknowledged) > before + COUNT)  # the same producer recovered
    enough.set()
    await sending
    read = await _read(settings, len(acknowledged))
    assert set(acknowledged) <= set(read)


async def _send_until(settings: KafkaSettings, acknowledged: list[bytes], enough: asyncio.Event) -> None:
    producer = make_producer(settings)
    try:
        await producer.start()
        number = 0
        while not enough.is_set():
            values = [b"value %d" % value for value in range(number, number + 20)]
            waiting = [await producer.send(settings.physical(ITEMS.name), value) for value in values]
            for sent in waiting:
                await sent
            acknowledged += values
            number += len(values)
            await asyncio.sleep(0.001)
    finally:
        await producer.stop()


async def _until(condition: Callable[[], bool], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  # a counter gives no event
            await asyncio.sleep(0.02)


async def test_a_role_cannot_read_another_schema(database: Database) -> None:
    for role in ROLES:
        connection = await asyncpg.connect(database.url(role), timeout=5)
        await connection.execute("CREATE TABLE secrets (value text)")
        for other in ROLES:
            if other != role:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(f"TABLE {other}.secrets")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(f"CREATE TABLE {other}.mine ()")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE public.mine ()")
        await connection.close()


async def test_a_role_needs_its_own_password(database: Database) -> None:
    password = database.server.passwords["qc"]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            database.url("monitor").replace(database.server.passwords["monitor"], password), timeout=5
        )


async def test_kept_data_survive_and_passwords_change(scratch: Path) -> None:
    data = scratch / "kept"
    urls = []
    for start in range(2):
        async with Postgres(data) as server:
            urls.append(server.url("qc").split("@")[0])
            connection = await asyncpg.connect(server.url("qc"), timeout=5)
            await connection.execute("CREATE TABLE IF NOT EXISTS kept (start integer)")
            await connection.execute("INSERT INTO kept VALUES ($1)", start)
            assert await connection.fetchval("SELECT count(*) FROM kept") == start + 1
            assert await connection.fetchval("SHOW fsync") == "on"
            await connection.close()
    assert urls[0] != urls[1]
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(ConfigurationError, match="written by PostgreSQL 15"):
        await Postgres(data).start()


@pytest.mark.timeout(90)
async def test_the_durable_stack_is_the_same_cluster_after_a_restart(scratch: Path) -> None:
    options = StackOptions(broker="kafka", data_dir=scratch / "durable", services=(), partitions=2)
    async with Stack(options) as stack:
        assert stack.broker is not None
        first = stack.broker.cluster_id
        await _produce(stack.kafka, _values())
    async with Stack(options) as stack:
        assert stack.broker is not None
        assert stack.broker.cluster_id == first
        assert sorted(await _read(stack.kafka, COUNT)) == sorted(_values())


def test_a_broker_that_keeps_nothing_gets_no_lasting_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="broker tansu cannot be combined with a data directory"):
        Stack(StackOptions(broker="tansu", data_dir=tmp_path))


def test_each_service_sees_its_own_password_only() -> None:
    stack = Stack(StackOptions(settings={"LABELSTREAM_QC_LOG_LEVEL": "debug", "LABELSTREAM_KAFKA_COMPRESSION": "lz4"}))
    stack.database_urls = {role: f"postgresql://{role}:secret-{role}@127.0.0.1/labelstream" for role in ROLES}
    for service in SERVICES:
        environment = stack.service_environment(service)
        text = " ".join(environment.values())
        assert [role for role in ROLES if f"secret-{role}" in text] == [role for role in ROLES if role == service]
        assert ("LABELSTREAM_QC_LOG_LEVEL" in environment) == (service == "qc")
        assert environment["LABELSTREAM_KAFKA_COMPRESSION"] == "lz4"


async def test_databases_are_given_for_all_services_or_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_QC_DATABASE_URL", "postgresql://qc@db.example/labelstream")
    with pytest.raises(ExceptionGroup) as caught:
        async with Stack(StackOptions(services=())):
            pass
    assert caught.group_contains(ConfigurationError, match="set LABELSTREAM_ASSIGNMENT_DATABASE_URL")


async def test_nothing_is_left_after_stop() -> None:
    async with Stack(StackOptions(services=())) as stack:
        assert stack.broker is not None
        assert stack.postgres is not None
        pids = [stack.broker.pid, stack.postgres.pid]
        directory = unquote(urlsplit(stack.postgres.admin_url()).query.split("&")[0].removeprefix("host="))
        assert _exists(directory)
        assert all(_alive(pid) for pid in pids)
    assert not any(_alive(pid) for pid in pids)
    assert not _exists(directory)


def test_nothing_is_left_after_the_parent_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        "import asyncio\n"
        "from cli.stack.embedded import Stack, StackOptions\n"
        "async def main():\n"
        "    async with Stack(StackOptions(services=())) as stack:\n"
        "        print(stack.broker.pid, stack.postgres.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(_alive(pid) for pid in pids)
        parent.kill()
    assert _gone(pids, 10)


async def test_a_service_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    service = ServiceProcess("nonsense", {}, directory=tmp_path, url=url)
    with pytest.raises(ChildFailed, match=r"No module named services\.nonsense"):
        await service.start(within_s=10)


def test_an_outgoing_connection_never_takes_a_free_port() -> None:
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_port() < lowest_outgoing for _ in range(50))


async def test_what_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 60 & echo $! ; while true; do sleep 0.1; done"
    child = Child("stubborn", ["sh", "-c", script], log=tmp_path / "log")
    child.spawn()
    grandchild = int(await child.until(lambda: _first_line(child), within_s=5))
    assert await child.stop(grace_s=0.2) == -signal.SIGKILL
    assert await asyncio.to_thread(_gone, [grandchild], 5)


async def _first_line(child: Child) -> str | None:
    return child.tail() or None


def test_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigurationError, match="openjdk-17"):
        executable("java", "a Java 17 runtime (Debian: openjdk-17-jre-headless)")


def _exists(directory: str) -> bool:
    return Path(directory).exists()


def _gone(pids: list[int], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    """A zombie whose parent has not looked yet is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
