"""Forgetting what has become too old: contents nobody will be asked about, leases that ran out, the request log."""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from services.assignment.store.retention import (
    CONTENTS,
    Place,
    blank_contents,
    claim_cursor,
    delete_expired,
    delete_log,
    forget_kept,
    keep_contents,
    list_contents,
    list_kept,
    move_cursor,
)
from shared.bus.unit import Unit
from shared.runtime.service import Service

SHORTEST, LONGEST = timedelta(minutes=10), timedelta(days=1)
"""How much of the items' time one look at them covers: more after a look that found few, least after a full chunk."""
FIRST: Place = ("", "")
Step = Callable[[Unit], Awaitable[bool]]


class Retention:
    """Each run works in transactions of a bounded number of rows, for a bounded time; the next goes on from there."""

    def __init__(self, service: Service, settings: AssignmentSettings, metrics: AssignmentMetrics) -> None:
        self._service = service
        self._settings = settings
        self._metrics = metrics
        self._chunk = settings.job_chunk_rows
        self._kept_after = FIRST
        self._window = SHORTEST

    async def forget(self) -> None:
        """Everything that is due, or as much as fits into the time of a run."""
        deadline = time.monotonic() + self._settings.retention_budget_s
        for step in (self._contents, self._kept, self._leases, self._log):
            while await self._step(step) and time.monotonic() < deadline:
                pass

    async def _step(self, step: Step) -> bool:
        async with self._service.unit() as unit:
            return await step(unit)

    def _cutoff(self, unit: Unit, days: float) -> datetime:
        return unit.now - timedelta(days=days)

    async def _contents(self, unit: Unit) -> bool:
        """One chunk of the oldest items whose time has come; whether there may be more."""
        since = await claim_cursor(unit.connection, CONTENTS)
        until = self._cutoff(unit, self._settings.content_kept_days)
        if since is None or since >= until:
            return False
        end = min(since + self._window, until)
        found = await list_contents(unit.connection, since, end, self._chunk)
        await self._forget_contents(unit, [place for place, rests in found if rests])
        waiting = [place for place, rests in found if not rests]
        if waiting:
            await keep_contents(unit.connection, waiting)
        full = len(found) == self._chunk
        self._window = SHORTEST if full else min(2 * self._window, LONGEST)
        if not full:
            await move_cursor(unit.connection, CONTENTS, end)
        return full or end < until

    async def _kept(self, unit: Unit) -> bool:
        """One chunk of the old items that were not at rest; whether there are more in this turn."""
        found = await list_kept(unit.connection, self._kept_after, self._chunk)
        done = [place for place, rests in found if rests]
        await self._forget_contents(unit, done)
        if done:
            await forget_kept(unit.connection, done)
        more = len(found) == self._chunk
        self._kept_after = found[-1][0] if more else FIRST
        return more

    async def _forget_contents(self, unit: Unit, places: list[Place]) -> None:
        if places:
            await blank_contents(unit.connection, places)
            self._metrics.forgotten.labels("contents").inc(len(places))

    async def _leases(self, unit: Unit) -> bool:
        before = self._cutoff(unit, self._settings.expired_leases_kept_days)
        gone = await delete_expired(unit.connection, before, self._chunk)
        self._metrics.forgotten.labels("leases").inc(gone)
        return gone == self._chunk

    async def _log(self, unit: Unit) -> bool:
        gone = await delete_log(unit.connection, self._cutoff(unit, self._settings.request_log_kept_days), self._chunk)
        self._metrics.forgotten.labels("request_log").inc(gone)
        return gone == self._chunk
