"""What the fixtures hand to a test."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from cli.stack.kafka import Kafka
from cli.stack.postgres import Postgres
from cli.stack.tansu import Tansu
from shared.runtime.settings import KafkaSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test's own, with every service's role and empty schema."""

    name: str
    server: Postgres

    def url(self, service: str) -> str:
        return self.server.url(service, self.name)

    @property
    def admin_url(self) -> str:
        """The superuser's, over a private socket."""
        return self.server.admin_url(self.name)


def plaintext(bootstrap: str, prefix: str, *, idempotence: bool) -> KafkaSettings:
    """Settings for a test broker, with sessions that are quick to begin and to end.

    On tansu, which is the one without idempotence, every join of a group waits half a session.
    """
    session_timeout_ms = Kafka.session_timeout_ms if idempotence else Tansu.session_timeout_ms
    return KafkaSettings(
        bootstrap=bootstrap,
        prefix=prefix,
        security_protocol="PLAINTEXT",
        allow_insecure=True,
        idempotence=idempotence,
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=session_timeout_ms // 6,
    )


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a loop of its own: session fixtures are synchronous, so that no test's loop owns them."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)
