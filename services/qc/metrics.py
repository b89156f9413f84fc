"""qc's metrics, declared once. Labels are projects, paths, asks and outcomes; never items or people."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.events import Annotation, Escalation, Label

REFRESH_S = (0.05, 0.2, 1, 3, 10, 30)
OPINIONS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 50)


class Metrics:
    """Counted when a batch has been folded, so a batch that is taken again counts again: rates, not proofs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._labels = Counter(
            "labelstream_qc_labels_total", "Labels made from opinions.", ["project", "path"], registry=registry
        )
        self._opinions = Histogram(
            "labelstream_qc_label_opinions",
            "Opinions of the round behind a label.",
            ["project"],
            buckets=OPINIONS,
            registry=registry,
        )
        self._escalations = Counter(
            "labelstream_qc_escalations_total", "What was asked of assignment.", ["project", "ask"], registry=registry
        )
        self._annotations = Counter(
            "labelstream_qc_annotations_total",
            "Annotations taken in, each once; the lane is round, late or gold.",
            ["project", "outcome", "lane"],
            registry=registry,
        )
        self._gold = Counter(
            "labelstream_qc_gold_results_total",
            "Answers to gold items scored.",
            ["project", "result"],
            registry=registry,
        )
        self._quarantines = Counter(
            "labelstream_qc_quarantines_total", "People put in quarantine for their gold.", ["project"],
            registry=registry,
        )  # fmt: skip
        self._drifts = Counter(
            "labelstream_qc_skill_drifts_total", "Alarms that somebody's accuracy has fallen.", ["project"],
            registry=registry,
        )  # fmt: skip
        self._rules = Counter(
            "labelstream_qc_rules_fired_total", "Firings of the projects' rules about people.", ["project", "action"],
            registry=registry,
        )  # fmt: skip
        self._reviewed = Counter(
            "labelstream_qc_reviewed_labels_total",
            "Labels looked at again because of a quarantine; confirmed by the others, or reopened.",
            ["project", "result"],
            registry=registry,
        )
        self._reopened = Counter(
            "labelstream_qc_reopened_labels_total",
            "Labels of people asked for again, by reason: snapshot and quarantine doubt them; revision asks nobody.",
            ["project", "reason"],
            registry=registry,
        )
        self._snapshot = Gauge(
            "labelstream_qc_snapshot_number", "Newest parameter snapshot written by this replica.", ["project"],
            registry=registry,
        )  # fmt: skip
        self._unweighed = Gauge(
            "labelstream_qc_unweighed_answers",
            "Answers since the newest snapshot that every label was held against, where labels may be doubted.",
            ["project"],
            registry=registry,
        )
        self._refresh = Histogram(
            "labelstream_qc_snapshot_refresh_seconds",
            "Time to read the recent answers, fit them and write a snapshot.",
            ["project"],
            buckets=REFRESH_S,
            registry=registry,
        )
        self._pending = Gauge(
            "labelstream_qc_gold_items_without_answer", "Gold items that were answered and have no known answer.",
            registry=registry,
        )  # fmt: skip

    def label(self, event: Label) -> None:
        self._labels.labels(event.project_id, event.path.value).inc()
        self._opinions.labels(event.project_id).observe(event.opinions)

    def escalation(self, event: Escalation) -> None:
        self._escalations.labels(event.project_id, event.ask.value).inc()

    def annotations(self, events: Iterable[Annotation]) -> None:
        for event in events:
            lane = "gold" if event.gold else "late" if event.late else "round"
            self._annotations.labels(event.project_id, event.outcome.value, lane).inc()

    def gold(self, project_id: str, *, correct: bool) -> None:
        self._gold.labels(project_id, "correct" if correct else "wrong").inc()

    def quarantine(self, project_id: str) -> None:
        self._quarantines.labels(project_id).inc()

    def drift(self, project_id: str) -> None:
        self._drifts.labels(project_id).inc()

    def rule(self, project_id: str, action: str) -> None:
        self._rules.labels(project_id, action).inc()

    def reviewed(self, project_id: str, *, confirmed: int, reopened: int) -> None:
        self._reviewed.labels(project_id, "confirmed").inc(confirmed)
        self._reviewed.labels(project_id, "reopened").inc(reopened)

    def reopened(self, project_id: str, reason: str, number: int) -> None:
        self._reopened.labels(project_id, reason).inc(number)

    def snapshot(self, project_id: str, number: int, *, seconds: float) -> None:
        self._snapshot.labels(project_id).set(number)
        self._refresh.labels(project_id).observe(seconds)

    def unweighed(self, project_id: str, answers: int) -> None:
        self._unweighed.labels(project_id).set(answers)

    def pending(self, items: int) -> None:
        self._pending.set(items)
