"""Keeping small what should be small, and the gauges."""

import time
from collections import Counter, deque

from services.assignment.domain.states import OPEN_STATES, Standing, State
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from services.assignment.store.items import fold_tallies, sum_tallies
from services.assignment.store.people import LogLine, forget_requests, log_requests, mark_seen
from services.assignment.store.rounds import count_open
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
                await log_requests(unit.connection, lines)

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
            states = await count_open(unit.connection)
        found = Counter({key: n for key, n in totals.items() if key[1] in RESTING_NAMES})
        found.update(states)
        for project in self._service.references.projects.all():
            for name in (*RESTING_NAMES, *(state.value for state in OPEN_STATES)):
                self._metrics.state.labels(project.project_id, name).set(found[project.project_id, name])


RESTING_NAMES = tuple(
    state.value for state in State if state not in OPEN_STATES and state.value != Standing.PARKED.value
)
