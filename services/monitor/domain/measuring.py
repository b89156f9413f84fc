"""The measurements of accuracy and calibration that monitor publishes, of the hours of a rolling week."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal

from services.monitor.domain.accuracy import (
    AUDIT,
    Judged,
    Rate,
    calibration_error,
    confident,
    judged,
    stratified,
    wilson,
)
from services.monitor.domain.counters import Key, Kind
from shared.events import Accuracy, ModelCalibration, Path, Quality
from shared.events.quality import ReliabilityBin

KINDS = (Kind.JUDGED, Kind.JUDGED_WEIGHT, Kind.JUDGED_CONFIDENCE, Kind.CONFIDENT, Kind.GOLDEN)
MOST_MODELS = 5
Of = Literal["model", "path"]
Basis = Literal["audit", "sample", "gold"]


def accuracy_events(counts: Mapping[Key, int], *, end: datetime, window_s: float) -> list[Quality]:
    """The quality events of a week's counts up to `end`: of the models judged most, of paths, of calibration."""
    beside = confident(counts)
    by_project: dict[str, dict[str, Judged]] = {}
    for (project, model), one in judged(counts).items():
        by_project.setdefault(project, {})[model] = one
    events = []
    for project, models in sorted(by_project.items()):
        ranked = sorted(models.items(), key=lambda pair: (-_labels(pair[1]), pair[0]))
        for model, one in ranked[:MOST_MODELS]:
            estimate = beside.get((project, f"model:{model}"))
            for measured in _of_model(model, one, estimate, window_s):
                subject = f"{measured.kind}/{model}"
                events.append(_quality(project, subject, measured, end))
        auto = _of_auto(models, beside.get((project, "path:auto")), window_s)
        if auto is not None:
            events.append(_quality(project, f"accuracy/path/{Path.AUTO}", auto, end))
    for project, (right, wrong) in sorted(_gold(counts).items()):
        rate = right / (right + wrong)
        found = Rate(rate, *wilson(rate, right + wrong), right + wrong)
        single = _accuracy(("path", Path.SINGLE), "gold", found, None, window_s)
        events.append(_quality(project, f"accuracy/path/{Path.SINGLE}", single, end))
    return events


def _labels(one: Judged) -> int:
    return sum(stratum.labels for stratum in one.strata.values())


def _of_model(
    model: str, one: Judged, estimate: float | None, window_s: float
) -> Iterator[Accuracy | ModelCalibration]:
    rate = stratified(one.strata.values())
    if rate is not None:
        yield _accuracy(("model", model), "sample", rate, estimate, window_s)
    found = calibration_error(one.strata)
    if found is not None:
        error, bins = found
        yield ModelCalibration(
            model_version=model,
            error=error.rate,
            low=error.low,
            high=error.high,
            labels=error.labels,
            bins=tuple(ReliabilityBin(labels=b.labels, posterior=b.confidence, accuracy=b.accuracy) for b in bins),
            window_s=window_s,
        )


def _of_auto(models: Mapping[str, Judged], estimate: float | None, window_s: float) -> Accuracy | None:
    """Labels that the model gave alone, by the audits of what it would have given alone."""
    audits = [s for one in models.values() for (lane, _), s in one.strata.items() if lane == AUDIT]
    rate = stratified(audits)
    if rate is None:
        return None
    return _accuracy(("path", Path.AUTO), "audit", rate, estimate, window_s)


def _accuracy(name: tuple[Of, str], basis: Basis, found: Rate, estimate: float | None, window_s: float) -> Accuracy:
    of, which = name
    return Accuracy(
        of=of,
        name=which,
        basis=basis,
        accuracy=min(found.rate, 1.0),
        low=found.low,
        high=found.high,
        labels=found.labels,
        estimate=None if estimate is None else min(estimate, 1.0),
        window_s=window_s,
    )


def _gold(counts: Mapping[Key, int]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for key, n in counts.items():
        if key.kind == Kind.GOLDEN and n > 0:
            right, wrong = found.get(key.project_id, (0, 0))
            found[key.project_id] = (right + n, wrong) if key.symbol == "yes" else (right, wrong + n)
    return found


def _quality(project_id: str, subject: str, measured: Accuracy | ModelCalibration, end: datetime) -> Quality:
    return Quality(
        project_id=project_id, subject=subject, sequence=end.isoformat(), measurement=measured, measured_at=end
    )
