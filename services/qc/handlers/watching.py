"""How people work, as their annotations come in and as they are told right or wrong."""

from collections.abc import Iterable, Sequence

from services.qc.domain.conduct import DRIFT, Judged, heard, was_said, worked
from services.qc.domain.reports import drift_of
from services.qc.metrics import Metrics
from services.qc.store import Store
from shared.bus.unit import Unit
from shared.events import Annotation, Quality, SkillDrift
from shared.topics import QUALITY


class Watch:
    """Keeps each person's conduct; two statements more a batch."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def observe(self, events: Sequence[Annotation], judged: Sequence[Judged], unit: Unit) -> None:
        """New annotations, then answers that were judged just now, each in order."""
        store = Store(unit.connection)
        people = [(e.project_id, e.annotator_id) for e in events if e.annotator_id is not None]
        known = await store.claim_conduct([*people, *(told.person for told in judged)])
        for event in events:
            if event.annotator_id is not None:
                worked(known[event.project_id, event.annotator_id], event)
        for told in judged:
            alarm = heard(known[told.person], told)
            if alarm is not None:
                unit.emit(QUALITY, drift_of(told.person, alarm, unit.now))
                self._metrics.drift(told.person[0])
        await store.save_conduct(known)

    async def remember(self, events: Iterable[Quality], unit: Unit) -> None:
        """What was said of people before, by this database or an earlier one: it is not said again."""
        alarms = [(e.project_id, m) for e in events if isinstance(m := e.measurement, SkillDrift)]
        if not alarms:
            return
        store = Store(unit.connection)
        known = await store.claim_conduct((project, alarm.annotator_id) for project, alarm in alarms)
        for project, alarm in alarms:
            was_said(known[project, alarm.annotator_id], DRIFT, alarm.number)
        await store.save_conduct(known)
