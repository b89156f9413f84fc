"""What labels, models and people are worth, from the measurements of qc and monitor. Numbers of people, never who."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from services.monitor.domain.figures import BANDS, MAX_MODELS, Audited, audited, worst_classes
from services.monitor.metrics.declared import filled, gauge
from services.monitor.metrics.snapshot import Snapshot

AGREEMENT = gauge("agreement_ratio", "Agreement of annotators as qc last measured it, 0 to 1.", "project")
ALPHA = gauge("agreement_alpha", "Krippendorff's alpha of the project as qc last measured it, at most 1.", "project")
AC1 = gauge("agreement_ac1", "Gwet's AC1 of the project as qc last measured it, at most 1.", "project")
BY_CLASS = gauge(
    "class_agreement_ac1", "Gwet's AC1 of a class against the rest; the classes of least agreement.", "project", "class"
)
CALIBRATION = gauge(
    "calibration_error_ratio",
    "Debiased gap between posteriors of labels and how often they are right, 0 to 1.",
    "project",
    "against",
)
ACCURACY = gauge(
    "accuracy_ratio",
    "Accuracy of a model, or of the live labels of a path, over a rolling week, 0 to 1; on what it stands.",
    "project",
    "of",
    "name",
    "basis",
)
ACCURACY_LOW = gauge("accuracy_low_ratio", "Lower end of its 95 % interval, 0 to 1.", "project", "of", "name", "basis")
ACCURACY_HIGH = gauge(
    "accuracy_high_ratio", "Upper end of its 95 % interval, 0 to 1.", "project", "of", "name", "basis"
)
MODEL_CALIBRATION = gauge(
    "model_calibration_error_ratio",
    "Debiased gap between a model's confidence and how often people agree, over a rolling week, 0 to 1.",
    "project",
    "model_version",
)
AUDITED = gauge("audited_labels", "Blind audits in the window.", "project", "model_version")
AUDIT_AGREEMENT = gauge(
    "audit_agreement_ratio",
    "Share of what the model would have had accepted that people's blind labels confirm, in the window, 0 to 1.",
    "project",
    "model_version",
)
AUDIT_LOW, AUDIT_HIGH = (
    gauge(f"audit_agreement_{end}_ratio", f"The {which} end of its 95 % interval.", "project", "model_version")
    for end, which in (("low", "lower"), ("high", "upper"))
)
CERTIFICATE = gauge("certificate_granted", "1 while proposals may be accepted, 0 once that was withdrawn.", "project")
THRESHOLD = gauge(
    "certificate_threshold_ratio",
    "Confidence from which classes that are judged together are accepted, 0 to 1.",
    "project",
)
BREACHED = gauge(
    "certificate_breached",
    "1 while nothing of a class is accepted because its error had risen; class *: of those judged together.",
    "project",
    "class",
)
ANNOTATORS = gauge(
    "annotators", "Annotators whose skill was measured, by tenths of their accuracy.", "project", "accuracy"
)
QUARANTINED = gauge("annotators_quarantined", "Annotators in quarantine.", "project")
DECLARED = (
    AGREEMENT, ALPHA, AC1, BY_CLASS, CALIBRATION, AUDITED, AUDIT_AGREEMENT, AUDIT_LOW, AUDIT_HIGH, CERTIFICATE,
    THRESHOLD, BREACHED, ANNOTATORS, QUARANTINED, ACCURACY, ACCURACY_LOW, ACCURACY_HIGH, MODEL_CALIBRATION,
)  # fmt: skip


def quality(shown: Snapshot, max_classes: int) -> Iterator[Metric]:
    """The samples of one snapshot."""
    yield from _agreement(shown, max_classes)
    yield from _audits(shown)
    yield from _accuracy(shown)
    yield from _people(shown)
    told = {name: one.certificate for name, one in shown.figures.items() if one.certificate is not None}
    yield filled(CERTIFICATE, {(name,): float(one.accepts) for name, one in told.items()})
    limits = {(name,): one.pooled.threshold for name, one in told.items()}
    yield filled(THRESHOLD, {key: limit for key, limit in limits.items() if limit is not None})
    broken = {(name, symbol) for name, one in told.items() for symbol in one.broken[:max_classes]}
    yield filled(BREACHED, dict.fromkeys(broken, 1.0))


def _agreement(shown: Snapshot, max_classes: int) -> Iterator[Metric]:
    measured = {name: one.agreement for name, one in shown.figures.items() if one.agreement is not None}
    yield filled(AGREEMENT, {(name,): one.percent for name, one in measured.items()})
    yield filled(ALPHA, {(name,): one.alpha for name, one in measured.items() if one.alpha is not None})
    yield filled(AC1, {(name,): one.ac1 for name, one in measured.items() if one.ac1 is not None})
    classes = {
        (name, label): one.ac1
        for name, figures in shown.figures.items()
        for label, one in worst_classes(figures, max_classes).items()
        if one.ac1 is not None
    }
    yield filled(BY_CLASS, classes)
    errors = {
        (name, against): one.error
        for name, figures in shown.figures.items()
        for against, one in figures.calibration.items()
    }
    yield filled(CALIBRATION, errors)


def _accuracy(shown: Snapshot) -> Iterator[Metric]:
    known = {
        (project, of, name, one.basis): (one.accuracy, one.low, one.high)
        for project, figures in shown.figures.items()
        for of, some in (("model", figures.models()), ("path", figures.paths()))
        for name, one in some.items()
    }
    for place, declared in enumerate((ACCURACY, ACCURACY_LOW, ACCURACY_HIGH)):
        yield filled(declared, {labels: values[place] for labels, values in known.items()})
    errors = {
        (project, model): figures.model_calibration[model].error
        for project, figures in shown.figures.items()
        for model in figures.models()
        if model in figures.model_calibration
    }
    yield filled(MODEL_CALIBRATION, errors)


def _audits(shown: Snapshot) -> Iterator[Metric]:
    found: dict[tuple[str, ...], Audited] = {}
    models: Counter[str] = Counter()
    for (project, model), one in sorted(audited(shown.window).items(), key=lambda pair: (-pair[1].labels, pair[0])):
        models[project] += 1
        if models[project] <= MAX_MODELS:
            found[project, model] = one
    for place, declared in enumerate((AUDITED, AUDIT_AGREEMENT, AUDIT_LOW, AUDIT_HIGH)):
        yield filled(declared, {labels: one[place] for labels, one in found.items()})


def _people(shown: Snapshot) -> Iterator[Metric]:
    counts = {
        (name, f"{band / BANDS:.1f}-{(band + 1) / BANDS:.1f}"): figures.people.by_band.get(band, 0)
        for name, figures in shown.figures.items()
        for band in range(BANDS)
    }
    yield filled(ANNOTATORS, counts)
    yield filled(QUARANTINED, {(name,): figures.people.quarantined for name, figures in shown.figures.items()})
