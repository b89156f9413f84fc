"""The service level objectives, and the Prometheus rules that follow from each: ratios over windows, and burn rates.

An objective allows a share of bad events, its budget. An alert fires where the budget burns so fast that it matters
(Google's SRE workbook, chapter 5, table 5-8), by a long window, and by a short one so that it ends when the fault does.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PATH = Path("deploy/prometheus/rules/objectives.yml")
HEAD = "# Written by `python -m cli.docs` from cli/docs/objectives.py; do not edit.\n"
REPLICA = "instance, pod, container, endpoint"
"""The labels that tell replicas apart: `instance` everywhere, the others under the Prometheus operator."""
RUNBOOKS = "docs/runbooks.md"
SECONDS = {"5m": 300, "30m": 1_800, "1h": 3_600, "6h": 21_600, "3d": 259_200}


@dataclass(frozen=True, slots=True)
class Burn:
    """`factor`: how many times faster than allowed the budget goes, over both windows."""

    factor: float
    long: str
    short: str
    severity: str


BURNS = (Burn(14.4, "1h", "5m", "page"), Burn(6, "6h", "30m", "page"), Burn(1, "3d", "6h", "warning"))


@dataclass(frozen=True, slots=True)
class Objective:
    """One promise.

    Attributes:
        name: in the names of its series; level: the labels that they keep.
        alert: the alert's name, which is its anchor in the runbooks, too.
        joined: how replicas are joined: sum, or max where every replica shows the same numbers (monitor).
        total: the counter of all events; good or bad: that of the good or the bad ones.
        apart: a label that is summed up within a replica.
        allowed: share of bad events that the objective allows.
        least: events in the long window below which nothing is concluded.
    """

    name: str
    level: str
    alert: str
    summary: str
    joined: str
    total: str
    allowed: float
    least: int
    good: str = ""
    bad: str = ""
    apart: str = ""


OBJECTIVES = (
    Objective(
        "prediction_late",
        "project",
        "LabelstreamPredictionsLate",
        "{{ $labels.project }}: {{ $value | humanizePercentage }} of the items waited more than a second for their"
        " prediction; 1 % may",
        "max",
        "labelstream_item_prediction_latency_seconds_count",
        0.01,
        100,
        good='labelstream_item_prediction_latency_seconds_bucket{le="1.0"}',
    ),
    Objective(
        "auto_label_late",
        "project",
        "LabelstreamAutoLabelsLate",
        "{{ $labels.project }}: {{ $value | humanizePercentage }} of the labels of the model alone took more than five"
        " seconds; 1 % may",
        "max",
        'labelstream_item_label_latency_seconds_count{path="auto"}',
        0.01,
        100,
        good='labelstream_item_label_latency_seconds_bucket{path="auto", le="5.0"}',
        apart="path",
    ),
    Objective(
        "people_label_late",
        "project",
        "LabelstreamPeoplesLabelsLate",
        "{{ $labels.project }}: {{ $value | humanizePercentage }} of people's labels took more than a day; 5 % may",
        "max",
        'labelstream_item_label_latency_seconds_count{path!="auto"}',
        0.05,
        50,
        good='labelstream_item_label_latency_seconds_bucket{path!="auto", le="86400.0"}',
        apart="path",
    ),
    Objective(
        "record_refused",
        "service_topic",
        "LabelstreamRecordsRefused",
        "{{ $labels.topic }}: {{ $value | humanizePercentage }} of the records go to the dead letters of"
        " {{ $labels.service }}; 0.1 % may",
        "sum",
        "labelstream_records_total",
        0.001,
        1_000,
        bad='labelstream_records_total{outcome="rejected"}',
        apart="outcome, partition",
    ),
    Objective(
        "api_failed",
        "service",
        "LabelstreamApiFails",
        "{{ $value | humanizePercentage }} of the calls of annotators fail inside {{ $labels.service }}; 0.1 % may",
        "sum",
        "labelstream_assignment_request_seconds_count",
        0.001,
        100,
        bad='labelstream_assignment_request_seconds_count{status="5xx"}',
        apart="route, status",
    ),
    Objective(
        "api_slow",
        "service",
        "LabelstreamApiSlow",
        "{{ $value | humanizePercentage }} of the calls of annotators take more than a quarter of a second; 1 % may",
        "sum",
        "labelstream_assignment_request_seconds_count",
        0.01,
        100,
        good='labelstream_assignment_request_seconds_bucket{le="0.25"}',
        apart="route, status",
    ),
)


def ratio(objective: Objective, window: str) -> str:
    """The name of the series with the share of bad events."""
    return f"{objective.level}:labelstream_{objective.name}:ratio_rate{window}"


def events(objective: Objective, window: str) -> str:
    """The name of the series with the number of events."""
    return f"{objective.level}:labelstream_{objective.name}_events:increase{window}"


def _joined(objective: Objective, series: str, window: str) -> str:
    inner = f"rate({series}[{window}])"
    gone = [name for name in (objective.apart, "le" if "_bucket" in series else "") if name]
    if objective.joined == "sum":
        return f"sum without ({', '.join([REPLICA, *gone])}) ({inner})"
    joined = f"max without ({REPLICA}) ({inner})"
    return f"sum without ({', '.join(gone)}) ({joined})" if gone else joined


def _records(objective: Objective, window: str) -> list[dict[str, Any]]:
    total = _joined(objective, objective.total, window)
    part = _joined(objective, objective.good or objective.bad, window)
    share = f"1 - {part} / ({total} > 0)" if objective.good else f"({part} or 0 * {total}) / ({total} > 0)"
    rules = [{"record": ratio(objective, window), "expr": share}]
    if any(burn.long == window for burn in BURNS):
        rules.append({"record": events(objective, window), "expr": f"{SECONDS[window]} * {total}"})
    return rules


def _alert(objective: Objective, burn: Burn) -> dict[str, Any]:
    limit = f"{burn.factor * objective.allowed:.6g}"
    return {
        "alert": objective.alert,
        "expr": (
            f"{ratio(objective, burn.long)} > {limit} and {ratio(objective, burn.short)} > {limit}"
            f" and {events(objective, burn.long)} >= {objective.least}"
        ),
        "for": "2m" if burn.severity == "page" else "15m",
        "keep_firing_for": "10m",
        "labels": {"severity": burn.severity, "window": burn.long},
        "annotations": {
            "summary": objective.summary,
            "description": f"The budget of this objective goes {burn.factor:g} times as fast as it may,"
            f" over {burn.long} and {burn.short}.",
            "runbook_url": f"{RUNBOOKS}#{objective.alert.lower()}",
        },
    }


def rules() -> dict[str, Any]:
    """The rule file."""
    quick, slow = ("5m", "30m", "1h"), ("6h", "3d")
    groups = [
        {
            "name": f"objectives_{name}",
            "interval": interval,
            "rules": [rule for one in OBJECTIVES for window in windows for rule in _records(one, window)],
        }
        for name, interval, windows in (("quick", "30s", quick), ("slow", "2m", slow))
    ]
    alerts = [_alert(one, burn) for one in OBJECTIVES for burn in BURNS]
    return {"groups": [*groups, {"name": "objectives_alerts", "interval": "30s", "rules": alerts}]}


def pages() -> dict[Path, str]:
    """Path -> text."""
    return {PATH: HEAD + yaml.safe_dump(rules(), sort_keys=False, width=120)}
