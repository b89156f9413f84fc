"""monitor's handlers on a real PostgreSQL, without Kafka: batches come from the test."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.monitor.domain.counters import Counts
from services.monitor.handlers import Handlers, MonitorEraser
from services.monitor.store import Store
from shared.bus.erasing import Erasing
from shared.bus.records import Outgoing, Received, Record, outgoing
from shared.bus.references import Projects
from shared.bus.unit import Unit
from shared.db.store import list_outbox
from shared.events import Event
from shared.topics import ERASURES, PROJECTS, Topic
from tests.support import events as make


def received(topic: Topic[Any], event: Any, offset: int = 0) -> Received[Any]:
    out = outgoing(topic, event, source="test")
    return Received(event, Record(topic.name, 0, offset, out.key, out.value, out.headers, 0))


def known_projects(*specs: Any) -> Projects:
    """The reference topic, loaded; an unknown project stays unknown without a broker."""
    projects = Projects()

    async def nothing_new() -> None: ...

    projects.table.refresh = nothing_new  # type: ignore[method-assign]
    for n, spec in enumerate(specs or (make.project_spec(),)):
        events: tuple[Event, ...] = (make.project_version(spec=spec), make.project_pointer(project_id=spec.project))
        for step, event in enumerate(events):
            projects.table.apply(received(PROJECTS, event, 2 * n + step).record)
    return projects


@dataclass
class Monitor:
    """One replica's handlers on a database of its own."""

    pool: Any
    projects: Projects = field(default_factory=known_projects)
    now: datetime = field(default_factory=lambda: make.at(1000))
    refused: list[tuple[str, str]] = field(default_factory=list)

    @property
    def handlers(self) -> Handlers:
        return Handlers(self.projects, bucket_s=60)

    @property
    def erasing(self) -> Erasing:
        return Erasing(MonitorEraser(), self.unit)

    @asynccontextmanager
    async def unit(self) -> AsyncGenerator[Unit]:
        async with self.pool.acquire() as connection, connection.transaction():
            unit = Unit("monitor", connection, self.now)
            yield unit
            await unit.finish({})
            self.refused += [(topic, reason.value) for topic, reason in unit.refused.elements()]

    async def handle(self, topic: Topic[Any], events: Sequence[Any], handler: str | None = None) -> None:
        """One batch, one transaction."""
        name = handler or f"on_{topic.name.removesuffix('.v1')}"
        async with self.unit() as unit:
            owner = self.erasing if topic is ERASURES else self.handlers
            await getattr(owner, name)([received(topic, event, n) for n, event in enumerate(events)], unit)

    async def published(self) -> list[Outgoing]:
        async with self.pool.acquire() as connection:
            return [record for _, records in await list_outbox(connection, 1000) for record in records]

    async def counts(self) -> Counts:
        async with self.pool.acquire() as connection:
            found = await Store(connection).list_counts(always=True)
            found.update(await Store(connection).list_counts())
            return type(found)({key: n for key, n in found.items() if n})
