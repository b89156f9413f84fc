"""Who gets which gold items next."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from services.qc.domain.goldplan import SIZE, Tried, arranged, plan_of, share_of
from services.qc.domain.reports import gold_plan_of
from services.qc.domain.scale import scale_of, symbol_of
from services.qc.domain.trust import Trust, limits
from services.qc.settings import QcSettings
from services.qc.store import Store
from shared.bus.references import CurrentProject, References
from shared.bus.unit import Unit
from shared.labels import Choice, fits
from shared.topics import QUALITY

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
TRIED_S = 300.0
"""How long it is believed how hard gold items are."""
LONGEST = 4 * SIZE


class GoldPlans:
    """Each replica may plan at once: the database decides for whom."""

    def __init__(self, unit: OpenUnit, references: References, settings: QcSettings) -> None:
        self._unit = unit
        self._references = references
        self._settings = settings
        self._tried: dict[str, tuple[float, Mapping[str, Tried]]] = {}
        self._told: dict[str, tuple[str, ...]] = {}

    async def plan(self) -> None:
        """Publish the plans of people with new gold results, and of each project's newcomers where its gold changed."""
        projects = {one.project_id: one for one in self._references.projects.all() if one.spec.policy.gold.share > 0.0}
        answers = {name: found for name in projects if (found := self._answers(name))}
        async with self._unit() as unit:
            store = Store(unit.connection)
            people = await store.list_unplanned(answers, self._settings.quality_max_events)
            seen = await store.list_gold_seen(people)
            tried = {name: await self._difficulty(name, store) for name in {project for project, _ in people}}
            for who, known in people.items():
                project = projects[who[0]]
                rules = limits(project.spec.policy.gold, scale_of(project.spec.label))
                items = await asyncio.to_thread(
                    plan_of, answers[who[0]], tried[who[0]], seen.get(who, {}), known, rules, salt=who[1]
                )
                share = share_of(project.spec.policy.gold, known, rules)
                unit.emit(QUALITY, gold_plan_of(who[0], who[1], items, share, now=unit.now))
            await store.mark_planned(people)
            for name, golden in answers.items():
                self._of_newcomers(projects[name], golden, unit)

    def _of_newcomers(self, project: CurrentProject, answers: Mapping[str, str], unit: Unit) -> None:
        items = arranged(answers, {}, {}, beyond_doubt=False, size=LONGEST, salt=project.project_id)
        if self._told.get(project.project_id) != items:
            rules = limits(project.spec.policy.gold, scale_of(project.spec.label))
            share = share_of(project.spec.policy.gold, Trust(), rules)
            unit.emit(QUALITY, gold_plan_of(project.project_id, None, items, share, now=unit.now))
            self._told[project.project_id] = items

    def _answers(self, project_id: str) -> dict[str, str]:
        """Gold item -> class; on a scale without classes all are one."""
        found = self._references.gold_answers.of(project_id)
        project = self._references.projects.current(project_id)
        kept = [one for one in found if project is not None and fits(one.value, project.spec.label)]
        return {one.item_id: symbol_of(one.value) if isinstance(one.value, Choice) else "" for one in kept}

    async def _difficulty(self, project_id: str, store: Store) -> Mapping[str, Tried]:
        known, now = self._tried.get(project_id), time.monotonic()
        if known is None or known[0] < now:
            known = self._tried[project_id] = (now + TRIED_S, await store.count_tried(project_id))
        return known[1]
