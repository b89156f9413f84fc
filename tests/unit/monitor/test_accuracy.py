"""Accuracy by strata of known inclusion, debiased calibration error, and what is only an estimate beside them."""

import random
from datetime import timedelta

import pytest

from services.monitor.domain.accuracy import (
    AUDIT,
    ROUTED,
    Stratum,
    calibration_error,
    confident,
    decile,
    judged,
    stratified,
    wilson,
)
from services.monitor.domain.counters import Counts
from services.monitor.domain.measuring import accuracy_events
from services.monitor.domain.observe import observe_all
from shared.events import Accuracy, Evidence, Label, ModelCalibration, Path
from tests.support import events as make


def sampled(rng: random.Random, items: int, share: float, *, shift: float = 0.0) -> dict[tuple[str, int], Stratum]:
    """Traffic whose confidence is `shift` above its accuracy; what is below .8 goes to people, of the rest a share."""
    strata: dict[tuple[str, int], Stratum] = {}
    for _ in range(items):
        confidence = 0.4 + 0.6 * rng.random() ** 0.5
        lane, inclusion = (AUDIT, share) if confidence >= 0.8 else (ROUTED, 1.0)
        if rng.random() < inclusion:
            one = strata.setdefault((lane, decile(confidence)), Stratum())
            one.labels += 1
            one.agree += rng.random() < confidence - shift
            one.weight += 1.0 / inclusion
            one.confidence += confidence
    return strata


def test_the_interval_covers_the_accuracy_of_all_the_traffic() -> None:
    """Not that of what people saw, which is mostly what the model is unsure of."""
    rng = random.Random(3)
    true = 0.4 + 0.6 * 2 / 3
    runs = [stratified(sampled(rng, 2000, 0.1).values()) for _ in range(200)]
    found = [one for one in runs if one is not None]
    assert sum(one.low <= true <= one.high for one in found) >= 184
    assert sum(one.rate for one in found) / len(found) == pytest.approx(true, abs=0.003)
    assert sum(one.high - one.low for one in found) / len(found) < 0.08


def test_what_is_calibrated_has_no_error_however_few_labels_there_are() -> None:
    rng = random.Random(4)
    small = [calibration_error(sampled(rng, 300, 0.2)) for _ in range(100)]
    assert sum(one[0].low == 0.0 for one in small if one is not None) >= 93
    bad = [one for _ in range(20) if (one := calibration_error(sampled(rng, 2000, 0.5, shift=0.15))) is not None]
    assert sum(error.low < 0.15 < error.high for error, _ in bad) >= 17
    assert sum(error.rate for error, _ in bad) / len(bad) == pytest.approx(0.15, abs=0.01)
    assert all(sum(one.labels for one in bins) == error.labels for error, bins in bad)


def test_few_labels_are_never_sure() -> None:
    one = stratified([Stratum(agree=5, labels=5, weight=5.0, confidence=5.0)])
    assert one is not None
    assert (one.rate, one.high) == (1.0, 1.0)
    assert one.low < 0.6
    assert stratified([]) is None
    assert calibration_error({}) is None
    assert wilson(0.5, 4)[0] == pytest.approx(0.15, abs=0.01)


def seen(*labels: Label) -> Counts:
    return observe_all({}, labels, bucket_s=60)[1]


def test_labels_become_measurements_of_models_and_paths() -> None:
    evidence = Evidence(proposal=make.proposal("positive", confidence=0.97))
    audits = [
        make.label(f"a{n}", value="positive" if n else "negative", would_auto=True, inclusion_probability=0.1,
                   evidence=evidence) for n in range(10)
    ]  # fmt: skip
    unsure = Evidence(proposal=make.proposal("positive", confidence=0.55))
    routed = [make.label(f"r{n}", value="neutral", evidence=unsure, version=1) for n in range(10)]
    counts = seen(*audits, *routed, make.auto_label("x"))
    counts += observe_all({}, [make.prediction("p", confidence=0.8)], bucket_s=60)[1]
    strata = judged(counts)[make.PROJECT, "m1"].strata
    assert strata[AUDIT, 9].labels == 10
    assert strata[AUDIT, 9].weight == pytest.approx(100.0)
    assert confident(counts)[make.PROJECT, "model:m1"] == pytest.approx(0.8)
    end = make.at(1000)
    events = accuracy_events(counts, end=end, window_s=60.0)
    by = {event.subject: event.measurement for event in events}
    model, auto = by["accuracy/m1"], by[f"accuracy/path/{Path.AUTO}"]
    assert isinstance(model, Accuracy)
    assert isinstance(auto, Accuracy)
    assert model.accuracy == pytest.approx(90 / 110), "audits stand for ten items each"
    assert model.estimate == pytest.approx(0.8)
    assert (auto.labels, auto.basis) == (10, "audit")
    assert auto.accuracy == pytest.approx(0.9)
    assert auto.low < 0.9 < auto.high
    assert isinstance(by["model_calibration/m1"], ModelCalibration)
    assert len({event.event_id for event in events}) == len(events) == 3
    later = accuracy_events(counts, end=end + timedelta(hours=1), window_s=60.0)
    assert {e.event_id for e in later}.isdisjoint(e.event_id for e in events)


def test_later_rounds_are_no_sample() -> None:
    evidence = Evidence(proposal=make.proposal("positive"))
    assert not judged(seen(make.label("i1", version=2, evidence=evidence)))
