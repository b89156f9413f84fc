"""Trials: the candidate beside the live model, the live model beside the former one."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import structlog

from services.prelabel.domain.postprocess import label_value
from services.prelabel.store.files import ModelRefused, ModelUnavailable
from services.prelabel.training.domain.gate import Pair, Rule, Ruling, Verdict, breached, difference, judge, judge_first
from services.prelabel.training.domain.sets import Sides, split
from services.prelabel.training.jobs.publishing import Register
from services.prelabel.training.jobs.work import TrainingRefused, Workshop
from services.prelabel.training.metrics import Metrics
from services.prelabel.training.store import reading
from services.prelabel.training.store.intake import Alarm, add_answers, drop_guesses
from services.prelabel.training.store.kept import Kept
from shared.bus.publisher import Publisher
from shared.bus.references import CurrentProject, References
from shared.clock import Clock
from shared.events import ModelPointer, ModelVersion, Training
from shared.labels import ChoiceSchema, ChoicesSchema, RatingSchema, check_label, names_of

log = structlog.get_logger(__name__)
AT_LEAST = 10
"""Models are asked about held-out contents this many at a time, not for each new label."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a project's models are judged on."""

    project: CurrentProject
    training: Training
    rule: Rule
    items: tuple[str, ...]


class Trials:
    """Judges what is on trial, and watches what was promoted."""

    def __init__(
        self,
        *,
        kept: Kept,
        references: References,
        publisher: Publisher,
        workshop: Workshop,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._kept = kept
        self._models = references.models
        self._projects = references.projects
        self._register = Register(references, publisher, clock)
        self._workshop = workshop
        self._metrics = metrics
        self._clock = clock
        self._looked: dict[str, object] = {}

    async def sides(self, project: CurrentProject, training: Training) -> Sides:
        """A project's labels, split; only categories that are labels of its schema."""
        name, group_by, names = project.project_id, training.group_by, names_of(project.spec.label)
        categories = await self._kept.run(lambda connection: reading.list_categories(connection, name, names))
        known = [one for one in categories if is_label(one, project)]
        labels = await self._kept.run(
            lambda connection: reading.list_labelled(connection, name, group_by, known, names)
        )
        share, grouped = training.holdout_share, group_by is not None
        seed = training.holdout_seed or name
        return await asyncio.to_thread(split, seed, labels, share=share, grouped=grouped)

    def pending(self, project_id: str, trained: str | None) -> ModelVersion | None:
        """The model that waits for a verdict: on trial, or the first one of the project."""
        if self._models.pointer(project_id) is not None:
            return self._models.shadow(project_id)
        found = self._models.version(project_id, trained or "")
        return found if found is not None and found.status != "retired" else None

    async def look(self, project: CurrentProject, training: Training, progress: reading.Progress) -> list[Alarm]:
        """Decide what can be decided; gives the alarms that were looked at."""
        name = project.project_id
        pointer, candidate = self._models.pointer(name), self.pending(name, progress.version)
        alarms = await self._kept.run(lambda connection: reading.list_alarms(connection, name))
        if candidate is None and pointer is None:
            return alarms
        rule = Rule.of(project.spec)
        tried, overdue = 0, False
        if candidate is not None:
            version, now = candidate.version, self._clock()
            tried = await self._kept.run(lambda connection: reading.count_trials(connection, name, version))
            began = await self._kept.run(lambda connection: reading.begin_trial(connection, name, version, now))
            overdue = now >= began + timedelta(seconds=training.gate.within_s)
        asked = tuple(one.event_id for one in alarms)
        state = (progress.latest, min(tried, rule.shadowed), overdue, pointer, candidate, asked, project.version)
        if self._looked.get(name) == state:
            return alarms
        sides = await self.sides(project, training)
        held = Held(project, training, rule, tuple(one.item_id for one in sides.held_out + sides.audits))
        if pointer is None and candidate is not None:
            await self._first(held, candidate)
        elif pointer is not None:
            ours = [one for one in alarms if one.generation == pointer.generation]
            if not await self._watch(held, pointer, ours) and candidate is not None:
                await self._beside(held, pointer, candidate, tried, overdue=overdue)
            await self._tidy(name)
        self._looked[name] = state
        return alarms

    async def _first(self, held: Held, candidate: ModelVersion) -> None:
        await self._ask(held, candidate)
        pairs = await self._pairs(held, candidate.version, candidate.version)
        ruling = judge_first(pairs, held.rule.confidence)
        await self._act(candidate, ruling)

    async def _beside(
        self, held: Held, pointer: ModelPointer, candidate: ModelVersion, tried: int, *, overdue: bool
    ) -> None:
        live = self._models.version(held.project.project_id, pointer.version)
        if live is None:
            return
        for one in (live, candidate):
            await self._ask(held, one, at_least=1 if overdue else AT_LEAST, give_up=overdue)
        pairs = await self._pairs(held, live.version, candidate.version)
        ruling = judge(pairs, held.rule, shadowed=tried, overdue=overdue)
        name = held.project.project_id
        self._metrics.pairs.labels(name).set(ruling.pairs)
        self._metrics.gain.labels(name).set(ruling.gain)
        if pairs:
            self._metrics.accuracy.labels(name).set(sum(pair.live for pair in pairs) / len(pairs))
        await self._act(candidate, ruling)

    async def _watch(self, held: Held, pointer: ModelPointer, alarms: Sequence[Alarm]) -> bool:
        """Roll back where the live model is worse than the one before it, or lost its certificate; whether it did."""
        name = held.project.project_id
        live = self._models.version(name, pointer.version)
        former = self._models.version(name, pointer.previous or "")
        if live is None or former is None or former.status == "retired" or pointer.rolled_back:
            return False
        for one in (live, former):
            await self._ask(held, one, at_least=1 if alarms else AT_LEAST)
        since = pointer.promoted_at
        pairs = await self._pairs(held, former.version, live.version, since=since)
        gain, _ = difference(pairs, held.rule.confidence, held.rule.heaviest)
        if breached(pairs, held.rule):
            why = "it is worse than the model before it on the labels since its promotion"
        elif alarms and gain <= 0.0:
            why = "its certificate was withdrawn, and it is not better than the model before it"
        else:
            return False
        verdict = {"verdict": "rollback", "why": why, "pairs": len(pairs), "gain": round(gain, 6)}
        back = await self._register.roll_back(live, pointer, verdict)
        if back is None:
            return False
        self._metrics.verdicts.labels(name, "rollback").inc()
        log.warning(
            "rolled_back", project=name, version=live.version, to=back.version, generation=back.generation, why=why
        )
        return True

    async def _tidy(self, name: str) -> None:
        """Forget what models said that are neither live, former, nor on trial or waiting for it."""
        pointer = self._models.pointer(name)
        keep = {one for one in (pointer and pointer.version, pointer and pointer.previous) if one}
        for event in self._models.table.latest.values():
            if isinstance(event, ModelVersion) and (event.project_id, event.status) == (name, "shadow"):
                keep.add(event.version)
        await self._kept.run(lambda connection: drop_guesses(connection, name, keep))

    async def _act(self, candidate: ModelVersion, ruling: Ruling) -> None:
        name, verdict = candidate.project_id, asdict(ruling) | {"verdict": ruling.verdict.value}
        if ruling.verdict is Verdict.WAIT:
            log.info("on_trial", project=name, version=candidate.version, why=ruling.why)
            return
        if ruling.verdict is Verdict.PROMOTE:
            pointer = await self._register.promote(candidate, verdict)
            log.info("promoted", generation=pointer.generation, project=name, version=candidate.version, why=ruling.why)
        else:
            await self._register.retire(candidate, verdict)
            log.info("refused", project=name, version=candidate.version, why=ruling.why)
        self._metrics.verdicts.labels(name, ruling.verdict.value).inc()

    async def _pairs(self, held: Held, live: str, candidate: str, **more: Any) -> list[Pair]:
        name = held.project.project_id
        more["names"] = self._projects.names(name)
        return await self._kept.run(
            lambda connection: reading.list_pairs(connection, name, (live, candidate), held.items, **more)
        )

    async def _ask(self, held: Held, version: ModelVersion, *, at_least: int = 1, give_up: bool = False) -> None:
        """Have a model answer the held-out contents that it was not asked about, once they are enough.

        One that cannot be asked answers nothing, as it would in prelabel; one whose file cannot be read now is asked
        again later, unless we are to give up.
        """
        name = held.project.project_id
        missing = await self._kept.run(
            lambda connection: reading.list_unanswered(connection, name, version.version, held.items)
        )
        if len(missing) < at_least:
            return
        try:
            await self.ask(held.project, version, await self._workshop.read(version), missing)
        except (TrainingRefused, ModelRefused, ModelUnavailable) as error:
            if isinstance(error, ModelUnavailable) and not give_up:
                raise
            log.warning("model_not_asked", project=name, version=version.version, why=str(error))
            nothing = [(item, "") for item, _ in missing]  # as prelabel would: it abstains
            await self._kept.run(lambda connection: add_answers(connection, name, version.version, nothing))

    async def ask(
        self, project: CurrentProject, version: ModelVersion, content: bytes, items: Sequence[tuple[str, str]]
    ) -> Mapping[str, str]:
        """Have a model answer the contents of items, by (item, hash), and keep what it says; gives item to category."""
        name = project.project_id
        hashes = {found for _, found in items}
        contents = await self._kept.run(lambda connection: reading.list_contents(connection, name, hashes))
        found = await self._workshop.answers(self._workshop.job(project), content, version.manifest, contents)
        said = {item: found[each].category for item, each in items if each in found}
        await self._kept.run(lambda connection: add_answers(connection, name, version.version, said.items()))
        return said


def is_label(category: str, project: CurrentProject) -> bool:
    """Whether a category is one that a model of this project could say."""
    schema = project.spec.label
    if not isinstance(schema, ChoiceSchema | ChoicesSchema | RatingSchema):
        return False
    try:
        check_label(label_value(category, schema), schema)
    except ValueError:
        return False
    return True
