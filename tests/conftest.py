"""Servers that tests share, each started on first use. Nothing here is ever skipped: no server is a failure.

Children die with pytest even if it is killed (cli/stack/launch.py), and their files go at the next start.
"""

import contextlib
import subprocess
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from uuid import uuid4

import pytest

from cli.stack.kafka import resolve
from cli.stack.postgres import DATABASE, Postgres
from cli.stack.scratch import Scratch
from cli.stack.tansu import Tansu
from shared.errors import LabelstreamError
from shared.runtime.settings import KafkaSettings
from tests.support.brokers import Broker, real_kafka, use_docker
from tests.support.debian import chromium
from tests.support.leftovers import collect_left_behind
from tests.support.secure.postgres import programs
from tests.support.secure.tools import kafka_tools
from tests.support.servers import Database, plaintext, run_sync

_HERE = Path(__file__).parent
_MARKED = {"integration": "integration", "e2e": "e2e"}


@pytest.fixture(autouse=True, scope="module")
def _left_behind() -> Generator[None]:
    """What clients leave open when they are cut off goes with its file: no test of another one is blamed for it.

    That we close what is ours is tested by name (`bus/test_stopping.py`, `security/test_mechanisms.py`).
    """
    yield
    collect_left_behind()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks by directory; the slowest directories first, so that no worker waits for the last file of another."""
    items.sort(key=lambda item: [f"/{name}/" in str(item.path) for name in ("e2e", "integration")], reverse=True)
    for item in items:
        if item.path.is_relative_to(_HERE):
            directory = item.path.relative_to(_HERE).parts[0]
            if directory in _MARKED:
                item.add_marker(_MARKED[directory])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch what servers are made of before the first test's clock starts; if that fails, the fixture says why."""
    if session.config.option.collectonly:
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    with contextlib.suppress(LabelstreamError, subprocess.TimeoutExpired):
        if "secure" in wanted or (wanted & {"kafka", "own_kafka"} and not use_docker()):
            resolve()
        if "secure" in wanted:
            kafka_tools()
        if "tls_postgres" in wanted:
            programs()
        if "chromium" in wanted:
            chromium()


@pytest.fixture(scope="session")
def scratch() -> Generator[Path]:
    with Scratch() as directory:
        yield directory.path


@pytest.fixture(scope="session")
def kafka(scratch: Path) -> Generator[Broker]:
    """Real Apache Kafka, shared: use `prefix` for topics and groups, and never harm it (see `own_kafka`)."""
    broker = real_kafka(scratch / "kafka")
    try:
        run_sync(broker.start())
        yield broker
    finally:
        run_sync(broker.stop())


@pytest.fixture
async def own_kafka(tmp_path: Path) -> AsyncGenerator[Broker]:
    """A real Apache Kafka of the test's own, to kill and restart. Costs about 4 s."""
    broker = real_kafka(tmp_path / "kafka")
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()


@pytest.fixture(scope="session")
def tansu(scratch: Path) -> Generator[Tansu]:
    """The in-memory broker, shared."""
    broker = Tansu(scratch)
    try:
        run_sync(broker.start())
        yield broker
    finally:
        run_sync(broker.stop())


@pytest.fixture(scope="session")
def postgres() -> Generator[Postgres]:
    """One PostgreSQL server, shared: use `database`."""
    server = Postgres()
    run_sync(server.start())
    try:
        yield server
    finally:
        run_sync(server.stop())


@pytest.fixture
async def database(postgres: Postgres) -> AsyncGenerator[Database]:
    name = f"test_{uuid4().hex[:12]}"
    await postgres.create_database(name, template=DATABASE)
    yield Database(name, postgres)
    await postgres.drop_database(name)


@pytest.fixture
def prefix() -> str:
    """Before every topic and group of one test."""
    return f"t{uuid4().hex[:10]}."


@pytest.fixture
def kafka_settings(kafka: Broker, prefix: str) -> KafkaSettings:
    """For the shared Apache Kafka; topics are the test's to create (shared.bus.admin.create_topics)."""
    return plaintext(kafka.bootstrap, prefix, idempotence=True)


@pytest.fixture
def tansu_settings(tansu: Tansu, prefix: str) -> KafkaSettings:
    """For the shared in-memory broker."""
    return plaintext(tansu.bootstrap, prefix, idempotence=False)
