"""Open alarms about drift: how many, how sure, how far, and what is suspected. Signals and dimensions are few."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from services.monitor.domain.drift.standing import DetectorState
from services.monitor.metrics.declared import filled, gauge
from services.monitor.metrics.snapshot import Snapshot

SEVERITIES = ("info", "warning", "critical")

OPEN = gauge("alarms_open", "Alarms about drift that are open.", "project", "severity")
EVIDENCE = gauge(
    "alarm_evidence_nats", "Natural logarithm of the e-value, of the surest open alarm.", "project", "signal"
)
DISTANCE = gauge(
    "alarm_distance_ratio",
    "Total variation distance from the reference, of the largest open alarm, 0 to 1.",
    "project",
    "signal",
)
SUSPECT = gauge(
    "alarm_suspect_ratio",
    "Score of the likeliest suspect of an open alarm, 0 to 1, by what kind of thing it is.",
    "project",
    "signal",
    "dimension",
)
AFFECTED = gauge("alarm_affected_items", "Items since the change, of the open alarm with most.", "project", "signal")
GATHERED = gauge(
    "drift_evidence_nats",
    "Natural logarithm of the evidence against the reference, of the surest detector of a signal, 0 or more.",
    "project",
    "signal",
)
LIMIT = gauge("drift_limit_nats", "Evidence from which on a signal's detectors alarm.", "project", "signal")
DETECTORS = gauge(
    "drift_detectors",
    "Detectors of a signal, of all slices and annotators: learning a reference, watching, or with an open alarm.",
    "project",
    "signal",
    "state",
)
FALSE_ALARMS = gauge(
    "drift_false_alarm_ratio",
    "False alarms per event, at most, of all detectors of a project together, while nothing changes.",
    "project",
)
DECLARED = (OPEN, EVIDENCE, DISTANCE, SUSPECT, AFFECTED, GATHERED, LIMIT, DETECTORS, FALSE_ALARMS)


def drift(shown: Snapshot) -> Iterator[Metric]:
    """The samples of one snapshot."""
    count: Counter[tuple[str, str]] = Counter({(name, level): 0 for name in shown.projects for level in SEVERITIES})
    evidence: dict[tuple[str, str], float] = {}
    distance: dict[tuple[str, str], float] = {}
    affected: dict[tuple[str, str], float] = {}
    suspects: dict[tuple[str, str, str], float] = {}
    for project, alarm in shown.alarms:
        count[project, alarm.severity] += 1
        place = (project, alarm.subject.signal)
        evidence[place] = max(evidence.get(place, alarm.evidence.log_e), alarm.evidence.log_e)
        distance[place] = max(distance.get(place, 0.0), alarm.effect.tvd)
        if alarm.impact is not None and alarm.impact.affected is not None:
            affected[place] = max(affected.get(place, 0.0), alarm.impact.affected)
        for one in alarm.suspects:
            key = (*place, one.dimension)
            suspects[key] = max(suspects.get(key, 0.0), one.score)
    yield filled(OPEN, count)
    yield filled(EVIDENCE, evidence)
    yield filled(DISTANCE, distance)
    yield filled(SUSPECT, suspects)
    yield filled(AFFECTED, affected)
    yield from _detectors(shown)


def _detectors(shown: Snapshot) -> Iterator[Metric]:
    yield filled(GATHERED, {place: one.log_evidence for place, one in shown.watched.items()})
    yield filled(LIMIT, {place: one.log_limit for place, one in shown.watched.items()})
    counts = {
        (*place, state.value): float(getattr(one, state.value))
        for place, one in shown.watched.items()
        for state in DetectorState
    }
    yield filled(DETECTORS, counts)
    yield filled(FALSE_ALARMS, {(project,): 1.0 / budget for project, budget in shown.drift_budgets.items()})
