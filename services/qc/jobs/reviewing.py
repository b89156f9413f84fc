"""Labels of classes whose meaning a guideline changed go to people again: within a budget, a chunk at a time."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from services.qc.domain.outcomes import guideline_review_of
from services.qc.domain.rereview import reviewed
from services.qc.domain.rounds import Touched
from services.qc.metrics import Metrics
from services.qc.settings import QcSettings
from services.qc.store import Store
from shared.bus.references import CurrentProject, References
from shared.bus.unit import Unit
from shared.topics import RELABELS

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]


class GuidelineReviews:
    """One replica at a time works on a review. Interrupted, it goes on where it was: a repeat is the same request."""

    def __init__(self, unit: OpenUnit, references: References, settings: QcSettings, metrics: Metrics) -> None:
        self._unit = unit
        self._references = references
        self._settings = settings
        self._metrics = metrics
        self._over: set[tuple[str, int]] = set()

    async def review(self) -> None:
        """A chunk of each project whose guideline in force, or one since the labels were made, touched a class."""
        for project in self._references.projects.all():
            version = self._references.guidelines.current(project.project_id)
            touched = self._touched(project.project_id, version)
            if any(touched.values()) and (project.project_id, version) not in self._over:
                await self._chunk(project, version, touched)

    async def _chunk(self, project: CurrentProject, version: int, touched: Touched) -> None:
        name, policy, limit = project.project_id, project.spec.policy, self._settings.review_max_items
        async with self._unit() as unit:
            store = Store(unit.connection)
            review = await store.claim_review(name, version)
            if review is None or not review.due(unit.now):
                return
            items = await store.claim_items(await store.list_labelled(name, review.after, limit))
            await store.fill_answers(items)
            fresh, found = await asyncio.to_thread(
                reviewed,
                review,
                items,
                touched,
                chunk=limit,
                budget=policy.relabel.review_per_day,
                pause_s=policy.unresolved_after_s,
                now=unit.now,
            )
            for key, label in found:
                unit.emit(RELABELS, guideline_review_of(*key, label, version, now=unit.now))
            await store.save_review(fresh)
        self._metrics.reviewed(name, confirmed=len(items) - len(found), reopened=len(found))
        if not fresh.due(fresh.not_before or unit.now):
            self._over.add((name, version))

    def _touched(self, project_id: str, current: int) -> Touched:
        versions = (self._references.guidelines.version(project_id, n) for n in range(1, current + 1))
        return {one.version: frozenset(one.touched_classes) for one in versions if one is not None}
