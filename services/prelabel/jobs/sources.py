"""Runs the sources that the project files name, and follows their changes without a restart."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from aiokafka.errors import KafkaError

from services.prelabel.jobs.reader import SourceReader
from services.prelabel.metrics import Metrics
from services.prelabel.settings import PrelabelSettings
from shared.bus.publisher import Publisher
from shared.bus.references import CurrentProject, References
from shared.errors import ConfigurationError, InvariantBroken, RetryLater
from shared.events import ProjectSpec, Source

log = structlog.get_logger(__name__)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """A source that should be read. Two plans are equal where a reader would do the same."""

    spec: ProjectSpec
    source: Source

    @property
    def key(self) -> Key:
        return self.spec.project, self.source.name

    def same(self, other: "Plan") -> bool:
        """Whether nothing that a reader looks at differs; the policy may."""
        return (self.source, self.spec.data, self.spec.label) == (other.source, other.spec.data, other.spec.label)


def plans(projects: Iterable[CurrentProject]) -> dict[Key, Plan]:
    """Every source that is not paused, by itself or with its project."""
    found = [
        Plan(project.spec, source)
        for project in projects
        if not project.paused
        for source in project.spec.sources
        if not source.paused
    ]
    return {plan.key: plan for plan in found}


class Sources:
    """One reader per source. A reader that fails starts again; one whose configuration is wrong waits for another."""

    def __init__(
        self, references: References, publisher: Publisher, settings: PrelabelSettings, metrics: Metrics
    ) -> None:
        self._projects = references.projects
        self._erasures = references.erasures
        self._publisher = publisher
        self._settings = settings
        self._metrics = metrics
        self._running: dict[Key, tuple[Plan, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Follow the projects until cancelled."""
        self._running.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._adjust(group)
                await asyncio.sleep(self._settings.source_poll_s)

    async def _adjust(self, group: asyncio.TaskGroup) -> None:
        wanted = plans(self._projects.all())
        for key, (plan, task) in list(self._running.items()):
            if key not in wanted or not plan.same(wanted[key]):
                task.cancel()
                await asyncio.wait([task])
                del self._running[key]
                self._metrics.source_stopped.labels(*key).set(0)
                self._metrics.source_lag.labels(*key).set(0)
                log.info("source_stopped", project=key[0], source=key[1])
        for key in wanted.keys() - self._running.keys():
            self._running[key] = (wanted[key], group.create_task(self._read(wanted[key]), name=f"source {key}"))

    async def _read(self, plan: Plan) -> None:
        while True:
            try:
                await SourceReader(
                    plan.spec,
                    plan.source,
                    self._publisher,
                    erasures=self._erasures,
                    settings=self._settings,
                    metrics=self._metrics,
                ).run()
            except (ConfigurationError, InvariantBroken) as error:
                self._metrics.source_stopped.labels(*plan.key).set(1)
                log.error("source_refused", project=plan.key[0], source=plan.key[1], detail=str(error))
                return
            except (KafkaError, RetryLater, OSError, TimeoutError) as error:
                log.warning(
                    "source_interrupted",
                    project=plan.key[0],
                    source=plan.key[1],
                    error=str(error)[:300] or type(error).__name__,
                )
            except Exception:
                log.exception("source_failed", project=plan.key[0], source=plan.key[1])
            self._metrics.source_failures.labels(*plan.key).inc()
            await asyncio.sleep(self._settings.source_retry_s)
