"""Keeping small what should be small, and the gauges."""

import time
from collections import deque
from collections.abc import Mapping

from services.assignment.domain.states import fill_open
from services.assignment.jobs.recording import record
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from services.assignment.store.audit import LogLine
from services.assignment.store.items import fold_tallies, sum_tallies
from services.assignment.store.people import forget_requests, mark_seen
from services.assignment.store.rounds import count_states
from services.assignment.store.rows import Key
from shared.runtime.service import Service

LOG_LIMIT = 10_000


class Housekeeping:
    """Also remembers, between two runs, who was seen and what was refused: neither is worth a write per request."""

    def __init__(self, service: Service, settings: AssignmentSettings, metrics: AssignmentMetrics) -> None:
        self._service = service
        self._settings = settings
        self._metrics = metrics
        self._seen: dict[str, float] = {}
        self._refused: deque[LogLine] = deque(maxlen=LOG_LIMIT)

    def saw(self, annotator_id: str) -> None:
        """A person has just called."""
        self._seen[annotator_id] = time.monotonic()

    def refused(self, line: LogLine) -> None:
        """A request was refused; of a flood the latest are kept."""
        self._refused.append(line)

    async def flush(self) -> None:
        """Write down who was seen and what was refused."""
        seen, self._seen = self._seen, {}
        lines = list(self._refused)
        self._refused.clear()
        if not seen and not lines:
            return
        try:
            await self._write(seen, lines)
        except BaseException:
            self._seen = seen | self._seen
            self._refused.extendleft(reversed(lines))
            raise

    async def _write(self, seen: dict[str, float], lines: list[LogLine]) -> None:
        now = time.monotonic()
        async with self._service.unit() as unit:
            if seen:
                await mark_seen(unit.connection, {who: now - at for who, at in seen.items()})
            if lines:
                await record(unit, lines)

    async def fold(self) -> None:
        """Sum up the tallies, forget old idempotency keys."""
        async with self._service.unit() as unit:
            await fold_tallies(unit.connection)
        async with self._service.unit() as unit:
            await forget_requests(unit.connection, self._settings.idempotency_ttl_s, self._settings.job_chunk_rows)

    async def gauge(self) -> None:
        """Items by state."""
        async with self._service.unit() as unit:
            totals = await sum_tallies(unit.connection)
            counted = await count_states(unit.connection)
        for project in self._service.references.projects.all():
            name = project.project_id
            for state, number in fill_open(_of(totals, name), _of(counted, name)).items():
                self._metrics.state.labels(name, state).set(number)


def _of(numbers: Mapping[Key, int], project_id: str) -> dict[str, int]:
    return {name: number for (project, name), number in numbers.items() if project == project_id}
