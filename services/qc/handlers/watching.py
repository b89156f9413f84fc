"""How people work, as their annotations come in and as they are told right or wrong."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from services.qc.domain.conduct import (
    DRIFT,
    Conduct,
    Judged,
    Person,
    forget_others,
    forgiven,
    heard,
    judged,
    said_of,
    was_said,
    worked,
)
from services.qc.domain.outcomes import quarantine_of
from services.qc.domain.reports import broken, drift_of, firing_of
from services.qc.domain.rules import Firing
from services.qc.domain.trust import Trust, condemned
from services.qc.metrics import Metrics
from services.qc.store import Store
from shared.bus.references import Projects
from shared.bus.unit import Unit
from shared.events import Action, Annotation, Quality, Quarantine, Rule, RuleFired, SkillDrift
from shared.topics import QUALITY

Fired = Sequence[tuple[Person, Firing]]


class Watch:
    """Keeps each person's conduct, and evaluates the rules of the project in force; three statements more a batch."""

    def __init__(self, projects: Projects, metrics: Metrics) -> None:
        self._projects = projects
        self._metrics = metrics

    async def observe(self, events: Sequence[Annotation], told: Sequence[Judged], unit: Unit) -> Fired:
        """New annotations, then answers that were judged just now, each in order; the rules that put in quarantine."""
        store = Store(unit.connection, self._projects.naming)
        people = [(e.project_id, e.annotator_id) for e in events if e.annotator_id is not None]
        known = await store.claim_conduct([*people, *(one.person for one in told)])
        rules = {project: self._rules(project) for project, _ in known}
        fired: list[tuple[Person, Firing]] = []
        for who, one in known.items():
            forget_others(one, rules[who[0]])
        for event, who in zip((e for e in events if e.annotator_id is not None), people, strict=True):
            fired += [(who, found) for found in worked(known[who], event, rules[who[0]], unit.now)]
        for answer in told:
            who = answer.person
            fired += [(who, found) for found in judged(known[who], answer, rules[who[0]], unit.now)]
            self._drift(known[who], answer, unit)
        await store.save_conduct(known)
        for who, found in fired:
            unit.emit(QUALITY, firing_of(who, found, unit.now))
            self._metrics.rule(who[0], found.rule.then.do.value)
        return [(who, found) for who, found in fired if found.rule.then.do is Action.QUARANTINE]

    def condemn(self, people: dict[Person, Trust], fired: Fired, unit: Unit) -> None:
        """Put in quarantine whom rules put there; changes claimed rows."""
        for who, found in fired:
            if not people[who].quarantined:
                people[who] = condemned(people[who], broken(found), unit.now)
                cause = f"rule:{found.rule.name}:{found.number}"
                unit.emit(QUALITY, quarantine_of(*who, people[who].reason, cause=cause, now=unit.now))
                self._metrics.quarantine(who[0])

    async def remember(self, events: Iterable[Quality], unit: Unit) -> None:
        """What was said of people before, by this database or an earlier one: it is not said again.

        Somebody whom a lead reinstates starts afresh.
        """
        told = [(e, m) for e in events if isinstance(m := e.measurement, SkillDrift | RuleFired | Quarantine)]
        told = [(e, m) for e, m in told if not isinstance(m, Quarantine) or not m.active]
        if not told:
            return
        store = Store(unit.connection, self._projects.naming)
        known = await store.claim_conduct((event.project_id, one.annotator_id) for event, one in told)
        for event, one in told:
            _recall(known[event.project_id, one.annotator_id], one, unit.now)
        await store.save_conduct(known)

    def _rules(self, project_id: str) -> Sequence[Rule]:
        current = self._projects.current(project_id)
        return () if current is None else current.spec.rules

    def _drift(self, known: Conduct, told: Judged, unit: Unit) -> None:
        alarm = heard(known, told)
        if alarm is not None:
            unit.emit(QUALITY, drift_of(told.person, alarm, unit.now))
            self._metrics.drift(told.person[0])


def _recall(known: Conduct, told: SkillDrift | RuleFired | Quarantine, now: datetime) -> None:
    match told:
        case SkillDrift(number=number):
            was_said(known, DRIFT, number)
        case RuleFired():
            was_said(known, said_of(told.rule), told.number)
            if told.action is Action.MORE_OVERLAP and told.until is not None and told.until > now:
                known.overlap, known.overlap_until = told.opinions, told.until
        case Quarantine():
            forgiven(known)
