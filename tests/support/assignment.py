"""assignment on a real PostgreSQL, without Kafka: batches come from the test, the API is called in process."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from services.assignment.api import Identities, make_api
from services.assignment.app import MIGRATIONS
from services.assignment.handlers import AssignmentEraser, Handlers, rebuild_annotations, rebuild_labels, rebuild_routes
from services.assignment.jobs import Choosing, Housekeeping, QueueJobs, Retention, Sweeper
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from shared.bus.erasing import Erasing
from shared.bus.records import Received, Record, outgoing
from shared.db.store import list_outbox
from shared.events import Event, ProjectSpec
from shared.runtime.service import Service
from shared.runtime.settings import KafkaSettings
from shared.topics import (
    ANNOTATIONS,
    BY_NAME,
    ERASURES,
    GOLD_ITEMS,
    GUIDELINES,
    ITEMS,
    LABELS,
    MODELS,
    PREDICTIONS,
    PROJECTS,
    ROUTES,
    Topic,
)
from tests.support import events as make

ADMIN_TOKEN = "kW3z9QpL7vXn2RbT5mYc8JdH4gFs6AeU"
REBUILDS = {ROUTES.name: rebuild_routes, LABELS.name: rebuild_labels, ANNOTATIONS.name: rebuild_annotations}


def received(topic: Topic[Any], event: Any, offset: int = 0) -> Received[Any]:
    out = outgoing(topic, event, source="test")
    return Received(event, Record(topic.name, 0, offset, out.key, out.value, out.headers, 0))


def settings(url: str, **more: Any) -> AssignmentSettings:
    kafka = KafkaSettings(allow_insecure=True, security_protocol="PLAINTEXT")
    known: dict[str, Any] = {
        "kafka": kafka, "database_url": url, "database_allow_insecure": True, "database_pool_size": 24,
        "admin_token": ADMIN_TOKEN, "token_cache_s": 0.001,
    }  # fmt: skip
    return AssignmentSettings(**(known | more))


@dataclass
class Replica:
    """One replica on a database of a test's own."""

    url: str
    more: dict[str, Any] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = settings(self.url, **self.more)
        self.service = Service("assignment", self.settings, migrations=MIGRATIONS)
        self.metrics = AssignmentMetrics(self.service.registry)
        self.handlers = Handlers(self.service.references, self.metrics)
        self.erasing = Erasing(AssignmentEraser(self.metrics), self.service.unit)
        self.housekeeping = Housekeeping(self.service, self.settings, self.metrics)
        self.queue = QueueJobs(self.service, self.settings, self.metrics, self.handlers.outlook)
        self.choosing = Choosing(self.service, self.settings, self.metrics)
        self.retention = Retention(self.service, self.settings, self.metrics)
        self.sweeper = Sweeper(self.service, self.settings, self.metrics)
        self.identities = Identities(self.service, self.settings, self.housekeeping)
        self.api: FastAPI = make_api(self.service, self.settings, self.metrics, self.housekeeping, self.identities)
        self._offset = 0
        for table in self._tables().values():
            table.refresh = self._nothing_new

    async def _nothing_new(self) -> None: ...

    def _tables(self) -> dict[str, Any]:
        references = self.service.references
        return {
            PROJECTS.name: references.projects.table,
            GUIDELINES.name: references.guidelines.table,
            GOLD_ITEMS.name: references.gold_items.table,
            MODELS.name: references.models.table,
        }

    def publish(self, topic: Topic[Any], *events: Event) -> None:
        """Put events on a reference topic."""
        for event in events:
            self._offset += 1
            self._tables()[topic.name].apply(received(topic, event, self._offset).record)

    def project(self, spec: ProjectSpec | None = None, version: int = 1) -> None:
        spec = spec or make.project_spec()
        self.publish(
            PROJECTS,
            make.project_version(version, spec=spec),
            make.project_pointer(version, project_id=spec.project),
        )

    async def handle(self, topic: Topic[Any], *events: Any) -> None:
        """One batch, one transaction."""
        async with self.service.unit() as unit:
            owner = self.erasing if topic is ERASURES else self.handlers
            handler: Any = getattr(owner, f"on_{topic.name.removesuffix('.v1')}")
            await handler([received(topic, event, n) for n, event in enumerate(events)], unit)
            self.refused += [(name, reason.value) for name, reason in unit.refused.elements()]

    async def rebuild(self, topic: Topic[Any], *events: Any) -> None:
        """Read own output back."""
        async with self.service.unit() as unit:
            fold: Any = self.erasing.on_erasures if topic is ERASURES else REBUILDS[topic.name]
            await fold([received(topic, event, n) for n, event in enumerate(events)], unit)
            assert not unit.published

    async def published(self, topic: Topic[Any] | None = None) -> list[Any]:
        """Every event in the outbox, dead letters apart."""
        async with self.service.database.transaction() as connection:
            records = [record for _, several in await list_outbox(connection, 100_000) for record in several]
        own = [r for r in records if r.topic in BY_NAME and (topic is None or r.topic == topic.name)]
        return [BY_NAME[r.topic].event.validate_json(r.value or b"") for r in own]

    async def sql(self, statement: str, *arguments: Any) -> list[Any]:
        async with self.service.database.transaction() as connection:
            rows: list[Any] = await connection.fetch(statement, *arguments)
            return rows

    def client(self, token: str = ADMIN_TOKEN) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.api),
            base_url="http://assignment",
            headers={"authorization": f"Bearer {token}"},
        )

    async def person(
        self, name: str, role: str = "annotator", projects: Sequence[str] | None = None
    ) -> httpx.AsyncClient:
        """Add somebody; their client."""
        async with self.client() as admin:
            body = {"annotators": [{"id": name, "role": role, "projects": projects}]}
            response = await admin.post("/v1/annotators", json=body)
            token = response.json()["results"][0]["token"]
        return self.client(token)

    async def seed(self, number: int, *, confidence: float = 0.6, first: int = 0) -> list[str]:
        """Items with predictions; what the policy does not accept waits for people."""
        names = [f"i{n:06}" for n in range(first, first + number)]
        await self.handle(ITEMS, *(make.item(name, text=f"text of {name}") for name in names))
        await self.handle(PREDICTIONS, *(make.prediction(name, confidence=confidence) for name in names))
        return names
