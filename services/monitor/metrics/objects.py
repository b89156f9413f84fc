"""Objects of labels and predictions in the window, and how far people and models lie apart on them."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from services.monitor.domain.kinds import kinds
from services.monitor.domain.windows import bounded
from services.monitor.metrics.declared import filled, gauge
from services.monitor.metrics.snapshot import Snapshot

PER_ITEM = gauge(
    "objects_per_item", "Objects of a label or prediction in the window, the mean over items.", "project", "of"
)
CLASS_SHARE = gauge(
    "object_class_share_ratio",
    "Share of a class in the objects of the window's predictions or labels, 0 to 1.",
    "project",
    "of",
    "class",
)
EXTENT = gauge(
    "extent_disagreement_ratio",
    "1 - intersection over union of people's objects and the model's, the mean over those matched in the window.",
    "project",
    "model_version",
)
WORD_ERRORS = gauge(
    "word_error_ratio",
    "Word error rate of the model's transcripts against people's blind audits in the window, weighted.",
    "project",
    "model_version",
)
EXTENT_LOW, EXTENT_HIGH, WORD_ERRORS_LOW, WORD_ERRORS_HIGH = (
    gauge(f"{name}_{end}_ratio", f"The {which} end of its 95 % interval.", "project", "model_version")
    for name in ("extent_disagreement", "word_error")
    for end, which in (("low", "lower"), ("high", "upper"))
)
WORD_RATES = (WORD_ERRORS, WORD_ERRORS_LOW, WORD_ERRORS_HIGH)
DECLARED = (
    PER_ITEM, CLASS_SHARE, EXTENT, EXTENT_LOW, EXTENT_HIGH, WORD_ERRORS, WORD_ERRORS_LOW, WORD_ERRORS_HIGH,
)  # fmt: skip


def objects(shown: Snapshot, max_classes: int) -> Iterator[Metric]:
    """The samples of one snapshot."""
    found = kinds(shown.window)
    yield filled(PER_ITEM, {(name, of): mean for name, one in found.items() for of, mean in one.per_item.items()})
    shares: dict[tuple[str, str, str], float] = {}
    for project, one in found.items():
        for of, mix in one.mixes.items():
            kept = bounded(mix, shown.projects.get(project) or None, max_classes)
            shares |= {(project, of, name): n / mix.total() for name, n in kept.items()}
    yield filled(CLASS_SHARE, shares)
    for metrics, what in (((EXTENT, EXTENT_LOW, EXTENT_HIGH), "extent"), (WORD_RATES, "words")):
        known = {(name, model): rate for name, one in found.items() for model, rate in getattr(one, what).items()}
        for metric, end in zip(metrics, ("rate", "low", "high"), strict=True):
            yield filled(metric, {place: getattr(rate, end) for place, rate in known.items()})
