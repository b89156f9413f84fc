"""monitor's metrics: the whole flow, read from the database by a job, so that no restart or replica skews a figure.

Every replica shows the same numbers: aggregate over instances with `max`, never `sum`. Labels are projects, states,
paths, reasons, and bounded lists of classes and model versions; never items or people.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from services.monitor.domain.counters import LATENCY_EDGES_S, MILLION, Counts, Key, Kind
from services.monitor.domain.facts import State
from services.monitor.domain.windows import bounded, class_mix, disagreement
from shared.events import Path

MAX_MODELS = 5
EDGES = (*(f"{edge:g}" for edge in LATENCY_EDGES_S), "+Inf")


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric: `name` without the suffixes that Prometheus adds to counters and histograms."""

    name: str
    type: str
    about: str
    labels: tuple[str, ...] = ()


def _gauge(name: str, about: str, *labels: str) -> Declared:
    return Declared(f"labelstream_{name}", "gauge", about, labels)


def _counter(name: str, about: str, *labels: str) -> Declared:
    return Declared(f"labelstream_{name}", "counter", about, labels)


def _histogram(name: str, about: str, *labels: str) -> Declared:
    return Declared(f"labelstream_{name}", "histogram", about, labels)


ITEMS = _gauge("items", "Items by state.", "project", "state")
CLASS_SHARE = _gauge(
    "class_share_ratio", "Share of a class in the window's predictions or labels, 0 to 1.", "project", "of", "class"
)
DISAGREEMENT = _gauge(
    "disagreement_ratio",
    "Share of people's labels in the window that differ from the model's proposal, 0 to 1.",
    "project",
    "model_version",
)
COMPARED = _gauge(
    "compared_labels", "People's labels in the window that stood beside a proposal.", "project", "model_version"
)
AGREEMENT = _gauge("agreement_ratio", "Agreement of annotators as qc last measured it, 0 to 1.", "project")
ANCHORING = _gauge(
    "anchoring_ratio",
    "By how much more of people's answers equal the proposal where they see it than where it is hidden, -1 to 1.",
    "project",
)
BUDGET = _gauge("relabel_budget_remaining", "Relabel requests that monitor may still make.", "project")
SNAPSHOT = _gauge("monitor_snapshot_timestamp_seconds", "When these metrics were read from the database, Unix time.")
COUNTERS: Mapping[Kind, Declared] = {
    Kind.LABELS: _counter("labels", "Accepted labels, each version once.", "project", "path"),
    Kind.OPINIONS: _counter("label_opinions", "Opinions behind accepted labels.", "project", "path"),
    Kind.COST: _counter("label_cost", "Cost of accepted labels, in the project's currency.", "project", "path"),
    Kind.PREDICTIONS: _counter(
        "predictions", "Predictions by outcome: proposed, or why the model abstained.", "project", "outcome"
    ),
    Kind.SHADOW_PREDICTIONS: _counter(
        "shadow_predictions", "As predictions, of models on trial.", "project", "outcome"
    ),
    Kind.ANNOTATIONS: _counter(
        "annotations", "Assignments by how they ended; the lane is round, late or gold.", "project", "outcome", "lane"
    ),
    Kind.GOLD: _counter("gold_answers", "Answers to gold items, correct or wrong.", "project", "result"),
    Kind.RELABELS: _counter("relabels", "Relabel requests that monitor made.", "project", "cause"),
}
PREDICTION_LATENCY = _histogram(
    "item_prediction_latency_seconds", "From an item's creation to its first prediction, by event times.", "project"
)
LABEL_LATENCY = _histogram(
    "item_label_latency_seconds", "From an item's creation to each of its labels, by event times.", "project", "path"
)
DECLARED = (
    ITEMS, *COUNTERS.values(), PREDICTION_LATENCY, LABEL_LATENCY, CLASS_SHARE, DISAGREEMENT, COMPARED, AGREEMENT,
    ANCHORING, BUDGET, SNAPSHOT,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one reading of the database found.

    Attributes:
        taken_at: when.
        totals: the counters that are kept for good.
        window: those of the rolling window.
        projects: the project's classes; empty where its labels have no list of classes.
        budget_left: relabel requests still possible, per project.
        agreement: per project, 0 to 1.
        anchoring: per project, -1 to 1; absent where there is nothing to compare.
    """

    taken_at: datetime
    totals: Counts = field(default_factory=Counter)
    window: Counts = field(default_factory=Counter)
    projects: Mapping[str, Collection[str]] = field(default_factory=dict)
    budget_left: Mapping[str, int] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)
    anchoring: Mapping[str, float] = field(default_factory=dict)


class FlowCollector(Collector):
    """Shows the last snapshot; nothing before the first."""

    def __init__(self, *, max_classes: int) -> None:
        self.snapshot: Snapshot | None = None
        self._max_classes = max_classes

    def describe(self) -> Iterable[Metric]:
        return [Metric(declared.name, declared.about, declared.type) for declared in DECLARED]

    def collect(self) -> Iterator[Metric]:
        shown = self.snapshot
        if shown is None:
            return
        yield from _totals(shown)
        yield from _histograms(shown)
        yield from _windows(shown, self._max_classes)
        yield _filled(BUDGET, {(project,): left for project, left in shown.budget_left.items()})
        yield _filled(AGREEMENT, {(project,): share for project, share in shown.agreement.items()})
        yield _filled(ANCHORING, {(project,): by for project, by in shown.anchoring.items()})
        yield _filled(SNAPSHOT, {(): shown.taken_at.timestamp()})


def _filled(declared: Declared, values: Mapping[tuple[str, ...], float]) -> Metric:
    metric = Metric(declared.name, declared.about, declared.type)
    suffix = "_total" if declared.type == "counter" else ""
    for labels, value in sorted(values.items()):
        metric.add_sample(declared.name + suffix, dict(zip(declared.labels, labels, strict=True)), value)
    return metric


def _totals(shown: Snapshot) -> Iterator[Metric]:
    items: Counter[tuple[str, ...]] = Counter({(p, state): 0 for p in shown.projects for state in State})
    counted: dict[Kind, Counter[tuple[str, ...]]] = {kind: Counter() for kind in COUNTERS}
    for kind in (Kind.LABELS, Kind.OPINIONS, Kind.COST):
        counted[kind].update({(project, path): 0 for project in shown.projects for path in Path})
    for key, n in shown.totals.items():
        if key.kind == Kind.ITEMS:
            items[key.project_id, key.part] += n
        elif key.kind in counted:
            labels = (key.project_id, key.part, key.symbol)
            counted[key.kind][labels if key.kind == Kind.ANNOTATIONS else labels[:2]] += n
    yield _filled(ITEMS, items)
    for kind, declared in COUNTERS.items():
        scale = MILLION if kind == Kind.COST else 1
        yield _filled(declared, {labels: n / scale for labels, n in counted[kind].items()})


def _histograms(shown: Snapshot) -> Iterator[Metric]:
    yield _histogram_of(shown.totals, PREDICTION_LATENCY, Kind.ITEM_TO_PREDICTION, Kind.ITEM_TO_PREDICTION_TIME)
    yield _histogram_of(shown.totals, LABEL_LATENCY, Kind.ITEM_TO_LABEL, Kind.ITEM_TO_LABEL_TIME)


def _histogram_of(totals: Counts, declared: Declared, kind: Kind, time_kind: Kind) -> Metric:
    buckets: dict[tuple[str, ...], Counter[int]] = defaultdict(Counter)
    for key, n in totals.items():
        if key.kind == kind:
            buckets[key.project_id, key.part][int(key.symbol)] += n
    family = HistogramMetricFamily(declared.name, declared.about, labels=declared.labels)
    for (project, part), found in sorted(buckets.items()):
        running = [(edge, sum(n for i, n in found.items() if i <= place)) for place, edge in enumerate(EDGES)]
        seconds = totals[Key(project, time_kind, part)] / MILLION
        family.add_metric((project, part)[: len(declared.labels)], running, seconds)
    return family


def _windows(shown: Snapshot, max_classes: int) -> Iterator[Metric]:
    shares: dict[tuple[str, ...], float] = {}
    for of, kind in (("predictions", Kind.PREDICTED), ("labels", Kind.LABELLED)):
        for project, mix in class_mix(shown.window, kind).items():
            kept = bounded(mix, shown.projects.get(project) or None, max_classes)
            shares |= {(project, of, name): n / mix.total() for name, n in kept.items()}
    yield _filled(CLASS_SHARE, shares)
    rates: dict[tuple[str, ...], float] = {}
    labels: dict[tuple[str, ...], float] = {}
    ranked = sorted(disagreement(shown.window).items(), key=lambda pair: (-pair[1].labels, pair[0]))
    models: Counter[str] = Counter()
    for (project, model), compared in ranked:
        models[project] += 1
        if models[project] <= MAX_MODELS:
            rates[project, model], labels[project, model] = compared.rate, compared.labels
    yield _filled(DISAGREEMENT, rates)
    yield _filled(COMPARED, labels)
