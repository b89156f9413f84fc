"""Open alarms about drift: how many, how sure, how far, and what is suspected. Signals and dimensions are few."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

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
DECLARED = (OPEN, EVIDENCE, DISTANCE, SUSPECT, AFFECTED)


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
