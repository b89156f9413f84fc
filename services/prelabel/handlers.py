"""Items and refreshes in, predictions out. A batch is answered from one snapshot of the live models."""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

import structlog

from services.prelabel.domain.questions import Question, by_project
from services.prelabel.domain.sketching import PLAIN
from services.prelabel.metrics import Metrics
from services.prelabel.settings import PrelabelSettings
from services.prelabel.store.inference import Fetched, Work, predict
from services.prelabel.store.live import LiveModels, Slot
from services.prelabel.store.media import MediaFetcher
from services.prelabel.store.sessions import LoadedModel
from shared.bus.records import Outgoing, Received, Record, outgoing
from shared.bus.references import CurrentProject, References
from shared.clock import Clock
from shared.events import AudioInput, ImageInput, Item, MediaContent, Prediction, Refresh, ShadowPrediction, unchecked
from shared.runtime.logging import where
from shared.topics import PREDICTIONS, PRELABEL, SHADOW_PREDICTIONS

log = structlog.get_logger(__name__)
E = TypeVar("E", Item, Refresh)

NO_LIVE_MODEL = "the project has no live model"


class Ensure(Protocol):
    """Waits until a project's live model was tried."""

    async def __call__(self, project: CurrentProject, generation: int = 0) -> None: ...


@dataclass(slots=True)
class _Group:
    """The questions of one project in a batch, with what will answer them."""

    positions: list[int]
    questions: list[Question]
    slot: Slot | None
    fetched: Fetched
    sketched: bool
    shadow: LoadedModel | None = None
    shadow_fetched: Fetched = field(default_factory=dict)


class Handlers:
    """The transforms of both topics, which share one inference worker.

    Args:
        references: projects, and what was erased.
        live: the models that serve.
        ensure: waits for a live model that is not loaded yet.
        media: fetches what items point at.
        settings, metrics, clock: as their names say.
    """

    def __init__(
        self,
        *,
        references: References,
        live: LiveModels,
        ensure: Ensure,
        media: MediaFetcher,
        settings: PrelabelSettings,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._references = references
        self._live = live
        self._ensure = ensure
        self._media = media
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._worker = asyncio.Lock()

    async def on_items(self, batch: Sequence[Received[Item]]) -> list[Outgoing]:
        """Fresh items. A project whose model is loading for the first time waits for it."""
        projects, wanted = await self._ours(batch)
        for project in projects.values():
            await self._ensure(project)
        return await self._answer(wanted, projects, shadows=True)

    async def on_refreshes(self, batch: Sequence[Received[Refresh]]) -> list[Outgoing]:
        """Open items whose prediction is stale; they wait for the model that made it so."""
        projects, wanted = await self._ours(batch)
        for name, project in projects.items():
            asked = [one.event.generation for one in wanted if one.event.project_id == name]
            await self._ensure(project, max(asked))
        return await self._answer(wanted, projects)

    async def _ours(self, batch: Sequence[Received[E]]) -> tuple[dict[str, CurrentProject], list[Received[E]]]:
        known = await self._references.projects.known({one.event.project_id for one in batch})
        projects = {name: project for name, project in known.items() if not project.spec.external_predictions}
        ours = [one for one in batch if one.event.project_id in projects]
        unknown = sum(one.event.project_id not in known for one in batch)
        erased = self._references.erasures
        wanted = [one for one in ours if not erased.has_item(one.event.project_id, one.event.item_id)]
        self._metrics.skipped.labels("unknown_project").inc(unknown)
        self._metrics.skipped.labels("external_predictions").inc(len(batch) - len(ours) - unknown)
        self._metrics.skipped.labels("erased").inc(len(ours) - len(wanted))
        return projects, wanted

    async def _answer(
        self, wanted: Sequence[Received[E]], projects: dict[str, CurrentProject], *, shadows: bool = False
    ) -> list[Outgoing]:
        groups = await self._groups(
            [Question.of(one.event, projects[one.event.project_id].spec) for one in wanted], projects
        )
        for group in groups if shadows else ():
            await self._add_shadow(group, projects)
        now, work = self._clock(), Work()
        causes = [one.record for one in wanted]
        async with self._worker:
            outputs: list[tuple[Prediction, Outgoing]] = await asyncio.to_thread(self._run, causes, groups, now, work)
            trials: list[Outgoing] = []
            if any(group.shadow is not None for group in groups):
                trials = await asyncio.to_thread(self._run_shadows, causes, groups, now)
        self._observe(outputs, work)
        return [*(record for _, record in outputs), *trials]

    async def _groups(self, questions: Sequence[Question], projects: dict[str, CurrentProject]) -> list[_Group]:
        """One snapshot of every slot that the batch needs, and the media its questions point at."""
        groups = []
        for name, positions in by_project(questions).items():
            asked = [questions[position] for position in positions]
            slot = self._live.slot(name)
            fetched = await self._fetch(asked, projects[name], slot)
            groups.append(_Group(positions, asked, slot, fetched, projects[name].spec.looks_around))
        return groups

    async def _add_shadow(self, group: _Group, projects: dict[str, CurrentProject]) -> None:
        """The model on trial of the group's project, and the media as it reads them."""
        name = group.questions[0].project_id
        slot = self._live.shadow(name)
        if slot is None or slot.model is None:
            return
        serving = group.slot.model if group.slot else None
        same = serving is not None and serving.manifest.input == slot.model.manifest.input
        group.shadow = slot.model
        group.shadow_fetched = group.fetched if same else await self._fetch(group.questions, projects[name], slot)

    async def _fetch(self, asked: Collection[Question], project: CurrentProject, slot: Slot | None) -> Fetched:
        serving = slot.model if slot is not None else None
        if serving is None and not project.spec.looks_around:
            return {}
        spec = serving.manifest.input if serving is not None else PLAIN
        if not isinstance(spec, ImageInput | AudioInput):
            return {}
        contents = [question.content for question in asked]
        uris = {
            content.uri
            for content in contents
            if isinstance(content, MediaContent) and content.kind == spec.kind and content.data is None and content.uri
        }
        return await self._media.media(uris, project.spec.uri_prefixes, spec) if uris else {}

    def _run(
        self, causes: Sequence[Record], groups: Sequence[_Group], now: datetime, work: Work
    ) -> list[tuple[Prediction, Outgoing]]:
        """The whole batch's CPU work, in a thread. Outputs are in the order of the inputs."""
        made: dict[int, tuple[Prediction, Outgoing]] = {}
        for group in groups:
            predictions = predict(
                group.questions,
                group.slot.model if group.slot else None,
                group.fetched,
                why_no_model=group.slot.why_no_model if group.slot else NO_LIVE_MODEL,
                predicted_at=now,
                max_pixels=self._settings.image_max_pixels,
                work=work,
                sketched=group.sketched,
            )
            for position, one in zip(group.positions, predictions, strict=True):
                made[position] = (one, outgoing(PREDICTIONS, one, source=PRELABEL, cause=causes[position]))
        return [made[position] for position in range(len(causes))]

    def _run_shadows(self, causes: Sequence[Record], groups: Sequence[_Group], now: datetime) -> list[Outgoing]:
        """What the models on trial say of the same items. A trial that fails costs no item anything."""
        found: list[Outgoing] = []
        for group in groups:
            if group.shadow is None:
                continue
            name, version = group.questions[0].project_id, group.shadow.identity.version
            try:
                made = predict(
                    group.questions,
                    group.shadow,
                    group.shadow_fetched,
                    why_no_model="",
                    predicted_at=now,
                    max_pixels=self._settings.image_max_pixels,
                    work=Work(),
                )
            except Exception as error:  # noqa: BLE001  # whatever a model on trial provokes, the live one has answered
                log.warning("shadow_failed", project=name, version=version, **where(error))
                self._metrics.shadows.labels(name, "failed").inc(len(group.questions))
                continue
            for position, one in zip(group.positions, made, strict=True):
                event = unchecked(ShadowPrediction, **dict(one))
                found.append(outgoing(SHADOW_PREDICTIONS, event, source=PRELABEL, cause=causes[position]))
            abstained = sum(one.abstention is not None for one in made)
            self._metrics.shadows.labels(name, "abstained").inc(abstained)
            self._metrics.shadows.labels(name, "proposed").inc(len(made) - abstained)
        return found

    def _observe(self, outputs: Sequence[tuple[Prediction, Outgoing]], work: Work) -> None:
        outcomes = Counter((one.project_id, one.abstention) for one, _ in outputs)
        for (project_id, abstention), number in outcomes.items():
            outcome = "proposed" if abstention is None else abstention.value
            self._metrics.predictions.labels(project_id, outcome).inc(number)
        for rows, seconds in zip(work.rows, work.seconds, strict=True):
            self._metrics.call_rows.observe(rows)
            self._metrics.call_seconds.observe(seconds)
        for (of, error), number in work.unsketched.items():
            self._metrics.unsketched.labels(of).inc(number)
            log.warning("sketch_failed", of=of, error=error, predictions=number)
