"""prelabel's handlers and follower over reference tables in memory: no broker, but real model files and sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from prometheus_client import CollectorRegistry

from services.prelabel.app import fetch_limits
from services.prelabel.handlers import Handlers
from services.prelabel.jobs.follower import ModelFollower
from services.prelabel.metrics import Metrics
from services.prelabel.settings import PrelabelSettings
from services.prelabel.store.files import keep_model, sha256_of
from services.prelabel.store.live import LiveModels
from services.prelabel.store.media import MediaFetcher
from shared.bus.records import Outgoing, Received, Record, outgoing
from shared.bus.references import CurrentProject, References
from shared.events import (
    Content,
    Event,
    Item,
    Manifest,
    ModelPointer,
    ModelVersion,
    Prediction,
    ProjectPointer,
    ProjectSpec,
    ProjectVersion,
    Refresh,
)
from shared.labels import ChoiceSchema
from shared.runtime.settings import KafkaSettings
from shared.topics import ERASURES, MODELS, PREDICTIONS, PROJECTS, Topic
from tests.support.events import AT

E = TypeVar("E", bound=Event)
PROJECT = "p"


def received(events: Sequence[E]) -> list[Received[E]]:
    """As if read from one partition."""
    return [
        Received(event, Record("t", 0, number, event.key.encode(), b"", (), 0)) for number, event in enumerate(events)
    ]


def items(contents: Sequence[Content], project: str = PROJECT) -> list[Item]:
    return [
        Item(project_id=project, item_id=f"i{number}", content=content, created_at=AT)
        for number, content in enumerate(contents)
    ]


def refreshes(contents: Sequence[Content], generation: int, project: str = PROJECT) -> list[Refresh]:
    return [
        Refresh(
            project_id=project,
            item_id=f"i{number}",
            content=content,
            item_created_at=AT,
            generation=generation,
            requested_at=AT,
        )
        for number, content in enumerate(contents)
    ]


def predictions(outputs: Sequence[Outgoing]) -> list[Prediction]:
    """What was published, judged as a reader would."""
    assert {output.topic for output in outputs} <= {PREDICTIONS.name}
    return [PREDICTIONS.event.validate_json(output.value or b"") for output in outputs]


def settings(directory: Path, **more: Any) -> PrelabelSettings:
    kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
    fields: dict[str, Any] = {"kafka": kafka, "model_dir": directory, "refresh_wait_s": 0.3, **more}
    return PrelabelSettings(**fields)


@dataclass
class Prelabel:
    """The parts of one replica, wired as `app.build` wires them."""

    references: References
    live: LiveModels
    follower: ModelFollower
    handlers: Handlers
    metrics: Metrics
    registry: CollectorRegistry
    media: MediaFetcher
    directory: Path
    looked_up: list[str]
    offset: int = 0

    @classmethod
    def make(cls, directory: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> "Prelabel":
        references, live, registry = References(), LiveModels(), CollectorRegistry()
        made, metrics, looked_up = settings(directory, **more), Metrics(registry), []
        for table in (references.projects.table, references.models.table):

            async def refresh(name: str = table.topic.name) -> None:
                looked_up.append(name)

            monkeypatch.setattr(table, "refresh", refresh)
        follower = ModelFollower(references, live, made, metrics)
        media = MediaFetcher(fetch_limits(made))
        handlers = Handlers(
            references=references,
            live=live,
            ensure=follower.ensure,
            media=media,
            settings=made,
            metrics=metrics,
            clock=lambda: AT,
        )
        return cls(references, live, follower, handlers, metrics, registry, media, directory, looked_up)

    def publish(self, topic: Topic[Any], event: Event) -> None:
        """Into the reference tables."""
        sent = outgoing(topic, event, source="test")
        self.offset += 1
        record = Record(topic.name, 0, self.offset, sent.key, sent.value, (), 0)
        tables: dict[str, Any] = {
            PROJECTS.name: self.references.projects.table,
            MODELS.name: self.references.models.table,
            ERASURES.name: self.references.erasures.table,
        }
        tables[topic.name].apply(record)

    def project(
        self, classes: Sequence[str], *, data: str = "features", name: str = PROJECT, version: int = 1, **more: Any
    ) -> CurrentProject:
        label = more.pop("label", None) or ChoiceSchema(classes=tuple(classes))
        fields = {"project": name, "data": data, "label": label, **more}
        self.publish(
            PROJECTS,
            ProjectVersion(project_id=name, version=version, spec=ProjectSpec.model_validate(fields), applied_at=AT),
        )
        self.publish(PROJECTS, ProjectPointer(project_id=name, version=version, applied_at=AT))
        found = self.references.projects.current(name)
        assert found is not None
        return found

    def register(
        self, content: bytes, manifest: Manifest, *, version: str = "m1", project: str = PROJECT, **more: Any
    ) -> ModelVersion:
        """Keep the file and publish the version; `more` spoils single fields."""
        fields: dict[str, Any] = {
            "project_id": project,
            "version": version,
            "uri": keep_model(content, self.directory).resolve().as_uri(),
            "sha256": sha256_of(content),
            "size_bytes": len(content),
            "manifest": manifest,
            "registered_at": AT,
        }
        made = ModelVersion(**(fields | more))
        self.publish(MODELS, made)
        return made

    def promote(self, version: str, generation: int, project: str = PROJECT) -> None:
        self.publish(MODELS, ModelPointer(project_id=project, version=version, generation=generation, promoted_at=AT))

    async def predict(self, contents: Sequence[Content], project: str = PROJECT) -> list[Prediction]:
        return predictions(await self.handlers.on_items(received(items(contents, project))))

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where it was never touched."""
        return self.registry.get_sample_value(name, labels) or 0.0
