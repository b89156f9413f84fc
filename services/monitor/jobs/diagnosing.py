"""Open alarms are told again with their suspects, and again when another one comes first."""

import asyncio
from datetime import datetime, timedelta

import structlog

from services.monitor.domain.accuracy import HOUR_S
from services.monitor.domain.cause import diagnose, mechanisms
from services.monitor.domain.cause.periods import BUCKET_S, KINDS, alike, period
from services.monitor.domain.cause.telling import LONGEST, billed, impact, news, settled, spans, told
from services.monitor.domain.counters import Kind
from services.monitor.domain.windows import named
from services.monitor.jobs.flow import OpenUnit
from services.monitor.store import AlarmStore, DoubtStore, KeptAlarm, Store
from shared.bus.references import CurrentProject, Projects
from shared.bus.unit import Unit
from shared.events import AlarmImpact, DriftAlarm, Quality
from shared.topics import QUALITY

log = structlog.get_logger(__name__)
EXEMPLARS = 10
RESOLVED = timedelta(hours=1)
"""For so long a cause of a resolved alarm is looked for."""
JUDGED = (Kind.JUDGED, Kind.JUDGED_WEIGHT, Kind.JUDGED_CONFIDENCE, Kind.CONFIDENT, Kind.SAID)


class Diagnosing:
    """The job of one replica. It may run in every replica at once: alarms are locked while they are told again."""

    def __init__(self, unit: OpenUnit, projects: Projects) -> None:
        self._unit = unit
        self._projects = projects

    async def diagnose(self) -> None:
        """Look for the causes of every open alarm, and of those that a fast stream resolved before this job came."""
        for project in self._projects.all():
            async with self._unit() as unit:
                alarms = AlarmStore(unit.connection)
                untold = await alarms.claim_unexplained(project.project_id, unit.now - RESOLVED, unit.now - LONGEST)
                for alarm in untold:
                    if settled(alarm, unit.now):
                        continue
                    if alarm.resolved_at is not None and alarm.suspects:
                        again: DriftAlarm | None = billed(alarm, await self._impact(project, alarm, unit))
                    else:
                        again = await self._again(project, alarm, unit)
                    if again is not None:
                        await self._tell(project.project_id, again, unit)

    async def _again(self, project: CurrentProject, alarm: DriftAlarm, unit: Unit) -> DriftAlarm | None:
        """The alarm with its suspects; None where there is nothing new to tell."""
        project_id = project.project_id
        start, change, end = spans(alarm, unit.now)
        store = Store(unit.connection)
        since, border, until = (_bucket(at, BUCKET_S) for at in (start, change, end + timedelta(seconds=BUCKET_S)))
        counts = await store.list_counts(since, until, kinds=KINDS, project=project_id)
        counts = named(counts, self._projects.naming)
        before, after = alike(period(counts, project_id, since, border), period(counts, project_id, border, until))
        suspects = await asyncio.to_thread(diagnose, before, after)
        if not news(alarm, suspects):
            return None
        exemplars = await DoubtStore(unit.connection).list_items(project_id, change, EXEMPLARS)
        return told(alarm, suspects, mechanisms(before, after), await self._impact(project, alarm, unit), exemplars)

    async def _impact(self, project: CurrentProject, alarm: DriftAlarm, unit: Unit) -> AlarmImpact:
        start, _, end = spans(alarm, unit.now)
        counts = await Store(unit.connection).list_counts(
            _bucket(start, HOUR_S), _bucket(end, BUCKET_S) + BUCKET_S, kinds=JUDGED, project=project.project_id
        )
        price = project.spec.cost.error
        return impact(counts, alarm, project_id=project.project_id, now=unit.now, error_cost=price)

    async def _tell(self, project_id: str, alarm: DriftAlarm, unit: Unit) -> None:
        fresh = await AlarmStore(unit.connection).save_alarms([KeptAlarm(project_id, alarm)])
        if fresh:
            unit.emit(QUALITY, _event(project_id, alarm, unit.now))
            first = alarm.suspects[0]
            log.info("alarm_explained", project_id=project_id, alarm=str(alarm.alarm_id), signature=first.signature)


def _event(project_id: str, alarm: DriftAlarm, now: datetime) -> Quality:
    return Quality(
        project_id=project_id, subject=alarm.about, sequence=alarm.sequence, measurement=alarm, measured_at=now
    )


def _bucket(at: datetime, width_s: int) -> int:
    return int(at.timestamp()) // width_s * width_s
