"""The whole flow, read from the database by a job, so that no restart or replica skews a figure.

Every replica shows the same numbers: aggregate over instances with `max`, never `sum`. Labels are projects, states,
paths, reasons, and bounded lists of classes and model versions; never items or people.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from services.monitor.domain.counters import LATENCY_EDGES_S, MILLION, Counts, Key, Kind
from services.monitor.domain.facts import State
from services.monitor.domain.figures import MAX_MODELS
from services.monitor.domain.history import History, Levels
from services.monitor.domain.windows import bounded, class_mix, disagreement
from services.monitor.metrics.declared import Declared, counter, filled, gauge, histogram
from services.monitor.metrics.drift import DECLARED as DRIFT
from services.monitor.metrics.drift import drift
from services.monitor.metrics.objects import DECLARED as OBJECTS
from services.monitor.metrics.objects import objects
from services.monitor.metrics.quality import DECLARED as QUALITY
from services.monitor.metrics.quality import quality
from services.monitor.metrics.snapshot import Snapshot
from shared.events import Outcome, Path, RelabelCause

EDGES = (*(str(edge) for edge in LATENCY_EDGES_S), "+Inf")
"""As OpenMetrics and Prometheus 3 write them, so that a rule finds its bucket whatever scrapes."""

ITEMS = gauge("items", "Items by state.", "project", "state")
CLASS_SHARE = gauge(
    "class_share_ratio", "Share of a class in the window's predictions or labels, 0 to 1.", "project", "of", "class"
)
DISAGREEMENT = gauge(
    "disagreement_ratio",
    "Share of people's labels in the window that differ from the model's proposal, 0 to 1.",
    "project",
    "model_version",
)
COMPARED = gauge(
    "compared_labels", "People's labels in the window that stood beside a proposal.", "project", "model_version"
)
ANCHORING = gauge(
    "anchoring_ratio",
    "By how much more of people's answers equal the proposal where they see it than where it is hidden, -1 to 1.",
    "project",
)
BUDGET = gauge("relabel_budget_remaining", "Relabel requests that monitor may still make.", "project")
SNAPSHOT = gauge("monitor_snapshot_timestamp_seconds", "When these metrics were read from the database, Unix time.")
COUNTERS: Mapping[Kind, Declared] = {
    Kind.LABELS: counter("labels", "Accepted labels, each version once.", "project", "path"),
    Kind.OPINIONS: counter("label_opinions", "Opinions behind accepted labels.", "project", "path"),
    Kind.COST: counter("label_cost", "Cost of accepted labels, in the project's currency.", "project", "path"),
    Kind.PREDICTIONS: counter(
        "predictions", "Predictions by outcome: proposed, or why the model abstained.", "project", "outcome"
    ),
    Kind.SHADOW_PREDICTIONS: counter("shadow_predictions", "As predictions, of models on trial.", "project", "outcome"),
    Kind.ANNOTATIONS: counter(
        "annotations", "Assignments by how they ended; the lane is round, late or gold.", "project", "outcome", "lane"
    ),
    Kind.GOLD: counter("gold_answers", "Answers to gold items, correct or wrong.", "project", "result"),
    Kind.RELABELS: counter("relabels", "Relabel requests that monitor made.", "project", "cause"),
}
PREDICTION_LATENCY = histogram(
    "item_prediction_latency_seconds", "From an item's creation to its first prediction, by event times.", "project"
)
LABEL_LATENCY = histogram(
    "item_label_latency_seconds",
    "From an item's creation to each of its labels, by event times; no version that asked nobody.",
    "project",
    "path",
)
BORN: Mapping[Kind, Iterable[tuple[str, ...]]] = {
    **{kind: [(path.value,) for path in Path] for kind in (Kind.LABELS, Kind.OPINIONS, Kind.COST)},
    Kind.PREDICTIONS: [("proposed",)],
    Kind.ANNOTATIONS: [(Outcome.ANSWERED.value, lane) for lane in ("round", "late", "gold")],
    Kind.GOLD: [("correct",), ("wrong",)],
    Kind.RELABELS: [(RelabelCause.DISAGREEMENT.value,)],
}
"""Label sets that are shown from 0 on: a rate never sees what a series is born with."""
DECLARED = (
    ITEMS, *COUNTERS.values(), PREDICTION_LATENCY, LABEL_LATENCY, CLASS_SHARE, DISAGREEMENT, COMPARED, ANCHORING,
    BUDGET, SNAPSHOT, *QUALITY, *DRIFT, *OBJECTS,
)  # fmt: skip


class FlowCollector(Collector):
    """Shows the last snapshot; nothing before the first."""

    def __init__(self, *, max_classes: int) -> None:
        self.snapshot: Snapshot | None = None
        self.history = History()
        self.evidence = Levels()
        self._max_classes = max_classes

    def show(self, snapshot: Snapshot) -> None:
        """Take in a newer snapshot."""
        self.snapshot = snapshot
        self.history.add(snapshot.taken_at, snapshot.totals)
        self.evidence.add(snapshot.taken_at, {place: one.share for place, one in snapshot.watched.items()})

    def describe(self) -> Iterable[Metric]:
        return [Metric(declared.name, declared.about, declared.type) for declared in DECLARED]

    def collect(self) -> Iterator[Metric]:
        shown = self.snapshot
        if shown is None:
            return
        yield from _totals(shown)
        yield from _histograms(shown)
        yield from _windows(shown, self._max_classes)
        yield filled(BUDGET, {(project,): left for project, left in shown.budget_left.items()})
        yield filled(ANCHORING, {(project,): by for project, by in shown.anchoring.items()})
        yield filled(SNAPSHOT, {(): shown.taken_at.timestamp()})
        yield from quality(shown, self._max_classes)
        yield from drift(shown)
        yield from objects(shown, self._max_classes)


def _totals(shown: Snapshot) -> Iterator[Metric]:
    items: Counter[tuple[str, ...]] = Counter({(p, state): 0 for p in shown.projects for state in State})
    counted: dict[Kind, Counter[tuple[str, ...]]] = {kind: Counter() for kind in COUNTERS}
    for kind, born in BORN.items():
        counted[kind].update({(project, *labels): 0 for project in shown.projects for labels in born})
    for key, n in shown.totals.items():
        if key.kind == Kind.ITEMS:
            items[key.project_id, key.part] += n
        elif key.kind in counted:
            labels = (key.project_id, key.part, key.symbol)
            counted[key.kind][labels if key.kind == Kind.ANNOTATIONS else labels[:2]] += n
    yield filled(ITEMS, items)
    for kind, declared in COUNTERS.items():
        scale = MILLION if kind == Kind.COST else 1
        yield filled(declared, {labels: n / scale for labels, n in counted[kind].items()})


def _histograms(shown: Snapshot) -> Iterator[Metric]:
    names = sorted(shown.projects)
    born: dict[tuple[str, str], Counter[int]] = {(name, ""): Counter() for name in names}
    yield _histogram_of(shown.totals, PREDICTION_LATENCY, Kind.ITEM_TO_PREDICTION, Kind.ITEM_TO_PREDICTION_TIME, born)
    born = {(name, path.value): Counter() for name in names for path in Path}
    yield _histogram_of(shown.totals, LABEL_LATENCY, Kind.ITEM_TO_LABEL, Kind.ITEM_TO_LABEL_TIME, born)


def _histogram_of(
    totals: Counts, declared: Declared, kind: Kind, time_kind: Kind, buckets: dict[tuple[str, str], Counter[int]]
) -> Metric:
    for key, n in totals.items():
        if key.kind == kind:
            buckets.setdefault((key.project_id, key.part), Counter())[int(key.symbol)] += n
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
    yield filled(CLASS_SHARE, shares)
    rates: dict[tuple[str, ...], float] = {}
    labels: dict[tuple[str, ...], float] = {}
    ranked = sorted(disagreement(shown.window).items(), key=lambda pair: (-pair[1].labels, pair[0]))
    models: Counter[str] = Counter()
    for (project, model), compared in ranked:
        models[project] += 1
        if models[project] <= MAX_MODELS:
            rates[project, model], labels[project, model] = compared.rate, compared.labels
    yield filled(DISAGREEMENT, rates)
    yield filled(COMPARED, labels)
