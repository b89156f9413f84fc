"""Figures from measurements, and what the metrics show of them."""

from collections import Counter

from prometheus_client import CollectorRegistry, generate_latest

from services.monitor.domain.counters import Counts, Key, Kind
from services.monitor.domain.figures import Audited, Kept, People, audited, figures_of, worst_classes
from services.monitor.metrics import FlowCollector, Snapshot
from shared.events import Agreement, Calibration, Certificate
from tests.support import events as make

Measured = list[tuple[str, Kept]]


def certificate(number: int, state: str) -> Certificate:
    return Certificate.model_validate({
        "number": number, "state": state, "generation": 1, "model_version": "m1", "threshold": 0.9,
        "target_error": 0.03, "confidence": 0.95, "audit_share": 0.1, "valid_until": make.at(60),
    })  # fmt: skip


def agreement(ac1: float, scope: str = "project", name: str = "") -> Agreement:
    return Agreement.model_validate(
        {"percent": 0.8, "rounds": 10, "opinions": 20, "scope": scope, "name": name, "alpha": 0.5, "ac1": ac1}
    )


def test_the_newest_certificate_counts_and_unknown_projects_do_not() -> None:
    measured: Measured = [
        ("p", certificate(2, "withdrawn")),
        ("p", certificate(1, "granted")),
        ("gone", agreement(0.5)),
    ]
    found = figures_of(["p"], measured, {"p": People({9: 2}, 1)})
    assert list(found) == ["p"]
    assert found["p"].certificate == certificate(2, "withdrawn")
    assert found["p"].people.quarantined == 1


def test_the_most_ambiguous_classes_are_shown() -> None:
    measured = [("p", agreement(ac1, "class", name)) for name, ac1 in (("a", 0.9), ("b", 0.2), ("c", 0.5))]
    assert list(worst_classes(figures_of(["p"], measured, {})["p"], 2)) == ["b", "c"]


def test_audits_are_weighed_by_their_chance() -> None:
    window: Counts = Counter({
        Key("p", Kind.COMPARED, "m1", "audit:agree", 60): 3,
        Key("p", Kind.COMPARED_WEIGHT, "m1", "audit:agree", 60): 3_000_000,
        Key("p", Kind.COMPARED, "m1", "audit:disagree", 60): 1,
        Key("p", Kind.COMPARED_WEIGHT, "m1", "audit:disagree", 60): 3_000_000,
        Key("p", Kind.COMPARED, "m1", "routed:disagree", 60): 50,
        Key("p", Kind.COMPARED_WEIGHT, "m1", "routed:disagree", 60): 50_000_000,
    })  # fmt: skip
    assert audited(window) == {("p", "m1"): Audited(4, 0.5)}


def test_metrics_name_no_annotator_and_bound_classes() -> None:
    classes = [f"c{n}" for n in range(9)]
    measured: Measured = [
        ("p", agreement(0.7)),
        *(("p", agreement(n / 10, "class", name)) for n, name in enumerate(classes)),
        ("p", Calibration(against="gold", error=0.04, labels=50, accuracy=0.9)),
        ("p", certificate(1, "granted")),
    ]
    figures = figures_of(["p"], measured, {"p": People({9: 2, 4: 1}, 1)})
    collector = FlowCollector(max_classes=3)
    collector.snapshot = Snapshot(taken_at=make.at(0), projects={"p": frozenset(classes)}, figures=figures)
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    for line in (
        'labelstream_agreement_ac1{project="p"} 0.7',
        'labelstream_calibration_error_ratio{against="gold",project="p"} 0.04',
        'labelstream_certificate_granted{project="p"} 1.0',
        'labelstream_certificate_threshold_ratio{project="p"} 0.9',
        'labelstream_annotators{accuracy="0.9-1.0",project="p"} 2.0',
        'labelstream_annotators{accuracy="0.0-0.1",project="p"} 0.0',
        'labelstream_annotators_quarantined{project="p"} 1.0',
        'labelstream_item_prediction_latency_seconds_count{project="p"} 0.0',
        'labelstream_gold_answers_total{project="p",result="wrong"} 0.0',
    ):
        assert line in text, line
    assert text.count("labelstream_class_agreement_ac1{") == 3
