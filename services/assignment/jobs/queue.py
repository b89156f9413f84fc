"""Jobs that end waiting: expired leases, overdue predictions, rounds that pin a project version that is no more."""

from dataclasses import replace

from services.assignment.domain.decide import supersede
from services.assignment.domain.draws import draws_of
from services.assignment.domain.leases import LeaseState
from services.assignment.domain.lifecycle import returned
from services.assignment.domain.superseding import outdated
from services.assignment.handlers.deciding import context_of, overdue, publish
from services.assignment.handlers.outlook import Outlook
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from services.assignment.store.aggregates import save, with_rounds
from services.assignment.store.items import lock_items, lock_overdue
from services.assignment.store.leases import Finish, finish, get_round_ids, list_expired, lock_leases
from services.assignment.store.rounds import list_stale, lock_by_id
from shared.bus.references import CurrentProject
from shared.runtime.service import Service


class QueueJobs:
    """Each run works in transactions of a bounded number of rows; replicas take different rows or find them done."""

    def __init__(
        self,
        service: Service,
        settings: AssignmentSettings,
        metrics: AssignmentMetrics,
        outlook: Outlook | None = None,
    ) -> None:
        self._service = service
        self._outlook = outlook
        self._references = service.references
        self._metrics = metrics
        self._chunk = settings.job_chunk_rows

    async def expire_leases(self) -> None:
        """Give the slots of leases whose time is up back to the queue."""
        while await self._expire_chunk() == self._chunk:
            pass

    async def _expire_chunk(self) -> int:
        async with self._service.unit() as unit:
            due = await list_expired(unit.connection, self._chunk)
            if not due:
                return 0
            ids = await get_round_ids(unit.connection, due)
            rounds = await lock_by_id(unit.connection, ids, skip_locked=True)
            leases = await lock_leases(unit.connection, due)
            ends = []
            for lease in leases.values():
                asked = rounds.get(lease.round_id) if lease.round_id is not None else None
                busy = lease.round_id is not None and asked is None
                if busy or lease.state is not LeaseState.ACTIVE or lease.valid:
                    continue
                ends.append(Finish(lease.id, LeaseState.EXPIRED))
                self._metrics.leases.labels(lease.project_id, "expired").inc()
                if asked is not None and asked.id is not None:
                    rounds[asked.id] = returned(asked, lease.role, None)
            if ends:
                await finish(unit.connection, ends, list(rounds.values()), unit.now)
            return len(ends)

    async def route_overdue(self) -> None:
        """Send items whose prediction did not come in time to people."""
        for project in self._references.projects.all():
            while await self._overdue_chunk(project) == self._chunk:
                pass

    async def _overdue_chunk(self, project: CurrentProject) -> int:
        timeout_s = project.spec.policy.prediction_timeout_s
        async with self._service.unit() as unit:
            waiting = await lock_overdue(unit.connection, project.project_id, timeout_s, self._chunk)
            if waiting:
                await overdue(waiting, self._references, self._metrics, unit, self._outlook)
            return len(waiting)

    async def supersede_outdated(self) -> None:
        """Close and reopen rounds whose classes the project no longer has."""
        for project in self._references.projects.all():
            specs = {v: self._references.projects.spec(project.project_id, v) for v in range(1, project.version)}
            versions = [version for version, spec in specs.items() if spec is not None and outdated(spec, project.spec)]
            while versions and await self._supersede_chunk(project, versions) == self._chunk:
                pass

    async def _supersede_chunk(self, project: CurrentProject, versions: list[int]) -> int:
        async with self._service.unit() as unit:
            stale = await list_stale(unit.connection, project.project_id, versions, self._chunk)
            if not stale:
                return 0
            before = await with_rounds(unit.connection, await lock_items(unit.connection, stale))
            after = dict(before)
            context = context_of(self._references, project.project_id, unit)
            reason = f"version {project.version} of the project no longer has a class of this round"
            for key, known in before.items():
                if known.asked is not None and known.asked.project_version in versions:
                    after[key], said = supersede(known, replace(context, now=unit.now), draws_of(*key), reason)
                    publish(said, unit, self._metrics)
            await save(unit.connection, before, after)
            return len(stale)
