"""Doubts wait in a table; the best are asked for as the budgets allow, when labels come and on monitor's own clock."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

import structlog

from services.monitor.domain.belief import MICRO, TEMPERATURES, temperature
from services.monitor.domain.budget import bar, bin_of, choose, keeps
from services.monitor.domain.counters import Counts, Key, Kind, time_bucket
from services.monitor.domain.relabel import BUDGET_WINDOW, Beliefs, Doubt, request, requested
from services.monitor.jobs.flow import OpenUnit
from services.monitor.settings import MonitorSettings
from services.monitor.store import DoubtStore, Store
from shared.bus.references import Projects
from shared.bus.unit import Unit
from shared.events import RelabelPolicy
from shared.topics import RELABELS

log = structlog.get_logger(__name__)
HOUR = timedelta(hours=1)
HOUR_S = 3600


class Relabelling:
    """The jobs of one replica. Each may run in every replica at once: a project's budget is locked meanwhile."""

    def __init__(self, unit: OpenUnit, projects: Projects, settings: MonitorSettings, beliefs: Beliefs) -> None:
        self._unit = unit
        self._projects = projects
        self._settings = settings
        self._beliefs = beliefs

    async def release(self) -> None:
        """Ask for what the budgets allow by now, and forget what will never come to be asked for."""
        async with self._unit() as unit:
            waiting = await DoubtStore(unit.connection).list_waiting()
        bars, spent = {}, set()
        for project_id in waiting:
            project = self._projects.current(project_id)
            policy = project.spec.policy.relabel if project is not None else RelabelPolicy(budget_per_day=0)
            kept = keeps(policy.budget_per_day)
            async with self._unit() as unit:
                spent |= await release({project_id: policy}, unit, experts=with_experts(self._projects))
                before = unit.now - timedelta(days=self._settings.doubts_kept_days)
                await DoubtStore(unit.connection).trim(project_id, kept, before)
                day, _ = await _counted(unit)
            bars[project_id] = bar(day.get(project_id, {}), kept)
        self._beliefs.bars, self._beliefs.spent = bars, spent

    async def believe(self) -> None:
        """Read anew how far models and people are to be believed."""
        async with self._unit() as unit:
            since = int((unit.now - timedelta(days=self._settings.buckets_kept_days)).timestamp())
            counts = await Store(unit.connection).list_counts(since, kind=Kind.CALIBRATED)
            accuracies = await DoubtStore(unit.connection).list_accuracies()
        sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(TEMPERATURES))
        for key, n in counts.items():
            sums[key.project_id, key.part][int(key.symbol)] += n / MICRO
        self._beliefs.temperatures = {key: temperature(logs) for key, logs in sums.items()}
        self._beliefs.accuracies = accuracies


def with_experts(projects: Projects) -> set[str]:
    """The projects whose policy has experts."""
    return {one.project_id for one in projects.all() if one.spec.policy.experts}


async def release(policies: Mapping[str, RelabelPolicy], unit: Unit, *, experts: Collection[str]) -> set[str]:
    """Ask for the best that wait in these projects, as far as their budgets go; a request is never made twice.

    Args:
        policies: by project.
        unit: the transaction.
        experts: the projects whose policy has experts: theirs are the hard items.

    Returns:
        The projects that have no budget left.
    """
    store, doubts = Store(unit.connection), DoubtStore(unit.connection)
    spent = await store.claim_budgets(policies, since=unit.now - BUDGET_WINDOW)
    left = {project: policies[project].budget_per_day - n for project, n in spent.items()}
    if all(n <= 0 for n in left.values()):
        return set(left)
    hour = await store.count_relabels(sorted(left), since=unit.now - HOUR)
    day, known = await _counted(unit)
    chosen: list[Doubt] = []
    for project, n in sorted(left.items()):
        budget = policies[project].budget_per_day
        least = bar(day.get(project, {}), budget) if project in known else None
        best = await doubts.list_best(project, max(n, 0))
        chosen += choose(best, budget=budget, day=spent[project], hour=hour[project], least=least)
    await doubts.forget_items([(one.project_id, one.item_id) for one in chosen])
    requests = [request(one, now=unit.now, experts=one.project_id in experts) for one in chosen]
    made = await store.save_relabels(requests)
    fresh = [event for event in requests if event.event_id in made]
    for event in fresh:
        unit.emit(RELABELS, event)
    await store.add_counts(requested(fresh), shard=0)
    return {project for project, n in left.items() if n <= sum(one.project_id == project for one in chosen)}


async def _counted(unit: Unit) -> tuple[dict[str, Counter[int]], set[str]]:
    """Doubts of the last day by project and bin; and the projects of which more than a day is known."""
    a_day_ago = time_bucket(unit.now - BUDGET_WINDOW, HOUR_S)
    since = int((unit.now - 2 * BUDGET_WINDOW).timestamp())
    day: dict[str, Counter[int]] = defaultdict(Counter)
    known = set()
    for key, n in (await Store(unit.connection).list_counts(since, kind=Kind.DOUBTED)).items():
        if key.bucket <= a_day_ago:
            known.add(key.project_id)
        else:
            day[key.project_id][int(key.symbol)] += n
    return day, known


def came(doubts: Iterable[Doubt], now: datetime) -> Counts:
    """What doubts add to the counters, whether they are kept or not."""
    bucket = time_bucket(now, HOUR_S)
    return Counts(Key(one.project_id, Kind.DOUBTED, "", str(bin_of(one.wrong)), bucket) for one in doubts)
