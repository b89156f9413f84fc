"""The training cycle: what is due, what comes of it."""

import asyncio
import functools
import hashlib
import importlib.metadata
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import structlog

from services.prelabel.store.files import ModelRefused, ModelUnavailable, sha256_of
from services.prelabel.store.objects import ObjectUnavailable
from services.prelabel.training.domain.due import due
from services.prelabel.training.domain.sets import Sides, candidate_name
from services.prelabel.training.jobs.publishing import Register
from services.prelabel.training.jobs.trials import Trials
from services.prelabel.training.jobs.work import Made, TrainingFailed, TrainingRefused, Workshop
from services.prelabel.training.metrics import Metrics
from services.prelabel.training.settings import TrainerSettings
from services.prelabel.training.store import reading
from services.prelabel.training.store.files import write_set
from services.prelabel.training.store.intake import OF_DRIFT, Alarm
from services.prelabel.training.store.kept import Kept
from shared.bus.publisher import Publisher
from shared.bus.references import CurrentProject, References
from shared.clock import Clock
from shared.events import ModelVersion, Training

log = structlog.get_logger(__name__)
PACKAGES = ("labelstream", "numpy", "onnx", "onnxruntime", "scikit-learn", "scipy", "skl2onnx")


class Cycle:
    """Looks at every project that is trained, one after the other: one training runs at a time."""

    def __init__(
        self,
        *,
        kept: Kept,
        references: References,
        publisher: Publisher,
        workshop: Workshop,
        trials: Trials,
        settings: TrainerSettings,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._kept = kept
        self._references = references
        self._register = Register(references, publisher, clock)
        self._workshop = workshop
        self._trials = trials
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._retry_at: dict[str, float] = {}

    async def run(self) -> None:
        """Judge what is on trial, then train what is due."""
        for project in self._references.projects.all():
            training = project.spec.training
            if training is None or time.monotonic() < self._retry_at.get(project.project_id, 0.0):
                continue
            try:
                await self._look(project, training)
            except (TrainingFailed, TrainingRefused, ModelRefused, ModelUnavailable, ObjectUnavailable) as error:
                self._retry_at[project.project_id] = time.monotonic() + self._settings.retry_s
                self._metrics.trainings.labels(project.project_id, "failed").inc()
                log.warning("training_failed", project=project.project_id, why=str(error))

    async def _look(self, project: CurrentProject, training: Training) -> None:
        name = project.project_id
        progress = await self._kept.run(lambda connection: reading.get_progress(connection, name))
        self._metrics.labels.labels(name).set(progress.labels)
        self._metrics.waiting.labels(name).set(progress.since)
        alarms = await self._trials.look(project, training, progress)
        if self._trials.pending(name, progress.version) is not None:
            return
        if not self._due(name, training, progress, alarms):
            return
        await self._train(project, training, progress)
        if alarms:
            events = [one.event_id for one in alarms]
            await self._kept.run(lambda connection: reading.handle_alarms(connection, name, events))

    def _due(self, name: str, training: Training, progress: reading.Progress, alarms: Sequence[Alarm]) -> bool:
        return due(
            training,
            labels=progress.labels,
            since=progress.since,
            tried=progress.version is not None,
            live=self._references.models.pointer(name) is not None,
            breached=any(one.generation != OF_DRIFT for one in alarms),
            drifted=any(one.generation == OF_DRIFT for one in alarms),
        )

    async def _train(self, project: CurrentProject, training: Training, progress: reading.Progress) -> None:
        """Train and register. The same labels again give the same name, which is registered once."""
        name, started = project.project_id, time.monotonic()
        sides = await self._trials.sides(project, training)
        spec = project.spec
        version = candidate_name(
            name, sides.data_hash, code_version(), self._settings.seed, spec.label.model_dump_json(), training.command,
            training.encoder and self._settings.encoders.get(training.encoder),
        )  # fmt: skip
        await self._references.models.table.refresh()
        outcome = "unchanged"
        if self._references.models.version(name, version) is None:
            try:
                outcome = await self._make(project, version, sides)
            except TrainingRefused as error:
                outcome = "refused"
                log.warning("training_refused", project=name, version=version, why=str(error))
        if outcome != "outdated":
            now = self._clock()
            await self._kept.run(
                lambda connection: reading.save_training(connection, name, progress.latest, version, now)
            )
        self._metrics.trainings.labels(name, outcome).inc()
        self._metrics.seconds.observe(time.monotonic() - started)
        log.info("trained", project=name, version=version, outcome=outcome, rows=len(sides.training))

    async def _make(self, project: CurrentProject, version: str, sides: Sides) -> str:
        """Registered; or outdated, where something that was learned from was erased meanwhile."""
        name, erasures = project.project_id, self._kept.erasures
        if not sides.training:
            raise TrainingRefused("there is no label to learn from: is the label a list of classes?")
        hashes = [row.content_hash for row in sides.training]
        contents = await self._kept.run(lambda connection: reading.list_contents(connection, name, hashes))
        rows = [row for row in sides.training if row.content_hash in contents]
        path = await asyncio.to_thread(write_set, self._kept.sets_of(name), sides.data_hash, rows, contents)
        made = await self._workshop.fit(project, path)
        await self._workshop.check(self._workshop.job(project), made, contents)
        uri = await self._workshop.keep(made.content)
        registered = self._version(project, version, sides, made, uri)
        items = [(one.item_id, one.content_hash) for one in sides.held_out]
        said = await self._trials.ask(project, registered, made.content, items)
        right = [said[one.item_id] == one.category for one in sides.held_out if one.item_id in said]
        if right:
            figures = {"heldout_accuracy": round(sum(right) / len(right), 6), "heldout": float(len(right))}
            registered = registered.model_copy(update={"metrics": registered.metrics | figures})
        await self._kept.run(lambda connection: reading.save_learned(connection, name, version, hashes))
        if self._kept.erasures != erasures:
            path.unlink(missing_ok=True)
            return "outdated"
        if self._references.models.pointer(name) is not None:
            registered = registered.model_copy(update={"status": "shadow"})
        await self._register.publish(registered)
        return "registered"

    def _version(self, project: CurrentProject, version: str, sides: Sides, made: Made, uri: str) -> ModelVersion:
        counts = Counter(row.category for row in sides.training)
        lineage = {
            "trained_by": "labelstream trainer",
            "code": code_version(),
            "data_hash": sides.data_hash,
            "labels_hash": sides.labels_hash,
            "rows": len(sides.training),
            "held_out": len(sides.held_out),
            "classes": dict(sorted(counts.items())),
            "seed": self._settings.seed,
            "learner": made.report.learner,
            "project_version": project.version,
        }
        return ModelVersion(
            project_id=project.project_id,
            version=version,
            uri=uri,
            sha256=sha256_of(made.content),
            size_bytes=len(made.content),
            manifest=made.manifest,
            metrics=made.report.metrics,
            lineage=lineage,
            registered_at=self._clock(),
        )


@functools.cache
def code_version() -> str:
    """What made a model: the versions of the packages, and a hash of the code that fits and exports."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parents[1].joinpath("work").glob("*.py")):
        digest.update(file.read_bytes())
    return "; ".join([*versions, f"code {digest.hexdigest()[:12]}"])
