"""Drift: what batches observed is folded into the detectors, and alarms are told."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from services.monitor.domain.drift.keeper import Keeper, Taken, same_change
from services.monitor.domain.drift.standing import Standing
from services.monitor.jobs.flow import OpenUnit
from services.monitor.settings import MonitorSettings
from services.monitor.store import OLD_COHORTS, AlarmStore, DriftStore, KeptAlarm, Store
from services.monitor.store.alarms import OLD_ALARMS
from shared.bus.references import CurrentProject, Projects
from shared.bus.unit import Unit
from shared.events import Drift, DriftAlarm, Quality
from shared.topics import QUALITY

log = structlog.get_logger(__name__)
BATCH = 500
"""Observations of one project that one transaction folds."""
Key = tuple[str, str]


class Drifting:
    """The job of one replica. Several may run at once: a project's detectors are locked meanwhile."""

    def __init__(self, unit: OpenUnit, projects: Projects, settings: MonitorSettings) -> None:
        self._unit = unit
        self._projects = projects
        self._settings = settings
        self._kept: dict[tuple[str, Key], tuple[str, tuple[Drift, bool], Keeper]] = {}

    async def detect(self) -> None:
        """Fold what waits, project by project."""
        async with self._unit() as unit:
            waiting = await DriftStore(unit.connection).list_waiting()
        for project_id in waiting:
            project = self._projects.current(project_id)
            while project is not None:
                async with self._unit() as unit:
                    if await self._fold(project, unit) < BATCH:
                        break

    async def prune(self) -> None:
        """Delete cohorts that nothing waits for any more, and alarms long resolved; a bounded number at a time."""
        async with self._unit() as unit:
            now, kept = unit.now, self._settings
        late = int(now.timestamp() - 2.0 * kept.drift_late_s)
        for statement, before in ((OLD_COHORTS, late), (OLD_ALARMS, now - timedelta(days=kept.alarms_kept_days))):
            await self._prune(statement, before)

    async def _prune(self, statement: str, before: int | datetime) -> None:
        gone = self._settings.prune_rows
        while gone >= self._settings.prune_rows:
            async with self._unit() as unit:
                gone = await Store(unit.connection).prune(statement, before, self._settings.prune_rows)

    async def _fold(self, project: CurrentProject, unit: Unit) -> int:
        project_id, policy, store = project.project_id, project.spec.drift, DriftStore(unit.connection)
        states = await store.claim(project_id)
        late = unit.now - timedelta(seconds=self._settings.drift_late_s)
        taken = await store.take(
            project_id, share=self._settings.drift_matured_share, before=int(late.timestamp()), limit=BATCH
        )
        if not taken or policy.mode == "off":
            return len(taken)
        name = self._projects.names(project_id).name
        keepers = self._keepers(project, states, taken)
        told, changed = await asyncio.to_thread(_fold_all, keepers, taken, len({*states, *keepers}), name)
        await store.save(project_id, changed)
        for key, (text, _) in changed.items():
            self._kept[project_id, key] = text, (policy, bool(project.spec.slices)), keepers[key]
        await self._tell(project_id, told, unit)
        return len(taken)

    def _keepers(self, project: CurrentProject, states: Mapping[Key, str], taken: list[Taken]) -> dict[Key, Keeper]:
        """The detectors that have something to take in: those in memory, where nobody else has been at them."""
        found: dict[Key, Keeper] = {}
        project_id, policy, sliced = project.project_id, project.spec.drift, bool(project.spec.slices)
        for group in (one.group for one in taken):
            key = (group.signal, group.slice)
            if key in found:
                continue
            text, held = states.get(key), self._kept.pop((project_id, key), None)
            if text is None:
                found[key] = Keeper(group, policy, sliced=sliced)
            elif held is not None and held[:2] == (text, (policy, sliced)):
                found[key] = held[2]
            else:
                found[key] = Keeper.load(text, policy, sliced=sliced)
        return found

    async def _tell(self, project_id: str, told: list[DriftAlarm], unit: Unit) -> None:
        """Keep and publish; a change that was told before, by an earlier database, is not told again."""
        if not told:
            return
        store = AlarmStore(unit.connection)
        known = {kept.alarm.alarm_id: kept.alarm for kept in await store.list_alarms(project_id)}
        known |= {alarm.alarm_id: alarm for alarm in await store.claim_open(project_id)}
        for alarm in map(_after(known), told):
            if _told(alarm, known):
                continue
            known[alarm.alarm_id] = alarm
            if await store.save_alarms([KeptAlarm(project_id, alarm)]):
                unit.emit(QUALITY, _event(project_id, alarm))
                log.info("drift", project_id=project_id, signal=alarm.subject.signal, state=alarm.state)


def _told(alarm: DriftAlarm, known: Mapping[UUID, DriftAlarm]) -> bool:
    """Whether an alarm in this state says nothing new beside what was told."""
    before = known.get(alarm.alarm_id)
    if before is not None:
        return alarm.state == "open" or before.resolved_at is not None
    return any(same_change(alarm, one) for one in known.values())


def _after(known: Mapping[UUID, DriftAlarm]) -> Callable[[DriftAlarm], DriftAlarm]:
    """Alarms numbered after what was told of them last, with the suspects and the impact that others have found."""

    def after(alarm: DriftAlarm) -> DriftAlarm:
        last = known.get(alarm.alarm_id)
        if last is None:
            return alarm
        kept = {
            "number": last.number + 1,
            "suspects": last.suspects,
            "impact": last.impact,
            "mechanisms": last.mechanisms,
        }
        return alarm.model_copy(update=kept)

    return after


def _fold_all(
    keepers: Mapping[Key, Keeper], taken: list[Taken], detectors: int, name: Callable[[str], str]
) -> tuple[list[DriftAlarm], dict[Key, tuple[str, Standing]]]:
    told = [
        alarm for one in taken for alarm in keepers[one.group.signal, one.group.slice].fold(one, detectors, name)
    ]  # fmt: skip
    return told, {key: (keeper.state(), keeper.standing()) for key, keeper in keepers.items()}


def _event(project_id: str, alarm: DriftAlarm) -> Quality:
    return Quality(
        project_id=project_id,
        subject=alarm.about,
        sequence=alarm.sequence,
        measurement=alarm,
        measured_at=alarm.resolved_at or max(alarm.current.ended_at or alarm.opened_at, alarm.opened_at),
    )
