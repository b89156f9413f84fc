"""Rolling windows over the time buckets: the measurements that monitor publishes."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from services.monitor.domain.anchoring import anchoring
from services.monitor.domain.cause.periods import renamed
from services.monitor.domain.counters import Counts, Key, Kind
from shared.events import Anchoring, ClassMix, Disagreement, Quality
from shared.labels import Names

OTHER = "other"
MAX_CLASSES = 1000
BY_CLASS = (Kind.PREDICTED, Kind.LABELLED, Kind.OBJECTS, Kind.OBJECT_SQUARES, Kind.OBJECT_CROSS)
"""Kinds whose symbol is a class."""


@dataclass(frozen=True, slots=True)
class Window:
    """The buckets that start in [start, end)."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    @classmethod
    def before(cls, now: datetime, *, window_s: int, step_s: int) -> "Window":
        """The last full window that ends on a step: the same for every replica and for every call within the step."""
        end = datetime.fromtimestamp(int(now.timestamp()) // step_s * step_s, UTC)
        return cls(end - timedelta(seconds=window_s), end)


def named(counts: Mapping[Key, int], naming: Mapping[str, Names]) -> Counts:
    """Counters by class under the present names of classes; what was counted under a former name is added to it."""
    found = Counts()
    for key, n in counts.items():
        names = naming.get(key.project_id)
        if names is not None and key.kind in BY_CLASS:
            key = key._replace(symbol=names.name(key.symbol))  # noqa: PLW2901
        elif names is not None and key.kind in (Kind.SAID, Kind.CAME, Kind.TOLD):
            key = key._replace(symbol=renamed(key.symbol, names))  # noqa: PLW2901
        found[key] += n
    return found


def class_mix(counts: Mapping[Key, int], kind: Kind) -> dict[str, Counter[str]]:
    """Counts per class of each project, over all models or paths."""
    mixes: dict[str, Counter[str]] = defaultdict(Counter)
    for key, n in counts.items():
        if key.kind == kind and n > 0:
            mixes[key.project_id][key.symbol or OTHER] += n
    return dict(mixes)


def bounded(mix: Counter[str], classes: Collection[str] | None, limit: int) -> Counter[str]:
    """At most `limit` classes, the most frequent; those beyond, or unknown to `classes`, together as `other`."""
    kept: Counter[str] = Counter()
    ranked = sorted(mix.items(), key=lambda pair: (-pair[1], pair[0]))
    for name, n in ranked:
        known = classes is None or name in classes
        named = len(kept) - (OTHER in kept)
        kept[name if known and named < limit - 1 else OTHER] += n
    return kept


@dataclass(frozen=True, slots=True)
class Compared:
    """People's labels against a model's proposals."""

    disagree: int = 0
    labels: int = 0

    @property
    def rate(self) -> float:
        return self.disagree / self.labels if self.labels else 0.0


def disagreement(counts: Mapping[Key, int]) -> dict[tuple[str, str], Compared]:
    """Per (project, model version), over every lane."""
    found: dict[tuple[str, str], Compared] = {}
    for key, n in counts.items():
        if key.kind == Kind.COMPARED and n > 0:
            before = found.get((key.project_id, key.part), Compared())
            wrong = n if key.symbol.endswith(":disagree") else 0
            found[key.project_id, key.part] = Compared(before.disagree + wrong, before.labels + n)
    return found


def anchoring_events(counts: Counts, window: Window) -> list[Quality]:
    """The quality events of a week's answers up to a window's end."""
    sequence = window.end.isoformat()
    return [_quality(project, "anchoring", sequence, one, window) for project, one in anchoring(counts).items()]


def measurements(counts: Mapping[Key, int], window: Window) -> list[Quality]:
    """The quality events of a window: class mixes and disagreement, each where there is anything to measure."""
    events = []
    sequence = window.end.isoformat()
    of: tuple[tuple[Literal["predictions", "labels"], Kind], ...] = (
        ("predictions", Kind.PREDICTED),
        ("labels", Kind.LABELLED),
    )
    for name, kind in of:
        for project, mix in sorted(class_mix(counts, kind).items()):
            measured = ClassMix(of=name, counts=dict(bounded(mix, None, MAX_CLASSES)), window_s=window.seconds)
            events.append(_quality(project, f"class_mix/{name}", sequence, measured, window))
    for (project, model), compared in sorted(disagreement(counts).items()):
        measured_rate = Disagreement(
            model_version=model, rate=compared.rate, labels=compared.labels, window_s=window.seconds
        )
        events.append(_quality(project, f"model/{model}", sequence, measured_rate, window))
    return events


def _quality(
    project_id: str, subject: str, sequence: str, measurement: ClassMix | Disagreement | Anchoring, window: Window
) -> Quality:
    return Quality(
        project_id=project_id,
        subject=subject,
        sequence=sequence,
        measurement=measurement,
        measured_at=window.end,
    )
