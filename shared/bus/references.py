"""Reference topics: compacted, read from the start by every replica without a group, and held in memory.

Scaling: memory grows with projects, models, guideline versions and gold items, never with the items of the stream.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from shared.bus.reader import open_reader, read_to_end
from shared.bus.records import Record, record_of
from shared.bus.validate import Rejected, decode
from shared.errors import RetryLater
from shared.events import (
    Erasure,
    Event,
    GoldAnswer,
    GoldItem,
    GuidelinePointer,
    GuidelineVersion,
    ModelPointer,
    ModelVersion,
    ProjectPointer,
    ProjectSpec,
    ProjectVersion,
    in_present_names,
)
from shared.labels import SAME, Names, names_of
from shared.runtime.settings import KafkaSettings
from shared.topics import ERASURES, GOLD_ANSWERS, GOLD_ITEMS, GUIDELINES, MODELS, PROJECTS, Topic

log = structlog.get_logger(__name__)
E = TypeVar("E", bound=Event)
RETRY_S = 1.0


class Table(Generic[E]):
    """The latest event of each key of one reference topic."""

    def __init__(self, topic: Topic[E]) -> None:
        self.topic = topic
        self.latest: dict[str, E] = {}
        self.loaded = False
        self._seen: dict[int, int] = {}
        self._offsets: dict[str, int] = {}
        self._listeners: list[Callable[[str, E | None], None]] = []
        self._kafka: KafkaSettings | None = None
        self._refreshing = asyncio.Lock()

    def attach(self, kafka: KafkaSettings) -> None:
        """Say where the topic is, before `refresh` or `follow`."""
        self._kafka = kafka

    def on_change(self, listener: Callable[[str, E | None], None]) -> None:
        """Call `listener(key, event)` at each change; the event is None when the key was deleted."""
        self._listeners.append(listener)

    def apply(self, record: Record) -> None:
        """Take one record in. The same or an older record of a key changes nothing."""
        self._seen[record.partition] = max(self._seen.get(record.partition, 0), record.offset + 1)
        if record.key is None:
            return
        key = record.key.decode("utf-8", "replace")
        if record.offset < self._offsets.get(key, -1):
            return
        if record.value is None:
            self._offsets[key] = record.offset
            if self.latest.pop(key, None) is not None:
                self._tell(key, None)
            return
        judged = decode(self.topic, record, max_bytes=16 * 1_048_576)
        if isinstance(judged, Rejected):
            log.warning("reference_refused", topic=self.topic.name, offset=record.offset, reason=judged.reason.value)
            return
        self._offsets[key] = record.offset
        if self.latest.get(key) != judged.event:
            self.latest[key] = judged.event
            self._tell(key, judged.event)

    def _tell(self, key: str, event: E | None) -> None:
        for listener in self._listeners:
            listener(key, event)

    async def refresh(self) -> None:
        """Read on to the end that the topic has now.

        Raises:
            RetryLater: Kafka does not answer, or the topic does not exist.
        """
        if self._kafka is None:
            raise RetryLater(f"{self.topic.name} is not attached to a cluster yet")
        async with self._refreshing:
            async with aclosing(read_to_end(self._kafka, self.topic.name, dict(self._seen))) as chunks:
                async for records in chunks:
                    for record in records:
                        self.apply(record)
            self.loaded = True

    async def follow(self) -> None:
        """Take in what comes, until cancelled."""
        while True:
            try:
                await self._follow()
            except (KafkaError, RetryLater, OSError) as error:
                log.warning("reference_interrupted", topic=self.topic.name, error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        if self._kafka is None:
            raise RetryLater(f"{self.topic.name} is not attached to a cluster yet")
        async with open_reader(self._kafka, self.topic.name, dict(self._seen), following=True) as consumer:
            await self._take(consumer, self._kafka.prefix)

    async def _take(self, consumer: AIOKafkaConsumer, prefix: str) -> None:
        while True:
            for raws in (await consumer.getmany(timeout_ms=1000, max_records=1000)).values():
                for raw in raws:
                    self.apply(record_of(raw, prefix))


@dataclass(frozen=True, slots=True)
class CurrentProject:
    """The version of a project that is in force."""

    project_id: str
    version: int
    spec: ProjectSpec
    paused: bool


Naming = Mapping[str, Names]
"""Project -> the present names of classes that were renamed; absent where none was."""


class Projects:
    """Projects and their versions, each with its classes as they are called now.

    `naming` is never changed: a batch keeps the one that it began with. What it says of later moments says the same of
    earlier ones, so that replicas which learn of a rename at different times agree in the end.
    """

    def __init__(self) -> None:
        self.table: Table[ProjectVersion | ProjectPointer] = Table(PROJECTS)
        self.naming: Naming = {}
        self._newest: dict[str, int] = {}
        self._specs: dict[tuple[str, int], ProjectSpec] = {}
        self.table.on_change(self._index)

    def _index(self, _: str, event: ProjectVersion | ProjectPointer | None) -> None:
        self._specs.clear()
        if isinstance(event, ProjectVersion) and event.version >= self._newest.get(event.project_id, 0):
            self._newest[event.project_id] = event.version
            names = names_of(event.spec.label)
            kept = {name: known for name, known in self.naming.items() if name != event.project_id}
            self.naming = kept | ({event.project_id: names} if names else {})

    def names(self, project_id: str) -> Names:
        """The present names of the project's classes."""
        return self.naming.get(project_id, SAME)

    def current(self, project_id: str) -> CurrentProject | None:
        """The version in force, or None where the project is unknown."""
        pointer = self.table.latest.get(f"{project_id}#current")
        if not isinstance(pointer, ProjectPointer):
            return None
        spec = self.spec(project_id, pointer.version)
        return None if spec is None else CurrentProject(project_id, pointer.version, spec, pointer.paused)

    def named_since(self, project_id: str) -> int:
        """The first version whose classes have the present names; 0 where none was ever renamed."""
        names = self.names(project_id)
        if not names:
            return 0
        known = (self.table.latest.get(f"{project_id}/{n}") for n in range(1, self._newest[project_id] + 1))
        return next(
            one.version for one in known if isinstance(one, ProjectVersion) and names_of(one.spec.label) == names
        )

    def spec(self, project_id: str, version: int) -> ProjectSpec | None:
        """One version's specification, in present names."""
        key = (project_id, version)
        if key not in self._specs:
            found = self.table.latest.get(f"{project_id}/{version}")
            if not isinstance(found, ProjectVersion):
                return None
            self._specs[key] = _in_present_names(found.spec, self.names(project_id))
        return self._specs[key]

    def all(self) -> list[CurrentProject]:
        """Every project in force, by name."""
        names = sorted(event.project_id for event in self.table.latest.values() if isinstance(event, ProjectPointer))
        return [project for name in names if (project := self.current(name)) is not None]

    async def known(self, ids: Iterable[str]) -> dict[str, CurrentProject]:
        """The current version of each project asked for; the unknown ones are absent.

        An unknown one is looked up once more at the topic's current end before it is said to be unknown.

        Raises:
            RetryLater: Kafka does not answer.
        """
        wanted = set(ids)
        if any(self.current(name) is None for name in wanted):
            await self.table.refresh()
        return {name: project for name in wanted if (project := self.current(name)) is not None}


def _in_present_names(spec: ProjectSpec, names: Names) -> ProjectSpec:
    label = names.schema(spec.label) if names else spec.label
    return spec if label is spec.label else spec.model_copy(update={"label": label})


@dataclass(frozen=True, slots=True)
class LiveModel:
    """The model that serves a project."""

    model: ModelVersion
    generation: int


class Models:
    """Registered models and the live one of each project."""

    def __init__(self) -> None:
        self.table: Table[ModelVersion | ModelPointer] = Table(MODELS)

    def live(self, project_id: str) -> LiveModel | None:
        """The promoted model, or None."""
        pointer = self.table.latest.get(f"{project_id}#live")
        if not isinstance(pointer, ModelPointer):
            return None
        model = self.version(project_id, pointer.version)
        return None if model is None else LiveModel(model, pointer.generation)

    def pointer(self, project_id: str) -> ModelPointer | None:
        """The latest promotion or rollback."""
        found = self.table.latest.get(f"{project_id}#live")
        return found if isinstance(found, ModelPointer) else None

    def shadow(self, project_id: str) -> ModelVersion | None:
        """The model on trial: of those with that status the one registered first, unless it is live; others wait."""
        pointer = self.pointer(project_id)
        live = None if pointer is None else pointer.version
        found = [
            event
            for event in self.table.latest.values()
            if isinstance(event, ModelVersion)
            and (event.project_id, event.status) == (project_id, "shadow")
            and event.version != live
        ]
        return min(found, key=lambda event: (event.registered_at, event.version), default=None)

    def version(self, project_id: str, version: str) -> ModelVersion | None:
        found = self.table.latest.get(f"{project_id}/{version}")
        return found if isinstance(found, ModelVersion) else None


class Guidelines:
    """Guideline versions."""

    def __init__(self) -> None:
        self.table: Table[GuidelineVersion | GuidelinePointer] = Table(GUIDELINES)

    def current(self, project_id: str) -> int:
        """The version in force; 0 where the project has none."""
        pointer = self.table.latest.get(f"{project_id}#current")
        return pointer.version if isinstance(pointer, GuidelinePointer) else 0

    def version(self, project_id: str, version: int) -> GuidelineVersion | None:
        found = self.table.latest.get(f"{project_id}/{version}")
        return found if isinstance(found, GuidelineVersion) else None


class GoldItems:
    """Gold items, without their answers."""

    def __init__(self) -> None:
        self.table: Table[GoldItem] = Table(GOLD_ITEMS)
        self._by_project: dict[str, dict[str, GoldItem]] = {}
        self.table.on_change(self._index)

    def _index(self, key: str, event: GoldItem | None) -> None:
        project_id, _, item_id = key.partition("/")
        items = self._by_project.setdefault(project_id, {})
        if event is None or event.retired:
            items.pop(item_id, None)
        else:
            items[item_id] = event

    def of(self, project_id: str) -> list[GoldItem]:
        """The gold items of a project that are not retired."""
        return list(self._by_project.get(project_id, {}).values())

    def get(self, project_id: str, item_id: str) -> GoldItem | None:
        return self._by_project.get(project_id, {}).get(item_id)


class GoldAnswers:
    """The answers, in present names; only qc subscribes."""

    def __init__(self, projects: Projects) -> None:
        self.table: Table[GoldAnswer] = Table(GOLD_ANSWERS)
        self._projects = projects

    def get(self, project_id: str, item_id: str) -> GoldAnswer | None:
        found = self.table.latest.get(f"{project_id}/{item_id}")
        return None if found is None else self._named(found)

    def of(self, project_id: str) -> list[GoldAnswer]:
        """The answers of a project, retired items among them."""
        return [self._named(answer) for answer in self.table.latest.values() if answer.project_id == project_id]

    def _named(self, answer: GoldAnswer) -> GoldAnswer:
        return in_present_names(answer, self._projects.names(answer.project_id))

    async def known(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], GoldAnswer]:
        """The answers asked for; unknown ones are absent, after a look at the topic's current end.

        Raises:
            RetryLater: Kafka does not answer.
        """
        wanted = set(keys)
        if any(self.get(*key) is None for key in wanted):
            await self.table.refresh()
        return {key: answer for key in wanted if (answer := self.get(*key)) is not None}


class Erasures:
    """What was erased, for a service that has no database to remember it in.

    Scaling: memory grows with erasures, about a kilobyte each.
    """

    def __init__(self) -> None:
        self.table: Table[Erasure] = Table(ERASURES)

    def has_item(self, project_id: str, item_id: str) -> bool:
        return f"{project_id}/{item_id}" in self.table.latest


class References:
    """The reference topics of a service; only the subscribed ones are read."""

    def __init__(self) -> None:
        self.projects = Projects()
        self.models = Models()
        self.guidelines = Guidelines()
        self.gold_items = GoldItems()
        self.gold_answers = GoldAnswers(self.projects)
        self.erasures = Erasures()
        self.subscribed: list[Table[Any]] = []

    def subscribe(self, *topics: Topic[Any]) -> None:
        """Read these topics, before the service is ready and from then on."""
        tables: dict[str, Table[Any]] = {
            PROJECTS.name: self.projects.table,
            MODELS.name: self.models.table,
            GUIDELINES.name: self.guidelines.table,
            GOLD_ITEMS.name: self.gold_items.table,
            GOLD_ANSWERS.name: self.gold_answers.table,
            ERASURES.name: self.erasures.table,
        }
        self.subscribed.extend(tables[topic.name] for topic in topics)

    async def load(self, kafka: KafkaSettings) -> None:
        """Read every subscribed topic to its end.

        Raises:
            RetryLater: Kafka does not answer, or a topic does not exist.
        """
        for table in self.subscribed:
            table.attach(kafka)
        try:
            async with asyncio.TaskGroup() as group:
                for table in self.subscribed:
                    group.create_task(table.refresh())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # as one table's: what to do about it is the same
