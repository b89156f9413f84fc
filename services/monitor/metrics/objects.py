"""Objects of labels and predictions in the window, and how far people and models lie apart on them."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from services.monitor.domain.counters import Counts, Kind
from services.monitor.domain.windows import bounded, class_mix
from services.monitor.metrics.declared import filled, gauge
from services.monitor.metrics.quality import MAX_MODELS
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
DECLARED = (PER_ITEM, CLASS_SHARE, EXTENT, WORD_ERRORS)


def objects(shown: Snapshot, max_classes: int) -> Iterator[Metric]:
    """The samples of one snapshot."""
    items: Counter[tuple[str, str]] = Counter()
    numbers: Counter[tuple[str, str]] = Counter()
    for key, n in shown.window.items():
        if key.kind == Kind.OBJECT_ITEMS:
            items[key.project_id, key.part] += n
        elif key.kind == Kind.OBJECTS:
            numbers[key.project_id, key.part] += n
    yield filled(PER_ITEM, {place: numbers[place] / n for place, n in items.items() if n})
    shares: dict[tuple[str, str, str], float] = {}
    for of in sorted({part for _, part in numbers}):
        part = Counts({key: n for key, n in shown.window.items() if key.kind == Kind.OBJECTS and key.part == of})
        for project, mix in class_mix(part, Kind.OBJECTS).items():
            kept = bounded(mix, shown.projects.get(project) or None, max_classes)
            shares |= {(project, of, name): n / mix.total() for name, n in kept.items()}
    yield filled(CLASS_SHARE, shares)
    yield filled(EXTENT, _ratio(shown.window, Kind.EXTENT, "apart", "pairs", lanes=("audit", "routed")))
    yield filled(WORD_ERRORS, _ratio(shown.window, Kind.WORDS, "errors", "words", lanes=("audit",)))


def _ratio(
    counts: Counts, kind: Kind, above: str, below: str, *, lanes: tuple[str, ...]
) -> dict[tuple[str, str], float]:
    """The ratio of two sums per project and model, for the models with most of the lower one."""
    sums: dict[str, Counter[tuple[str, str]]] = {above: Counter(), below: Counter()}
    for key, n in counts.items():
        lane, _, what = key.symbol.partition(":")
        if key.kind == kind and lane in lanes and what in sums:
            sums[what][key.project_id, key.part] += n
    found: dict[tuple[str, str], float] = {}
    models: Counter[str] = Counter()
    for place, n in sorted(sums[below].items(), key=lambda pair: (-pair[1], pair[0])):
        models[place[0]] += 1
        if n and models[place[0]] <= MAX_MODELS:
            found[place] = sums[above][place] / n
    return found
