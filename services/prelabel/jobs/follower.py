"""Follows `models.v1`: loads what is promoted, and swaps it in between batches or says why not.

What has the status `shadow` is loaded beside it. A trial that cannot begin never touches the live model.
"""

import asyncio
import time
from dataclasses import replace

import structlog

from services.prelabel.domain.postprocess import Head
from services.prelabel.domain.questions import Identity
from services.prelabel.metrics import Metrics
from services.prelabel.settings import PrelabelSettings
from services.prelabel.store.files import ModelRefused, ModelUnavailable, read_model
from services.prelabel.store.live import LiveModels, Slot, Target
from services.prelabel.store.sessions import LoadedModel, load_model
from shared.bus.references import CurrentProject, LiveModel, References

log = structlog.get_logger(__name__)
ENSURE_POLL_S = 0.1


class ModelFollower:
    """Keeps `LiveModels` at what the reference topics ask for. One model loads at a time."""

    def __init__(self, references: References, live: LiveModels, settings: PrelabelSettings, metrics: Metrics) -> None:
        self._references = references
        self._live = live
        self._settings = settings
        self._metrics = metrics
        self._loading = asyncio.Lock()
        self._looked_up: set[str] = set()
        self._started = False

    async def start(self) -> None:
        """Try every live model once, so that no item of the first batch finds a model that is still loading."""
        await self.poll()
        self._started = True

    def unready(self) -> str | None:
        """Why the service is not ready: a project's live model was never tried."""
        return None if self._started else "live models are loading"

    async def poll(self) -> None:
        """Catch up in every project."""
        for project in self._references.projects.all():
            await self.catch_up(project)
            await self._try_shadow(project)

    async def ensure(self, project: CurrentProject, generation: int = 0) -> None:
        """Return when this project's live model, of at least this generation, was tried; or after a while.

        Args:
            project: whose items are about to be predicted.
            generation: that a refresh asks for; 0 for fresh items, which take whatever already serves.
        """
        slot = self._live.slot(project.project_id)
        if slot is not None and (slot.model is not None and generation <= slot.target.identity.generation):
            return
        if project.project_id not in self._looked_up and self._references.models.live(project.project_id) is None:
            await self._references.models.table.refresh()
            self._looked_up.add(project.project_id)
        deadline = time.monotonic() + self._settings.refresh_wait_s
        while True:
            await self.catch_up(project)
            slot = self._live.slot(project.project_id)
            tried = slot.target.identity.generation if slot else 0
            if generation <= tried or time.monotonic() >= deadline:
                return
            await asyncio.sleep(ENSURE_POLL_S)

    async def catch_up(self, project: CurrentProject) -> None:
        """Load and swap where the topics ask for something else than what was tried last."""
        wanted = self._references.models.live(project.project_id)
        if wanted is None or self._settled(project, wanted):
            return
        async with self._loading:
            if not self._settled(project, wanted):
                await self._swap(project, wanted)

    def _settled(self, project: CurrentProject, wanted: LiveModel) -> bool:
        slot = self._live.slot(project.project_id)
        if slot is None or slot.target != _target(project, wanted):
            return False
        return not _due(slot)

    async def _swap(self, project: CurrentProject, wanted: LiveModel) -> None:
        name, target = project.project_id, _target(project, wanted)
        slot = self._live.slot(name)
        serving = slot.model if slot else None
        try:
            async with asyncio.timeout(self._settings.model_load_timeout_s):
                model = await asyncio.to_thread(self._load, project, wanted, serving)
        except (ModelRefused, TimeoutError) as error:
            why = str(error) or f"loading took longer than {self._settings.model_load_timeout_s:g} s"
            self._live.put(name, Slot(target, _still_valid(serving, project), why))
            self._report(name, "refused", target, why)
        except ModelUnavailable as error:
            again = time.monotonic() + self._settings.model_retry_s
            self._live.put(name, Slot(target, _still_valid(serving, project), str(error), again))
            self._report(name, "unavailable", target, str(error))
        else:
            self._live.put(name, Slot(target, model))
            self._report(name, "loaded", target, "")

    async def _try_shadow(self, project: CurrentProject) -> None:
        """Load the model on trial, where there is one; end the trial that is over."""
        name, wanted = project.project_id, self._references.models.shadow(project.project_id)
        if wanted is None:
            self._live.put_shadow(name, None)
            return
        trial = LiveModel(wanted, generation=0)
        target, slot = _target(project, trial), self._live.shadow(name)
        if slot is not None and slot.target == target and not _due(slot):
            return
        try:
            async with self._loading, asyncio.timeout(self._settings.model_load_timeout_s):
                model = await asyncio.to_thread(self._load, project, trial, None)
        except (ModelRefused, ModelUnavailable, TimeoutError) as error:
            why = str(error) or f"loading took longer than {self._settings.model_load_timeout_s:g} s"
            again = None if isinstance(error, ModelRefused) else time.monotonic() + self._settings.model_retry_s
            self._live.put_shadow(name, Slot(target, None, why, again))
            log.warning("shadow_refused", project=name, version=wanted.version, reason=why)
        else:
            self._live.put_shadow(name, Slot(target, model))
            log.info("shadow_loaded", project=name, version=wanted.version)

    def _load(self, project: CurrentProject, wanted: LiveModel, serving: LoadedModel | None) -> LoadedModel:
        version, identity = wanted.model, Identity(wanted.model.version, wanted.generation)
        if serving is not None and serving.sha256 == version.sha256 and serving.manifest == version.manifest:
            return _reread(serving, project, identity)
        content = read_model(
            version.uri,
            sha256=version.sha256,
            size_bytes=version.size_bytes,
            directory=self._settings.model_dir,
            max_bytes=self._settings.model_max_bytes,
        )
        return load_model(
            content,
            version,
            generation=wanted.generation,
            schema=project.spec.label,
            threads=self._settings.model_threads,
        )

    def _report(self, project_id: str, outcome: str, target: Target, why: str) -> None:
        slot = self._live.slot(project_id)
        serving = slot.model.identity if slot and slot.model else None
        self._metrics.loads.labels(project_id, outcome).inc()
        self._metrics.refused.labels(project_id).set(0 if outcome == "loaded" else 1)
        self._metrics.generation.labels(project_id).set(serving.generation if serving else 0)
        write = log.info if outcome == "loaded" else log.warning
        write(
            f"model_{outcome}",
            project=project_id,
            version=target.identity.version,
            generation=target.identity.generation,
            serving=serving.version if serving else None,
            reason=why,
        )


def _due(slot: Slot) -> bool:
    """Whether what could not be read is to be tried again."""
    return slot.retry_at_s is not None and time.monotonic() >= slot.retry_at_s


def _target(project: CurrentProject, wanted: LiveModel) -> Target:
    return Target(Identity(wanted.model.version, wanted.generation), project.version)


def _reread(serving: LoadedModel, project: CurrentProject, identity: Identity) -> LoadedModel:
    """The same file under another promotion or another version of the project: only its classes are checked again."""
    try:
        head = Head.of(serving.manifest, project.spec.label)
    except ValueError as error:
        raise ModelRefused(f"the classes of the model are not those of the project: {error}") from error
    return replace(serving, head=head, identity=identity)


def _still_valid(serving: LoadedModel | None, project: CurrentProject) -> LoadedModel | None:
    """An older model may go on serving only labels that the project still has."""
    if serving is None:
        return None
    try:
        return _reread(serving, project, serving.identity)
    except ModelRefused:
        return None
