"""The Grafana dashboards that are made from code: plain dictionaries in Grafana's own schema."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path("deploy/grafana/dashboards")
SOURCE = {"type": "prometheus", "uid": "prometheus"}
SCHEMA_VERSION = 39
WIDTH = 24
ONE = "max without (instance, job, service)"
PROJECT = 'project=~"$project"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `queries` are (PromQL, legend); the unit is Grafana's name of it."""

    title: str
    about: str
    queries: tuple[tuple[str, str], ...]
    unit: str
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    stacked: bool = False
    thresholds: tuple[tuple[float | None, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...] = field(default_factory=tuple)


def _range(metric: str) -> str:
    return f"{ONE} (rate({metric}{{{PROJECT}}}[$__rate_interval]))"


def _stat(title: str, about: str, query: str, unit: str = "short", *, warn: float | None = None) -> Panel:
    thresholds = ((None, "green"),) if warn is None else ((None, "green"), (warn, "orange"))
    return Panel(title, about, ((query, ""),), unit, "stat", 4, 4, thresholds=thresholds)


def _items(states: str) -> str:
    return f'sum(project_state:labelstream_items:max{{{PROJECT}, state=~"{states}"}})'


OVERVIEW = Row(
    "Overview",
    (
        _stat("Items", "Items known to the flow.", _items(".+")),
        _stat("Labelled", "Items whose latest round ended in a label.", _items("labelled")),
        _stat("Open", "Items that wait for a model or for people.", _items("awaiting_.+|queued|superseded")),
        _stat("Blocked", "Items that nobody present may answer.", _items("blocked"), warn=1),
        _stat(
            "Refused, last hour",
            "Records that went to the dead letter topics.",
            "sum(increase(labelstream_dead_letters_total[1h]))",
            warn=1,
        ),
        _stat(
            "Oldest unprocessed",
            "Age of the oldest record that a service has not processed.",
            "max(labelstream_consumer_oldest_unprocessed_seconds)",
            "s",
            warn=60,
        ),
    ),
)
FLOW = Row(
    "Flow",
    (
        Panel(
            "Items by state",
            "Where the items are. Labelled ones are left out: they only grow.",
            (
                (
                    f'sum by (state) (project_state:labelstream_items:max{{{PROJECT}, state!="labelled"}})',
                    "{{state}}",
                ),
            ),
            "short",
            stacked=True,
        ),
        Panel(
            "Labels per second by path",
            "Accepted labels: by the model alone, one person, several, an expert.",
            ((f"sum by (path) ({_range('labelstream_labels_total')})", "{{path}}"),),
            "ops",
            stacked=True,
        ),
        Panel(
            "Predictions per second by outcome",
            "Proposals, and why the model abstained.",
            ((f"sum by (outcome) ({_range('labelstream_predictions_total')})", "{{outcome}}"),),
            "ops",
            stacked=True,
        ),
        Panel(
            "Assignments per second by outcome",
            "How leases ended: answered, skipped, or nobody left; gold and late answers apart.",
            (
                (
                    f"sum by (outcome, lane) ({_range('labelstream_annotations_total')})",
                    "{{outcome}}, {{lane}}",
                ),
            ),
            "ops",
            stacked=True,
        ),
    ),
)
LATENCY = Row(
    "Latency",
    tuple(
        Panel(
            title,
            about,
            tuple(
                (
                    f"histogram_quantile({q}, sum by ({', '.join(['le', *by])}) ({_range(metric)}))",
                    f"p{q * 100:g}{legend}",
                )
                for q in (0.5, 0.95)
            ),
            "s",
        )
        for title, about, metric, by, legend in (
            (
                "Item to prediction",
                "From an item's creation to its first prediction.",
                "labelstream_item_prediction_latency_seconds_bucket",
                (),
                "",
            ),
            (
                "Item to label",
                "From an item's creation to its label, by path.",
                "labelstream_item_label_latency_seconds_bucket",
                ("path",),
                " {{path}}",
            ),
        )
    ),
)
WORTH = Row(
    "What labels cost and are worth",
    (
        Panel(
            "Opinions per accepted label",
            "Answers that a label took, by path.",
            ((f"avg by (path) (project_path:labelstream_label_opinions:per_label{{{PROJECT}}})", "{{path}}"),),
            "short",
            width=8,
        ),
        Panel(
            "Cost per accepted label",
            "In the project's currency, by path.",
            ((f"avg by (path) (project_path:labelstream_label_cost:per_label{{{PROJECT}}})", "{{path}}"),),
            "short",
            width=8,
        ),
        Panel(
            "Agreement of annotators",
            "Share of equal pairs of opinions, as qc last measured it.",
            ((f"{ONE} (labelstream_agreement_ratio{{{PROJECT}}})", "{{project}}"),),
            "percentunit",
            width=8,
        ),
        Panel(
            "Disagreement of people with the model",
            "Share of people's labels in the window that differ from the proposal. Not a sample of the traffic.",
            ((f"{ONE} (labelstream_disagreement_ratio{{{PROJECT}}})", "{{project}} {{model_version}}"),),
            "percentunit",
        ),
        Panel(
            "Anchoring on the model's proposals",
            "By how much more of people's answers equal the proposal where they see it. Above 0: they lean on it.",
            ((f"{ONE} (labelstream_anchoring_ratio{{{PROJECT}}})", "{{project}}"),),
            "percentunit",
        ),
        Panel(
            "Relabel budget left",
            "Relabel requests that monitor may still make in the rolling 24 hours.",
            ((f"{ONE} (labelstream_relabel_budget_remaining{{{PROJECT}}})", "{{project}}"),),
            "short",
        ),
    ),
)
CLASSES = Row(
    "Classes",
    tuple(
        Panel(
            f"Class mix of {of}",
            about,
            (
                (
                    f'{ONE} (labelstream_class_share_ratio{{{PROJECT}, of="{of}"}})',
                    "{{project}} {{class}}",
                ),
            ),
            "percentunit",
            stacked=True,
        )
        for of, about in (
            ("predictions", "Share of each class in the first proposals of the window."),
            ("labels", "Share of each class in the labels of the window, however they came about."),
        )
    ),
)


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.stacked:
        defaults["custom"] = {"stacking": {"mode": "normal"}, "fillOpacity": 30}
    if panel.thresholds:
        steps = [{"value": value, "color": color} for value, color in panel.thresholds]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    targets = [
        {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
        for place, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"h": panel.height, "w": panel.width, "x": x, "y": y},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
    }


def _laid_out(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    """Panels from left to right, a new line where the width is used up; ids count from 1."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        grid = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        panels.append({"id": len(panels) + 1, "type": "row", "title": row.title, "gridPos": grid, "panels": []})
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(_panel(panel, len(panels) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return panels


def flow_board() -> dict[str, Any]:
    """The overview of the flow."""
    project = {
        "name": "project",
        "label": "Project",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": "label_values(labelstream_items, project)", "refId": "project"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
    }
    return {
        "uid": "labelstream-flow",
        "title": "Labelstream: flow",
        "tags": ["labelstream"],
        "timezone": "browser",
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [project]},
        "links": [
            {"title": "Labelstream", "type": "dashboards", "tags": ["labelstream"], "asDropdown": True},
        ],
        "panels": _laid_out((OVERVIEW, FLOW, LATENCY, WORTH, CLASSES)),
    }


def boards() -> dict[Path, str]:
    """Every generated dashboard, by its path in the repository."""
    return {ROOT / "flow.json": json.dumps(flow_board(), indent=1) + "\n"}
