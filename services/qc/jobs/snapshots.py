"""Numbered snapshots of the parameters: a batch fitted to a window of recent answers, on a schedule.

The window bounds a refresh whatever a project has grown to, and a share of one processor bounds all of them. At a
billion items a refresh reads as much as at a million: pages of an index by arrival, and one look per item of the
window. What lies behind the window still counts, in the integers.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

import structlog

from services.qc.domain.consensus import Opinion
from services.qc.domain.counts import CellCount, Learned, Parameters, build, digest, judged_answers, pack
from services.qc.domain.models import Method
from services.qc.domain.rated import rated, readable
from services.qc.domain.refresh import Given, counted_only, fits, refresh
from services.qc.domain.reports import worths_of
from services.qc.domain.scale import Kind, Scale, scale_of
from services.qc.domain.table import table_of
from services.qc.domain.undecided import undecided_cells
from services.qc.metrics import Metrics
from services.qc.settings import QcSettings
from services.qc.store import ParameterCache, Store
from shared.bus.references import References
from shared.bus.unit import Unit
from shared.errors import RetryLater
from shared.events import ConsensusPolicy
from shared.topics import QUALITY

log = structlog.get_logger(__name__)
FORGET_ROWS = 1000
LOOK_S = 1.0
CATCH_UP_AT_MOST = 20_000
"""Answers up to which a batch waits for a snapshot; a fit of so many takes a fraction of a second."""
SHORT_S = 1.0
"""A refresh that took no longer is followed by no rest."""
OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
Body = tuple[list[CellCount], Learned]


class Snapshots:
    """The refresh. It may run in every replica at once: the database decides whose result counts."""

    def __init__(
        self,
        unit: OpenUnit,
        references: References,
        settings: QcSettings,
        metrics: Metrics,
        parameters: ParameterCache,
    ) -> None:
        self._unit = unit
        self._references = references
        self._settings = settings
        self._metrics = metrics
        self._parameters = parameters
        self._rests_until = 0.0
        self._looked = -math.inf
        self._missing: dict[str, int] = {}
        self._told: dict[str, dict[str, float]] = {}

    def _wanted(self, known: int) -> int:
        """Answers after which a snapshot is due, from one that knew this many."""
        window = min(known, self._settings.snapshot_answers)
        return max(self._settings.snapshot_min_answers, math.ceil(self._settings.snapshot_growth * window))

    def _due(self, given: int, known: int, taken_at: datetime | None, now: datetime) -> bool:
        grown = given - known
        if grown <= 0:
            return False
        if grown >= self._wanted(known):
            return True
        return taken_at is None or now - taken_at >= timedelta(seconds=self._settings.snapshot_interval_s)

    async def take_snapshots(self) -> None:
        """Fit each project that has grown enough, the longest waiting first. Decisions name the newest number.

        The database is asked when this replica itself took in enough, and every LOOK_S seconds.
        """
        arrived = self._parameters.arrived
        enough = any(number >= self._missing.get(project, 1) for project, number in arrived.items())
        now_s = time.monotonic()
        if now_s < self._rests_until or (not enough and now_s - self._looked < LOOK_S):
            return
        self._looked = now_s
        arrived.clear()
        async with self._unit() as unit:
            growth = await Store(unit.connection).list_growth()
            now = unit.now
        self._missing = {p: self._wanted(known) - given + known for p, (given, known, _) in growth.items()}
        due = [(at is not None, at or now, p, given) for p, (given, known, at) in growth.items()
               if self._due(given, known, at, now)]  # fmt: skip
        for *_, project, given in sorted(due):
            started = time.monotonic()
            if started < self._rests_until:
                return
            await self._take(project, given)
            took = time.monotonic() - started
            if took > SHORT_S:
                self._rests_until = started + took / self._settings.snapshot_share

    async def catch_up(self, projects: Iterable[str]) -> None:
        """Fit those projects now whose newest snapshot knows less than half of their answers, while they are few.

        Asked before a batch is decided, so that a new project is not decided by what it knew before its people came.
        """
        least = self._settings.snapshot_min_answers
        for project in sorted(projects):
            if self._parameters.behind(project, least, CATCH_UP_AT_MOST):
                async with self._unit() as unit:
                    given, *_ = (await Store(unit.connection).list_growth()).get(project, (0,))
                await self._take(project, given)

    async def _take(self, project: str, given: int) -> None:
        async with self._unit() as unit:
            told = await self._taken(project, given, unit)
        self._told.setdefault(project, {}).update(told)

    async def _taken(self, project: str, given: int, unit: Unit) -> Mapping[str, float]:
        """Take a snapshot; what it changed of people's worths, which is told where the project asks people by them."""
        store, now = Store(unit.connection, self._references.projects.naming), unit.now
        if not await store.lock_project(project):
            return {}
        started = time.monotonic()
        cells, learned = await self._refreshed(project, store)
        body = await asyncio.to_thread(pack, cells, learned)
        number, known = await store.get_newest(project)
        name = digest(body)
        if name == known:
            await store.save_given(project, number, given)
            return {}
        judged = judged_answers(cells)
        await store.save_snapshot(project, number + 1, now=now, judged=judged, given=given, digest=name, body=body)
        await store.forget_bodies(project, keep=self._settings.snapshots_kept)
        self._metrics.snapshot(project, number + 1, seconds=time.monotonic() - started)
        log.info("snapshot_taken", project_id=project, snapshot=number + 1, judged=judged, model=learned.model)
        told = await asyncio.to_thread(self._worths, project, cells, learned)
        for event in worths_of(project, told, snapshot=number + 1, now=now):
            unit.emit(QUALITY, event)
        return told

    def _worths(self, project: str, cells: list[CellCount], learned: Learned) -> Mapping[str, float]:
        current = self._references.projects.current(project)
        policies = () if current is None else current.spec.policies
        prefer = max((one.overlap.prefer for one in policies), default=0.0)
        if current is None or prefer == 0.0 or scale_of(current.spec.label).kind is not Kind.CLOSED:
            return {}
        method = Method(current.spec.policy.consensus.method)
        table = table_of(build(0, cells, learned), scale_of(current.spec.label).classes, method)
        return table.crowd(prefer).news(self._told.get(project, {}))

    async def _refreshed(self, project: str, store: Store) -> Body:
        """What the next snapshot holds: a batch fitted to the answers where the scale has classes, else the counts."""
        counted = await store.list_cells(project)
        current = self._references.projects.current(project)
        if current is None:
            return counted, Learned()
        if self._references.projects.naming is not store.naming:
            raise RetryLater("a class was renamed at this moment")
        scale = scale_of(current.spec.label)
        before = (await self._parameters.latest([project], store))[project]
        if scale.kind is Kind.CLOSED:
            given = await store.list_given(project, self._settings.snapshot_answers)
            if fits(len({one.annotator_id for one in given}), scale):
                return await asyncio.to_thread(_fitted, given, counted, scale, before, current.spec.policy.consensus)
        if scale.kind is Kind.NUMERIC:
            given = await store.list_given(project, self._settings.snapshot_answers)
            return counted + await asyncio.to_thread(rated, readable(given), scale.tolerance), counted_only({})
        learned = counted_only(await store.list_answered(project))
        if scale.kind is Kind.FUSED:
            return counted, learned
        return counted + await self._undecided(project, scale, before, store), learned

    async def _undecided(self, project: str, scale: Scale, before: Parameters, store: Store) -> list[CellCount]:
        limit = self._settings.snapshot_undecided
        answers = await store.list_undecided(project, limit)
        total = await store.count_undecided(project)
        return await asyncio.to_thread(
            undecided_cells,
            [[Opinion(name, symbol) for _, name, symbol in one] for _, one in groupby(answers, key=itemgetter(0))],
            scale,
            before,
            total=total,
            taken=min(total, limit),
        )

    async def forget_snapshots(self) -> None:
        """Delete what is left of snapshots that are too old, a bounded number at a time."""
        while True:
            async with self._unit() as unit:
                before = unit.now - timedelta(days=self._settings.snapshot_rows_kept_days)
                if await Store(unit.connection).delete_old(before, FORGET_ROWS) < FORGET_ROWS:
                    return


def _fitted(
    given: list[Given], counted: list[CellCount], scale: Scale, before: Parameters, how: ConsensusPolicy
) -> Body:
    given.sort(key=lambda one: (one.item_id, one.seq))
    return refresh(given, counted, scale, before, Method(how.method), predictions=how.prediction)
