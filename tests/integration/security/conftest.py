"""One Kafka that asks who is there, shared by these tests; each has a prefix, and so rights, of its own."""

from collections.abc import Generator
from pathlib import Path

import pytest

from shared.bus.acls import rights
from shared.bus.admin import create_topics
from shared.topics import SERVICES
from tests.support.leftovers import collect_left_behind
from tests.support.secure.kafka import SecureKafka
from tests.support.servers import plaintext, run_sync


@pytest.fixture(autouse=True)
def _refused() -> Generator[None]:
    """Here clients are refused all the time, and leave their sockets to the collector."""
    yield
    collect_left_behind()


@pytest.fixture(scope="session")
def secure(scratch: Path) -> Generator[SecureKafka]:
    server = SecureKafka(scratch / "secure")
    try:
        run_sync(server.start())
        yield server
    finally:
        server.stop()


@pytest.fixture
async def deployment(secure: SecureKafka, prefix: str) -> str:
    """The prefix of a deployment whose topics exist and whose services have their rights."""
    await create_topics(plaintext(secure.kafka.bootstrap, prefix, idempotence=True), partitions=1)
    secure.allow(one for service in SERVICES for one in rights(service, prefix=prefix))
    return prefix
