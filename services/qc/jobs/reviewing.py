"""Labels that a changed guideline or a split class put in doubt go to people again: within a budget, in chunks.

Labels of a class that was renamed are given again, too, by nobody: without a budget.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial

from services.qc.domain.item import ItemState, LiveLabel
from services.qc.domain.outcomes import guideline_review_of, rename_of, schema_review_of
from services.qc.domain.rereview import affected, classes_gone, homeless, passed, reviewed
from services.qc.domain.rounds import Touched
from services.qc.metrics import Metrics
from services.qc.settings import QcSettings
from services.qc.store import Store
from services.qc.store.reviews import Table
from shared.bus.references import CurrentProject, References
from shared.bus.unit import Unit
from shared.topics import RELABELS

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
AGAIN_S = 60.0
REASONS = {"reviews": guideline_review_of, "schema_reviews": schema_review_of}


class Reviews:
    """One replica at a time works on a review. Interrupted, it goes on where it was: a repeat is the same request."""

    def __init__(self, unit: OpenUnit, references: References, settings: QcSettings, metrics: Metrics) -> None:
        self._unit = unit
        self._references = references
        self._settings = settings
        self._metrics = metrics
        self._over: set[tuple[Table, str, int]] = set()

    async def review(self) -> None:
        """A chunk of each project whose guideline touched a class, and of each that lost one; all that were renamed."""
        for project in self._references.projects.all():
            while await self._rename(project.project_id):
                pass
            version = self._references.guidelines.current(project.project_id)
            touched = self._touched(project.project_id, version)
            if any(touched.values()):
                await self._chunk("reviews", project, version, partial(affected, guideline=version, touched=touched))
            gone = self._gone(project)
            if gone:
                classes = frozenset(getattr(project.spec.label, "classes", ()))
                await self._chunk("schema_reviews", project, gone, partial(homeless, classes=classes))

    async def _chunk(
        self, table: Table, project: CurrentProject, version: int, doubtful: Callable[[ItemState], LiveLabel | None]
    ) -> None:
        name, policy, limit = project.project_id, project.spec.policy, self._settings.review_max_items
        if (table, name, version) in self._over:
            return
        async with self._unit() as unit:
            store = Store(unit.connection, self._references.projects.naming)
            review = await store.claim_review(table, name, version)
            if review is None or not review.due(unit.now):
                return
            items = await store.claim_items(await store.list_labelled(name, review.after, limit))
            await store.fill_answers(items)
            if self._references.projects.naming is not store.naming:
                return  # a class was renamed at this moment
            fresh, found = await asyncio.to_thread(
                reviewed,
                review,
                items,
                doubtful,
                chunk=limit,
                budget=policy.relabel.review_per_day,
                pause_s=policy.unresolved_after_s,
                now=unit.now,
            )
            for key, label in found:
                unit.emit(RELABELS, REASONS[table](*key, label, version, now=unit.now))
            await store.save_review(table, fresh)
        self._metrics.reviewed(name, confirmed=len(items) - len(found), reopened=len(found))
        if fresh.over:
            self._over.add((table, name, version))

    async def _rename(self, name: str) -> bool:
        """Ask for the next labels that were published under a former name; whether there may be more at once.

        A second pass finds those of a replica that knew of the rename a moment later than this one.
        """
        names, version = self._references.projects.names(name), self._references.projects.named_since(name)
        if not names or ("renames", name, version) in self._over:
            return False
        limit = self._settings.review_max_items
        async with self._unit() as unit:
            store = Store(unit.connection)
            review = await store.claim_review("renames", name, version)
            if review is None or not review.due(unit.now):
                if review is not None and review.over:
                    self._over.add(("renames", name, version))
                return False
            labels = await store.list_published(name, review.after, limit)
            for item, number, symbol in labels:
                if names.symbol(symbol) != symbol:
                    unit.emit(RELABELS, rename_of(name, item, number, symbol, names, now=unit.now))
            fresh = replace(review, after=labels[-1][0]) if len(labels) == limit else passed(review, AGAIN_S, unit.now)
            await store.save_review("renames", fresh)
        return len(labels) == limit

    def _touched(self, project_id: str, current: int) -> Touched:
        versions = (self._references.guidelines.version(project_id, n) for n in range(1, current + 1))
        name = self._references.projects.names(project_id).name
        return {one.version: frozenset(map(name, one.touched_classes)) for one in versions if one is not None}

    def _gone(self, project: CurrentProject) -> int:
        specs = {n: self._references.projects.spec(project.project_id, n) for n in range(1, project.version + 1)}
        return classes_gone({n: spec for n, spec in specs.items() if spec is not None})
