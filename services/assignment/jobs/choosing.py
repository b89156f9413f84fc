"""Budgets per cycle of training: when the next cycle begins, and what becomes of items that no cycle chose."""

from collections.abc import Sequence

import structlog

from services.assignment.domain.decide import sample_out
from services.assignment.domain.draws import draws_of
from services.assignment.domain.lanes import PLAIN
from services.assignment.handlers.deciding import context_of, publish
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from services.assignment.store.aggregates import save, with_rounds
from services.assignment.store.cycles import Cycle, begin_cycle, get_cycle, has_stale, list_unchosen
from services.assignment.store.items import lock_items
from services.assignment.store.lanes import list_lanes
from services.assignment.store.rows import Key
from shared.bus.references import CurrentProject
from shared.events import Budget
from shared.runtime.service import Service

log = structlog.get_logger(__name__)
LOOK_AHEAD = 4
"""How many budgets' worth of the queue's front must be in the new model's order before its cycle begins ..."""
LONGEST_LOOK = 5_000
SETTLE_S = 120.0
"""... or how long at most that is waited for."""
WINDOW = 4


class Choosing:
    """One replica's. Each may run in every replica at once: the row of a cycle says which of them began it."""

    def __init__(self, service: Service, settings: AssignmentSettings, metrics: AssignmentMetrics) -> None:
        self._service = service
        self._references = service.references
        self._metrics = metrics
        self._chunk = settings.job_chunk_rows
        self._after = 0
        self._news: dict[str, tuple[int, float]] = {}

    async def choose(self) -> None:
        """Both of what follows."""
        await self.renew()
        await self.leave_out()

    async def renew(self) -> None:
        """Begin the next cycle of every project with a budget whose cycle is over."""
        for project in self._references.projects.all():
            budget = project.spec.policy.budget
            if budget is not None:
                await self._renew(project, budget)

    async def _renew(self, project: CurrentProject, budget: Budget) -> None:
        live = self._references.models.live(project.project_id)
        generation = live.generation if live is not None else 0
        async with self._service.unit() as unit:
            cycle = await get_cycle(unit.connection, project.project_id)
            over = cycle is None or cycle.age_s >= budget.cycle_s
            if cycle is not None and generation > cycle.generation:
                ahead = min(LONGEST_LOOK, LOOK_AHEAD * budget.items)
                lanes = [PLAIN, *(await list_lanes(unit.connection)).get(project.project_id, ())]
                stale = await has_stale(unit.connection, project.project_id, lanes, generation, ahead)
                over |= not stale or self._waited_s(project.project_id, generation, unit.now.timestamp()) >= SETTLE_S
            if over and await begin_cycle(unit.connection, project.project_id, generation, cycle):
                log.info("cycle_began", project_id=project.project_id, generation=generation, before=_begun(cycle))

    def _waited_s(self, project_id: str, generation: int, now: float) -> float:
        """Since this replica first saw that another model is live."""
        if self._news.get(project_id, (-1, 0.0))[0] != generation:
            self._news[project_id] = generation, now
        return now - self._news[project_id][1]

    async def leave_out(self) -> None:
        """Sample out what no cycle chose: one window of the waiting rounds, in the order in which they came."""
        kept = [
            (one.project_id, budget.kept_s)
            for one in self._references.projects.all()
            if (budget := one.spec.policy.budget) is not None
        ]
        if not kept:
            return
        async with self._service.unit() as unit:
            found, further = await list_unchosen(unit.connection, kept, self._after, WINDOW * self._chunk)
        for first in range(0, len(found), self._chunk):
            await self._leave_out(found[first : first + self._chunk])
        self._after = further or 0

    async def _leave_out(self, keys: Sequence[Key]) -> None:
        async with self._service.unit() as unit:
            before = await with_rounds(unit.connection, await lock_items(unit.connection, keys))
            after = dict(before)
            for key, known in before.items():
                context = context_of(self._references, key[0], unit)
                after[key], said = sample_out(known, context, draws_of(*key))
                publish(said, unit, self._metrics)
            await save(unit.connection, before, after)


def _begun(cycle: Cycle | None) -> int:
    return cycle.begun if cycle is not None else 0
