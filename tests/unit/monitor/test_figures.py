"""Figures from measurements, and what the metrics show of them."""

from collections import Counter
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.monitor.domain.accuracy import wilson
from services.monitor.domain.counters import Counts, Key, Kind
from services.monitor.domain.figures import Audited, Kept, People, audited, figures_of, worst_classes
from services.monitor.metrics import FlowCollector, Snapshot
from shared.events import Accuracy, Agreement, Calibration, Certificate
from tests.support import events as make

Measured = list[tuple[str, Kept]]


def certificate(number: int, state: str, **more: Any) -> Certificate:
    return Certificate.model_validate({
        "number": number, "state": state, "generation": 1, "model_version": "m1", "threshold": 0.9,
        "target_error": 0.03, "confidence": 0.95, "audit_share": 0.1, "valid_until": make.at(60),
    } | more)  # fmt: skip


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
    low, high = wilson(0.5, 6.0**2 / (3 * 1.0**2 + 1 * 3.0**2))  # 3 of weight 1, and 1 of weight 3
    assert audited(window) == {("p", "m1"): pytest.approx(Audited(4, 0.5, low, high))}


def test_metrics_name_no_annotator_and_bound_classes() -> None:
    classes = [f"c{n}" for n in range(9)]
    bad = {"symbol": "b", "audit_share": 0.5, "valid_until": make.at(60), "breached_since": make.at(0)}
    measured: Measured = [
        ("p", agreement(0.7)),
        *(("p", agreement(n / 10, "class", name)) for n, name in enumerate(classes)),
        ("p", Calibration(against="gold", error=0.04, labels=50, accuracy=0.9)),
        ("p", certificate(1, "granted", classes=[bad])),
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
        'labelstream_certificate_breached{class="b",project="p"} 1.0',
        'labelstream_annotators{accuracy="0.9-1.0",project="p"} 2.0',
        'labelstream_annotators{accuracy="0.0-0.1",project="p"} 0.0',
        'labelstream_annotators_quarantined{project="p"} 1.0',
        'labelstream_item_prediction_latency_seconds_count{project="p"} 0.0',
        'labelstream_gold_answers_total{project="p",result="wrong"} 0.0',
    ):
        assert line in text, line
    assert text.count("labelstream_class_agreement_ac1{") == 3


def accurate(name: str, labels: int, of: str = "model") -> Accuracy:
    return Accuracy.model_validate({
        "of": of, "name": name, "basis": "sample" if of == "model" else "audit", "accuracy": 0.9, "low": 0.8,
        "high": 0.95, "labels": labels, "window_s": 60.0,
    })  # fmt: skip


def test_accuracy_by_path_has_an_interval_and_says_on_what_it_stands() -> None:
    calibration = Calibration(against="gold", error=0.02, labels=400, accuracy=0.96)
    by_experts = Calibration(against="expert", error=0.02, labels=90, accuracy=0.5)
    measured: Measured = [("p", one) for one in (by_experts, calibration, accurate("auto", 50, "path"))]
    found = figures_of(["p"], measured, {})["p"].paths()
    assert (found["auto"].accuracy, found["auto"].low, found["auto"].basis) == (0.9, 0.8, "audit")
    consensus = found["consensus"]
    assert (consensus.accuracy, consensus.labels, consensus.basis) == (0.96, 400, "gold")
    assert 0.93 < consensus.low < 0.96 < consensus.high < 0.98
    assert found.keys() == {"auto", "consensus"}, "nothing is made up of what nobody judged"


def test_accuracy_is_shown_of_the_models_that_most_is_known_of() -> None:
    measured: Measured = [("p", accurate(f"m{n}", 100 + n)) for n in range(8)]
    measured.append(("p", accurate("auto", 7, "path")))
    registry = CollectorRegistry()
    collector = FlowCollector(max_classes=3)
    registry.register(collector)
    collector.show(Snapshot(taken_at=make.AT, projects={"p": ()}, figures=figures_of(["p"], measured, {})))
    shown = generate_latest(registry).decode()
    kept = [line for line in shown.splitlines() if line.startswith("labelstream_accuracy_low_ratio")]
    assert len(kept) == 6
    assert 'labelstream_accuracy_low_ratio{basis="audit",name="auto",of="path",project="p"} 0.8' in kept
    assert not [line for line in kept if 'name="m2"' in line]
