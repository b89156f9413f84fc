"""assignment, qc and monitor in this process, on real Kafka and PostgreSQL, and commands as an operator runs them."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from services.assignment.app import MIGRATIONS as ASSIGNMENT_SQL
from services.assignment.app import build as build_assignment
from services.assignment.settings import AssignmentSettings
from services.monitor.app import MIGRATIONS as MONITOR_SQL
from services.monitor.app import build as build_monitor
from services.monitor.settings import MonitorSettings
from services.qc.app import MIGRATIONS as QC_SQL
from services.qc.app import build as build_qc
from services.qc.settings import QcSettings
from shared.bus.publisher import Publisher
from shared.bus.records import Outgoing, outgoing
from shared.db.migrate import migrate
from shared.events import Event
from shared.runtime.settings import KafkaSettings
from shared.topics import Topic
from tests.support.assignment import ADMIN_TOKEN
from tests.support.probe import running, until
from tests.support.servers import Database

SQL = {"assignment": ASSIGNMENT_SQL, "qc": QC_SQL, "monitor": MONITOR_SQL}


@dataclass
class Deployment:
    """Topics and databases of one test."""

    kafka: KafkaSettings
    database: Database
    urls: dict[str, str] = field(init=False)
    monitor: httpx.AsyncClient | None = None

    def __post_init__(self) -> None:
        self.urls = {service: self.database.url(service) for service in SQL}

    async def migrate(self) -> None:
        for service, folder in SQL.items():
            async with self.connected(service) as connection:
                await migrate(connection, service, folder)

    @asynccontextmanager
    async def connected(self, service: str) -> AsyncGenerator[Any]:
        connection = await asyncpg.connect(self.urls[service], server_settings={"search_path": service})
        try:
            yield connection
        finally:
            await connection.close()

    async def value(self, service: str, query: str, *arguments: Any) -> Any:
        async with self.connected(service) as connection:
            return await connection.fetchval(query, *arguments)

    async def publish(self, topic: Topic[Any], *events: Event) -> None:
        await self.send(*(outgoing(topic, event, source="test") for event in events))

    async def send(self, *records: Outgoing) -> None:
        async with Publisher(self.kafka) as publisher:
            await publisher.publish(list(records))

    @asynccontextmanager
    async def services(
        self, qc_settings: Mapping[str, Any] | None = None, monitor_settings: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[httpx.AsyncClient]:
        """All three, ready; assignment's API. Monitor's is kept in `monitor`."""
        common: dict[str, Any] = {"kafka": self.kafka, "database_allow_insecure": True}
        assignment = build_assignment(
            AssignmentSettings(database_url=self.urls["assignment"], admin_token=ADMIN_TOKEN, **common)
        )
        qc = build_qc(QcSettings(database_url=self.urls["qc"], **common, **(qc_settings or {})))
        monitor = build_monitor(
            MonitorSettings(database_url=self.urls["monitor"], **common, **(monitor_settings or {}))
        )
        async with running(assignment) as http, running(qc), running(monitor) as self.monitor:
            yield http

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Of a command, with more variables."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LABELSTREAM_")}
        found = {
            "LABELSTREAM_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "LABELSTREAM_KAFKA_PREFIX": self.kafka.prefix,
            "LABELSTREAM_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
            "LABELSTREAM_KAFKA_ALLOW_INSECURE": "true",
        }
        for service, url in self.urls.items():
            found[f"LABELSTREAM_{service.upper()}_DATABASE_URL"] = url
            found[f"LABELSTREAM_{service.upper()}_DATABASE_ALLOW_INSECURE"] = "true"
        return clean | found | dict(more or {})

    async def run(self, *arguments: str, more: Mapping[str, str] | None = None) -> tuple[int, str]:
        """`labelstream ARGUMENTS`: exit code and stdout."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", *arguments, env=self.environment(more), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
        return process.returncode or 0, printed.decode()

    async def json(self, *arguments: str, code: int = 0, more: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The same with --json, which ends in `code`."""
        ended, printed = await self.run(*arguments, "--json", more=more)
        assert ended == code, printed
        found: dict[str, Any] = json.loads(printed)
        return found

    async def until(self, service: str, query: str, expected: Any, within_s: float = 20) -> None:
        """Wait until a query says so."""

        async def so() -> bool:
            return bool(await self.value(service, query) == expected)

        await until(so, within_s)
