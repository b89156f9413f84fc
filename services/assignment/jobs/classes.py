"""Labels that the model alone gave of a class that is called something else now, or is gone."""

from services.assignment.domain.accepted import changed_at, review
from services.assignment.handlers.deciding import context_of, publish
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from services.assignment.store.accepted import claim_review, list_accepted, save_review
from services.assignment.store.aggregates import save
from services.assignment.store.items import lock_items
from shared.bus.references import CurrentProject
from shared.runtime.service import Service

WINDOW = 4
"""Chunks that one transaction reads for each that it may lock."""


class ClassJobs:
    """One replica at a time works on a project; interrupted, another goes on where it was."""

    def __init__(self, service: Service, settings: AssignmentSettings, metrics: AssignmentMetrics) -> None:
        self._service = service
        self._references = service.references
        self._metrics = metrics
        self._chunk = settings.job_chunk_rows
        self._over: set[tuple[str, int]] = set()

    async def review(self) -> None:
        """Give renamed labels again; send those of classes that are gone to people, within the budget of reviews."""
        for project in self._references.projects.all():
            version = self._changed_at(project)
            while version and (project.project_id, version) not in self._over:
                if not await self._review_chunk(project, version):
                    break

    def _changed_at(self, project: CurrentProject) -> int:
        name, projects = project.project_id, self._references.projects
        specs = {n: projects.spec(name, n) for n in range(1, project.version + 1)}
        known = {n: spec for n, spec in specs.items() if spec is not None}
        return min(changed_at(known, projects.named_since(name)), project.version)

    async def _review_chunk(self, project: CurrentProject, version: int) -> bool:
        """Whether there may be more to do at once."""
        name = project.project_id
        async with self._service.unit() as unit:
            progress = await claim_review(unit.connection, name, version)
            if progress is None or not progress.due(unit.now):
                if progress is not None and progress.over:
                    self._over.add((name, version))
                return False
            keys, last = await list_accepted(unit.connection, name, progress.after, WINDOW * self._chunk)
            before = await lock_items(unit.connection, keys) if keys else {}
            context = context_of(self._references, name, unit)
            current = self._references.projects.current(name) or project
            schema = current.spec.label
            budget = current.spec.policy.relabel.review_per_day
            done = review(progress, before.values(), context, schema, budget=budget, last=last)
            publish(done.said, unit, self._metrics)
            if done.items:
                await save(unit.connection, before, done.items)
            await save_review(unit.connection, done.review)
        return last is not None and done.review.after == last
