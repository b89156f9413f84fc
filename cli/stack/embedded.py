"""The whole stack in one object: broker, PostgreSQL, topics and services, started in order and ended in reverse."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from cli.migrate import migrate_all
from cli.stack.children import free_port
from cli.stack.kafka import Kafka
from cli.stack.postgres import ROLES, Postgres
from cli.stack.processes import ServiceProcess, watch
from cli.stack.scratch import Scratch, base_directory
from cli.stack.tansu import Tansu
from shared.bus.admin import create_topics
from shared.errors import ConfigurationError
from shared.runtime.settings import KafkaSettings
from shared.topics import MONITOR, PRELABEL, PROCESSES, QC, SERVICES, TRAINER

BrokerKind = Literal["tansu", "kafka", "external"]
_ENV = "LABELSTREAM_"
_NICE = {PRELABEL: "5", QC: "10", MONITOR: "10", TRAINER: "5"}
"""Of all but assignment, which people wait for; what they wait for least yields most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What to start.

    Attributes:
        broker: "tansu" keeps nothing; "kafka" is Apache Kafka on the local JVM; "external" is the one that
            LABELSTREAM_KAFKA_* names.
        data_dir: where Kafka's and PostgreSQL's data are kept; None for temporary ones. Not with broker "tansu": a
            database must not outlive its topics.
        run_dir: for log files; the temporary directory when None.
        prefix: before every topic and group; an external broker's own LABELSTREAM_KAFKA_PREFIX when empty.
        partitions: of each topic that groups read.
        services: which of the four, and the trainer, to start, in this order.
        ports: service to HTTP port; free ones where absent.
        kafka_port: of Apache Kafka's clients; a free one when None.
        model_dir: prelabel's model files; below the data or temporary directory when None.
        settings: further environment variables of all services; they win.
        ready_within_s: seconds for the services to become ready, all together.
    """

    broker: BrokerKind = "tansu"
    data_dir: Path | None = None
    run_dir: Path | None = None
    prefix: str = ""
    partitions: int = 4
    services: Sequence[str] = SERVICES
    ports: Mapping[str, int] = field(default_factory=dict)
    kafka_port: int | None = None
    model_dir: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 90


class Stack:
    """`async with Stack(StackOptions()) as stack:` has everything ready inside and leaves no process behind.

    Attributes:
        bootstrap: the broker's address.
        kafka: settings of a client of this process.
        database_urls: service to the URL of its role.
        services: name to process.
        urls: name to the base URL of its HTTP.
        environment: the variables that connect another process (a CLI command) to this stack.
        broker: the embedded broker; None if it is external.
        postgres: the embedded server; None if every service was given a database.
    """

    def __init__(self, options: StackOptions | None = None) -> None:
        self.options = options or StackOptions()
        if self.options.data_dir is not None and self.options.broker == "tansu":
            raise ConfigurationError(
                "broker tansu cannot be combined with a data directory: the database would belong to topics that are "
                "gone; use broker kafka"
            )
        self.bootstrap = ""
        self.environment: dict[str, str] = {}
        self.database_urls: dict[str, str] = {}
        self.services: dict[str, ServiceProcess] = {}
        self.broker: Tansu | Kafka | None = None
        self.postgres: Postgres | None = None
        self._run_dir = self.options.run_dir or base_directory()
        self._keep_dir = self.options.data_dir or base_directory()
        self._exit = AsyncExitStack()

    @property
    def urls(self) -> dict[str, str]:
        return {name: service.url for name, service in self.services.items()}

    @property
    def kafka(self) -> KafkaSettings:
        prefix = f"{_ENV}KAFKA_"
        given = {key.removeprefix(prefix).lower(): v for key, v in self.environment.items() if key.startswith(prefix)}
        return KafkaSettings.model_validate(given)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as started:
            scratch = started.enter_context(Scratch())
            self._run_dir = self.options.run_dir or scratch.path / "logs"
            self._keep_dir = self.options.data_dir or scratch.path
            async with asyncio.TaskGroup() as group:
                group.create_task(self._start_broker(started))
                group.create_task(self._start_postgres(started))
            await create_topics(self.kafka, partitions=self.options.partitions)
            started.push_async_callback(self.drain)
            await self._start_services()
            self._exit = started.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    async def drain(self) -> None:
        """SIGTERM to all services at once; whoever takes too long is killed."""
        async with asyncio.TaskGroup() as group:
            for service in self.services.values():
                group.create_task(service.drain())

    async def watch(self) -> None:
        """Never returns; raises ChildFailed as soon as a service ends by itself."""
        await watch(self.services)

    def service_environment(self, name: str) -> dict[str, str]:
        """The settings of one service: what all share, and its own address and database. Never another's password."""
        own = f"{_ENV}{name.upper()}_"
        port = self.options.ports.get(name) or free_port()
        environment = {**self.environment, f"{own}HOST": "127.0.0.1", f"{own}PORT": str(port)}
        if name in self.database_urls:
            environment[f"{own}DATABASE_URL"] = self.database_urls[name]
            environment[f"{own}DATABASE_ALLOW_INSECURE"] = str(self.postgres is not None).lower()
        if name in _NICE:
            environment[f"{own}NICE"] = _NICE[name]
        if name == TRAINER:
            environment[f"{own}DIRECTORY"] = str(self._keep_dir / "training")
        if name in {PRELABEL, TRAINER}:
            environment[f"{own}MODEL_DIR"] = str(self.options.model_dir or self._keep_dir / "models")
        own_names = tuple(f"{_ENV}{other.upper()}_" for other in PROCESSES if other != name)
        given = {key: value for key, value in self.options.settings.items() if not key.startswith(own_names)}
        return {**environment, **given}

    async def _start_broker(self, started: AsyncExitStack) -> None:
        if self.options.broker == "external":
            self.environment |= {key: v for key, v in os.environ.items() if key.startswith(f"{_ENV}KAFKA_")}
            if self.options.prefix:
                self.environment[f"{_ENV}KAFKA_PREFIX"] = self.options.prefix
            self.bootstrap = self.kafka.bootstrap
            return
        broker: Tansu | Kafka
        if self.options.broker == "tansu":
            broker = Tansu(self._run_dir)
        else:
            broker = Kafka(self._keep_dir / "kafka", port=self.options.kafka_port)
        self.broker = broker
        started.push_async_callback(broker.stop)
        await broker.start()
        self.bootstrap = broker.bootstrap
        self.environment |= {
            f"{_ENV}KAFKA_BOOTSTRAP": broker.bootstrap,
            f"{_ENV}KAFKA_PREFIX": self.options.prefix,
            f"{_ENV}KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
            f"{_ENV}KAFKA_ALLOW_INSECURE": "true",
            f"{_ENV}KAFKA_IDEMPOTENCE": str(broker.idempotence).lower(),
            f"{_ENV}KAFKA_SESSION_TIMEOUT_MS": str(broker.session_timeout_ms),
            f"{_ENV}KAFKA_HEARTBEAT_INTERVAL_MS": str(broker.session_timeout_ms // 6),
        }

    async def _start_postgres(self, started: AsyncExitStack) -> None:
        variables = {role: f"{_ENV}{role.upper()}_DATABASE_URL" for role in ROLES}
        given = {role: os.environ[name] for role, name in variables.items() if os.environ.get(name)}
        if len(given) == len(ROLES):  # migrating servers of their own is the operator's: `labelstream migrate`
            self.database_urls = given
            return
        if given:
            missing = ", ".join(name for role, name in variables.items() if role not in given)
            raise ConfigurationError(f"some services have a database and some have not: set {missing} too, or none")
        data = self.options.data_dir / "postgres" if self.options.data_dir is not None else None
        self.postgres = Postgres(data, log=self._run_dir / "postgres.log")
        started.push_async_callback(self.postgres.stop)
        await self.postgres.start()
        self.database_urls = {role: self.postgres.url(role) for role in ROLES}
        await migrate_all(self.database_urls)

    async def _start_services(self) -> None:
        for name in self.options.services:
            environment = self.service_environment(name)
            url = f"http://127.0.0.1:{environment[f'{_ENV}{name.upper()}_PORT']}"
            service = self.services[name] = ServiceProcess(name, environment, directory=self._run_dir, url=url)
            service.spawn()
        async with asyncio.TaskGroup() as group:
            for service in self.services.values():
                group.create_task(service.wait_ready(self.options.ready_within_s))
