"""What monitor does on its own clock: publish measurements, read the metrics' snapshot, forget what is old."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, timedelta
from typing import NamedTuple

import structlog

from services.monitor.domain import measuring
from services.monitor.domain.anchoring import WINDOW_DAYS, anchoring
from services.monitor.domain.counters import Counts, Kind
from services.monitor.domain.figures import KINDS, ROLLING, Figures, Kept, figures_of
from services.monitor.domain.relabel import BUDGET_WINDOW
from services.monitor.domain.windows import Window, anchoring_events, measurements, named
from services.monitor.metrics import FlowCollector, Snapshot
from services.monitor.settings import MonitorSettings
from services.monitor.store import OLD_BUCKETS, OLD_EVENTS, OLD_RELABELS, AlarmStore, DriftStore, Store
from services.monitor.store.reading import ReadingStore
from shared.bus.references import Projects
from shared.bus.unit import Unit
from shared.topics import QUALITY

log = structlog.get_logger(__name__)

MIXES = (Kind.PREDICTED, Kind.LABELLED, Kind.COMPARED, Kind.COMPARED_WEIGHT)
"""What the short windows are measured by."""
OBJECTS = (Kind.OBJECTS, Kind.OBJECT_ITEMS, Kind.OBJECT_SQUARES, Kind.OBJECT_CROSS)
SHOWN = (*MIXES, *OBJECTS, Kind.EXTENT, Kind.WORDS)
"""What is shown of them."""
OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
REFERENCE = timedelta(days=1)
"""Before the window: what classes are compared with on the status page."""


class Slowly(NamedTuple):
    """The part of a snapshot that is read less often."""

    at: datetime
    figures: Mapping[str, Figures]
    reference: Counts


class Jobs:
    """The jobs of one replica. Each may run in every replica at once: the database decides whose result counts."""

    def __init__(self, unit: OpenUnit, projects: Projects, settings: MonitorSettings, collector: FlowCollector) -> None:
        self._unit = unit
        self._projects = projects
        self._settings = settings
        self._collector = collector
        self._read: Slowly | None = None

    async def publish_quality(self) -> None:
        """Publish the measurements of the last full window, once per window over all replicas."""
        async with self._unit() as unit:
            store = Store(unit.connection)
            window = Window.before(unit.now, window_s=self._settings.window_s, step_s=self._settings.quality_interval_s)
            counts = await store.list_counts(int(window.start.timestamp()), int(window.end.timestamp()), kinds=MIXES)
            week = int((window.end - timedelta(days=WINDOW_DAYS)).timestamp())
            answers = await store.list_counts(week, int(window.end.timestamp()), kind=Kind.ANCHORED)
            judged = await store.list_counts(week, int(window.end.timestamp()), kinds=measuring.KINDS)
            events = [*measurements(named(counts, self._projects.naming), window), *anchoring_events(answers, window)]
            events += measuring.accuracy_events(judged, end=window.end, window_s=WINDOW_DAYS * 86_400.0)
            fresh = await store.claim_windows([(e.project_id, e.subject, e.measured_at) for e in events])
            for event in events:
                if (event.project_id, event.subject) in fresh:
                    unit.emit(QUALITY, event)
        log.debug("quality_published", events=len(fresh), window_end=window.end.isoformat())

    async def take_snapshot(self) -> None:
        """Read what the metrics show."""
        projects = self._projects.all()
        names = [project.project_id for project in projects]
        async with self._unit() as unit:
            store = Store(unit.connection)
            totals = await store.list_counts(always=True)
            since = unit.now - timedelta(seconds=self._settings.window_s)
            window = await store.list_counts(int(since.timestamp()), kinds=SHOWN)
            spent = await store.count_relabels(names, since=unit.now - BUDGET_WINDOW)
            slowly = await self._slowly(unit, names)
            alarms = await AlarmStore(unit.connection).list_alarms(open_only=True)
            watched = await DriftStore(unit.connection).watched()
            week = int((unit.now - timedelta(days=WINDOW_DAYS)).timestamp())
            answers = await store.list_counts(week, kind=Kind.ANCHORED)
        drift = {p.project_id: p.spec.drift.budget for p in projects if p.spec.drift.mode != "off"}
        budgets = {p.project_id: p.spec.policy.relabel.budget_per_day - spent[p.project_id] for p in projects}
        snapshot = Snapshot(
            taken_at=unit.now,
            totals=totals,
            window=named(window, self._projects.naming),
            reference=named(slowly.reference, self._projects.naming),
            projects={p.project_id: frozenset(getattr(p.spec.label, "classes", ())) for p in projects},
            budget_left={project: max(left, 0) for project, left in budgets.items()},
            anchoring={project: found.difference for project, found in anchoring(answers).items()},
            figures=slowly.figures,
            alarms=alarms,
            watched={place: one for place, one in watched.items() if place[0] in drift},
            drift_budgets=drift,
        )
        self._collector.show(snapshot)

    async def _slowly(self, unit: Unit, projects: Sequence[str]) -> Slowly:
        """What moves slowly or takes long to read: read again after `quality_interval_s`, or for a new project."""
        every = timedelta(seconds=self._settings.quality_interval_s)
        known = self._read
        if known is None or unit.now - known.at >= every or set(projects) - known.figures.keys():
            store = ReadingStore(unit.connection)
            measured = await store.list_measured(KINDS, Kept)
            measured += await store.list_measured(ROLLING, Kept, since=unit.now - REFERENCE)
            until = unit.now - timedelta(seconds=self._settings.window_s)
            known = Slowly(
                unit.now,
                figures_of(projects, measured, await store.count_people()),
                await store.count_classes(int((until - REFERENCE).timestamp()), int(until.timestamp())),
            )
            self._read = known
        return known

    async def prune(self) -> None:
        """Delete time buckets, event ids and relabel requests past their age, a bounded number at a time."""
        async with self._unit() as unit:
            now, kept = unit.now, self._settings
        buckets = int((now - timedelta(days=kept.buckets_kept_days)).timestamp())
        gone = {
            "buckets": await self._prune(OLD_BUCKETS, buckets),
            "event_ids": await self._prune(OLD_EVENTS, (now - timedelta(days=kept.seen_kept_days)).date()),
            "relabels": await self._prune(OLD_RELABELS, now - timedelta(days=kept.relabels_kept_days)),
        }
        log.info("pruned", **gone)

    async def _prune(self, statement: str, before: int | date | datetime) -> int:
        total, limit = 0, self._settings.prune_rows
        while True:
            async with self._unit() as unit:
                gone = await Store(unit.connection).prune(statement, before, limit)
            total += gone
            if gone < limit:
                return total
