"""What a dashboard is made of here, and how grafana-foundation-sdk builds it in the schema of Grafana 11."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from grafana_foundation_sdk.builders import bargauge, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import common as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

REPLICA = "instance, pod, container, endpoint"
ONE = f"max without ({REPLICA})"
"""Of monitor's figures: every replica shows the same."""
ALL = f"sum without ({REPLICA})"
RAW = 'job=~"$job", instance=~"$instance"'
"""Of series as they are scraped."""
KEPT = 'job=~"$job"'
"""Of recorded series, which have no instance."""
OWN = 'project=~"$project"'
RATE = "$__rate_interval"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "labelstream"
WARN, BAD = "orange", "red"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `queries` are (PromQL, legend); `unit` is Grafana's name of it; `warn` colours from a value on."""

    title: str
    about: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: Literal["timeseries", "stat", "bars"] = "timeseries"
    width: int = 12
    height: int = 8
    stacked: bool = False
    warn: float | None = None
    exemplars: bool = False
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. `choice`: one project is chosen, several, or there is no such choice."""

    uid: str
    title: str
    about: str
    rows: Sequence[Row]
    choice: Literal["one", "several", "none"] = "several"
    since: str = "now-1h"


def number(title: str, about: str, query: str, unit: str = "short", *, warn: float | None = None) -> Panel:
    """A large number."""
    return Panel(title, about, ((query, ""),), unit, "stat", 4, 4, warn=warn)


def one(metric: str, matchers: str = OWN, *, over: str = "") -> str:
    """A figure of monitor's as every replica shows it; `over`: the function of a range, as rate."""
    series = f"{metric}{{{RAW}, {matchers}}}" if matchers else f"{metric}{{{RAW}}}"
    return f"{ONE} ({over}({series}[{RATE}]))" if over else f"{ONE} ({series})"


def total(metric: str, matchers: str = "", *, over: str = "", by: str = "") -> str:
    """What replicas count each for itself, summed up; `by`: labels that are kept, all by default."""
    series = f"{metric}{{{RAW}, {matchers}}}" if matchers else f"{metric}{{{RAW}}}"
    inner = f"{over}({series}[{RATE}])" if over else series
    return f"sum by ({by}) ({inner})" if by else f"{ALL} ({inner})"


def recorded(series: str, matchers: str = "") -> str:
    return f"{series}{{{KEPT}, {matchers}}}" if matchers else f"{series}{{{KEPT}}}"


def quantiles(metric: str, by: str, legend: str, *, flow: bool) -> tuple[tuple[str, str], ...]:
    """Median and 95th percentile of a histogram, of monitor's (`flow`) or of what replicas observe."""
    name = f"{metric}_bucket"
    keep = ", ".join(["le", *filter(None, [by])])
    inner = f"sum by ({keep}) ({one(name, over='rate')})" if flow else total(name, over="rate", by=keep)
    return tuple((f"histogram_quantile({q}, {inner})", f"p{q * 100:g} {legend}".strip()) for q in (0.5, 0.95))


def built(board: Board) -> str:
    """The dashboard as Grafana reads it."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .refresh("10s")
        .time(board.since, "now")
        .link(
            dashboard.DashboardLink("Labelstream")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in variables(board):
        made.with_variable(variable)
    ids = iter(range(1, 1_000))
    for row in board.rows:
        made.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            made.with_panel(_panel(panel).id(next(ids)))
    document = json.loads(JSONEncoder(sort_keys=True, indent=1).encode(made.build()))
    for variable in document["templating"]["list"]:
        for interval in ("auto", "auto_count", "auto_min"):  # of interval variables alone, by Grafana's own schema
            variable.pop(interval, None)
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def variables(board: Board) -> list[Any]:
    """The data source, what to look at, and the project where the board is about projects."""
    found: list[Any] = [dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")]
    found += [_values(name, name.capitalize(), f"label_values(up, {name})") for name in ("job", "instance")]
    if board.choice != "none":
        query = "label_values(labelstream_items, project)"
        found.append(_values("project", "Project", query, several=board.choice == "several"))
    return found


def _values(name: str, label: str, query: str, *, several: bool = True) -> Any:
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if several:
        chosen = models.VariableOption(selected=True, text="All", value="$__all")
        variable.multi(True).include_all(True).all_value(".+").current(chosen)
    return variable


def _panel(panel: Panel) -> Any:
    kinds: dict[str, Any] = {"timeseries": timeseries.Panel, "stat": stat.Panel, "bars": bargauge.Panel}
    made = kinds[panel.kind]().title(panel.title).description(panel.about).datasource(SOURCE).unit(panel.unit)
    made.span(panel.width).height(panel.height)
    for place, (expression, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expression).ref_id(chr(ord("A") + place)).datasource(SOURCE)
        query.legend_format(legend or "__auto")
        query.instant() if panel.kind != "timeseries" else query.range()
        made.with_target(query.exemplar(panel.exemplars) if panel.exemplars else query)
    if panel.stacked:
        stacking = builders.StackingConfig().mode(common.StackingMode.NORMAL)
        made.stacking(stacking).fill_opacity(30)
    if panel.kind == "timeseries":
        made.min(0) if panel.most is not None else made
    if panel.most is not None:
        made.max(panel.most)
    steps = [models.Threshold(color="green", value=None)]
    if panel.warn is not None:
        steps.append(models.Threshold(color=WARN, value=panel.warn))
    if panel.kind != "timeseries":
        made.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    return made
