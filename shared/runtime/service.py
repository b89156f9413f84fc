"""One service process: its subscriptions, jobs and HTTP, brought up in order and drained in reverse."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import structlog
from faststream.kafka import KafkaBroker
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from shared.bus.access import access_of
from shared.bus.broker import make_broker
from shared.bus.consumer import Consumer
from shared.bus.forwarding import ForwardingConsumer, Transform
from shared.bus.publisher import Publisher
from shared.bus.records import Record
from shared.bus.references import References
from shared.bus.relay import Relay
from shared.bus.transactional import Handler, TransactionalConsumer
from shared.bus.unit import Unit
from shared.clock import Clock, utc_now
from shared.db.database import Database
from shared.errors import ConfigurationError
from shared.events import Event
from shared.runtime.application import Application
from shared.runtime.asyncapi import describe
from shared.runtime.health import Health, health_routes
from shared.runtime.metrics import BusMetrics
from shared.runtime.settings import DatabaseServiceSettings, ServiceSettings
from shared.runtime.startup import bring_up
from shared.topics import Topic

log = structlog.get_logger(__name__)
E = TypeVar("E", bound=Event)
Job = Callable[[], Awaitable[None]]
Check = Callable[[], str | None]


class Service:
    """Declared in `app.py`, started by its ASGI lifespan.

    Args:
        name: the service, which is also its schema, role and part of its group names.
        settings: its settings.
        migrations: its folder of SQL files; absent for a service without a database.
        clock: the wall clock.
    """

    def __init__(
        self, name: str, settings: ServiceSettings, *, migrations: Path | None = None, clock: Clock = utc_now
    ) -> None:
        self.name = name
        self.settings = settings
        self.migrations = migrations
        self.clock = clock
        self.registry = CollectorRegistry()
        self.metrics = BusMetrics(self.registry)
        self.references = References()
        self.access = access_of(settings.kafka)
        self.publisher = Publisher(settings.kafka)
        self.broker: KafkaBroker = make_broker(name, settings)
        self.consumers: list[Consumer[Any]] = []
        self.outputs: list[Topic[Any]] = []
        self.rebuilds: list[tuple[Topic[Any], Handler[Any]]] = []
        self.jobs: list[tuple[str, float, Job]] = []
        self.tasks: list[tuple[str, Job]] = []
        self.hooks: list[Job] = []
        self.stops: list[Job] = []
        self.checks: dict[str, Check] = {}
        self.health = Health(self)
        self.fatal = asyncio.Event()
        self._mounts: list[Mount] = []
        self._database: Database | None = None
        self._relay: Relay | None = None
        if migrations is not None:
            if not isinstance(settings, DatabaseServiceSettings):
                raise ConfigurationError(f"{name} has migrations, its settings must be DatabaseServiceSettings")
            self._database = Database(name, settings)
            self._relay = Relay(
                self._database,
                self.publisher,
                poll_s=settings.outbox_poll_ms / 1000,
                pace_s=settings.outbox_pace_ms / 1000,
            )

    @property
    def database(self) -> Database:
        """The service's PostgreSQL.

        Raises:
            ConfigurationError: the service was declared without migrations.
        """
        if self._database is None:
            raise ConfigurationError(f"{self.name} has no database")
        return self._database

    @property
    def has_database(self) -> bool:
        return self._database is not None

    @property
    def relay(self) -> Relay:
        if self._relay is None:
            raise ConfigurationError(f"{self.name} has no outbox")
        return self._relay

    def consume(
        self,
        topic: Topic[E],
        handler: Handler[E],
        *,
        max_records: int | None = None,
        passes_over: Callable[[Record], bool] | None = None,
        pace_ms: int | None = None,
    ) -> None:
        """Read a topic with exactly-once effect in PostgreSQL.

        Records that `passes_over` knows by their headers to tell this service nothing are neither parsed nor judged;
        not for the DLQ owner of the topic. `pace_ms` is this topic's own pace, else the service's counts.
        """
        consumer = TransactionalConsumer(
            self.name,
            topic,
            handler,
            settings=self.settings,
            metrics=self.metrics,
            database=self.database,
            relay=self.relay,
            clock=self.clock,
            passes_over=passes_over,
            pace_ms=pace_ms,
        )
        self._add(consumer, max_records)

    def forward(self, topic: Topic[E], transform: Transform[E], *, max_records: int | None = None) -> None:
        """Read a topic and publish what `transform` makes of each batch, at least once."""
        consumer = ForwardingConsumer(
            self.name, topic, transform, settings=self.settings, metrics=self.metrics, publisher=self.publisher
        )
        self._add(consumer, max_records)

    def add(self, consumer: Consumer[Any], *, max_records: int | None = None) -> None:
        """Read a topic with a consumer of the service's own kind."""
        self._add(consumer, max_records)

    def _add(self, consumer: Consumer[Any], max_records: int | None) -> None:
        consumer.register(self.broker, max_records=max_records or self.settings.max_records)
        self.metrics.consumes(consumer.topic.name)
        self.consumers.append(consumer)

    def reads(self, *topics: Topic[Any]) -> None:
        """Hold these reference topics in memory."""
        self.references.subscribe(*topics)

    def writes(self, *topics: Topic[Any]) -> None:
        """Declare what this service publishes."""
        self.outputs.extend(topics)

    def rebuild(self, topic: Topic[E], handler: Handler[E]) -> None:
        """Read back this service's own output that the database does not know yet, before anything is decided.

        The handler folds facts only; what it emits is refused.
        """
        self.rebuilds.append((topic, handler))

    def every(self, seconds: float, name: str, job: Job) -> None:
        """Run a job again and again, `seconds` after it ended; a failure is counted and logged, never fatal."""
        self.metrics.job_failures.labels(name)
        self.jobs.append((name, seconds, job))

    def background(self, name: str, run: Job) -> None:
        """Run a task from start to drain; it is started again when it fails."""
        self.metrics.job_failures.labels(name)
        self.tasks.append((name, run))

    def on_start(self, hook: Job) -> None:
        """Run once, when references are loaded and before consumers start."""
        self.hooks.append(hook)

    def on_stop(self, hook: Job) -> None:
        """Run once, after the drain."""
        self.stops.append(hook)

    def readiness(self, name: str, check: Check) -> None:
        """Add a readiness check: None, or why not."""
        self.checks[name] = check

    def mount(self, path: str, app: ASGIApp) -> None:
        """Serve an ASGI application under a path."""
        self._mounts.append(Mount(path, app))

    @asynccontextmanager
    async def unit(self) -> AsyncGenerator[Unit]:
        """A transaction of the API or of a job; what it emits goes through the outbox."""
        async with self.database.transaction() as connection:
            unit = Unit(self.name, connection, self.clock())
            yield unit
            await unit.finish({})
        self.committed(unit)

    def committed(self, unit: Unit) -> None:
        """What a unit made is in the database: have it published, and do what was to be done afterwards."""
        if unit.published:
            self.metrics.published.inc(unit.published)
            self.relay.wake()
        for told in unit.afterwards:
            told()

    def asyncapi(self) -> dict[str, Any]:
        """The AsyncAPI 3.0 document of what this service really subscribes to and declares to write."""
        inputs = [consumer.topic for consumer in self.consumers]
        references = [table.topic for table in self.references.subscribed]
        return describe(self.name, [*inputs, *references], self.outputs)

    def asgi(self) -> ASGIApp:
        """The service as one ASGI application."""
        return Application(
            health_routes(self.health), self._mounts, self._lifespan, lambda: self.health.starting is not None
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None]:
        running = asyncio.create_task(bring_up(self))
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
