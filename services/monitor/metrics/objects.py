"""Objects of labels and predictions in the window, and how far people and models lie apart on them."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import Metric

from services.monitor.domain.accuracy import Rate
from services.monitor.domain.kinds import Kinds, Objects, kinds
from services.monitor.domain.windows import bounded
from services.monitor.metrics.declared import Declared, Labels, filled, gauge
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
PER_ITEM_LOW, PER_ITEM_HIGH = (
    gauge(f"objects_per_item_{end}", f"The {which} end of its 95 % interval.", "project", "of")
    for end, which in (("low", "lower"), ("high", "upper"))
)
CLASS_LOW, CLASS_HIGH = (
    gauge(
        f"object_class_share_{end}_ratio",
        f"The {which} end of its 95 % interval, where items are the trials.",
        "project",
        "of",
        "class",
    )
    for end, which in (("low", "lower"), ("high", "upper"))
)
COUNTS = (PER_ITEM, PER_ITEM_LOW, PER_ITEM_HIGH)
SHARES = (CLASS_SHARE, CLASS_LOW, CLASS_HIGH)
EXTENTS = (EXTENT, EXTENT_LOW, EXTENT_HIGH)
WORD_RATES = (WORD_ERRORS, WORD_ERRORS_LOW, WORD_ERRORS_HIGH)
DECLARED = (*COUNTS, *SHARES, *EXTENTS, *WORD_RATES)


def objects(shown: Snapshot, max_classes: int) -> Iterator[Metric]:
    """The samples of one snapshot."""
    found = kinds(shown.window)
    yield from _three(COUNTS, {(name, of): _ends(one.each) for name, of, one in _all(found)})
    shares: dict[tuple[str, ...], tuple[float, float, float]] = {}
    for project, of, one in _all(found):
        kept = bounded(one.objects, shown.projects.get(project) or None, max_classes)
        for name, n in kept.items():
            shares[project, of, name] = (n / one.objects.total(), *one.share(name, kept))
    yield from _three(SHARES, shares)
    for metrics, what in ((EXTENTS, "extent"), (WORD_RATES, "words")):
        known = {
            (name, model): _ends(rate) for name, one in found.items() for model, rate in getattr(one, what).items()
        }
        yield from _three(metrics, known)


def _all(found: Mapping[str, Kinds]) -> Iterator[tuple[str, str, Objects]]:
    return ((project, of, one) for project, about in found.items() for of, one in about.objects.items())


def _ends(one: Rate) -> tuple[float, float, float]:
    return one.rate, one.low, one.high


def _three(metrics: Sequence[Declared], known: Mapping[Labels, tuple[float, float, float]]) -> Iterator[Metric]:
    """A figure and both ends of its interval."""
    for place, declared in enumerate(metrics):
        yield filled(declared, {labels: values[place] for labels, values in known.items()})
