"""What the status page and the read API tell of one project, from what the metrics' snapshot found."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from services.monitor.domain.counters import MILLION, Counts, Kind
from services.monitor.domain.facts import State
from services.monitor.domain.figures import Audited, Figures, audited
from services.monitor.domain.kinds import Kinds, Objects, kinds, object_mixes
from services.monitor.domain.windows import OTHER, bounded, class_mix
from shared.events import Path

SHOWN_CLASSES = 20


class ClassShare(NamedTuple):
    """Shares of one class, now and in the reference; None without a single event there. `low`, `high`: 95 % of now."""

    name: str
    now: float | None
    reference: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Mix:
    """Classes of predictions or of labels, the most frequent now first; `now`, `before`: events counted."""

    shares: tuple[ClassShare, ...] = ()
    now: int = 0
    before: int = 0

    @property
    def distance(self) -> float | None:
        """Total variation distance between the two, None where one is empty."""
        if not self.now or not self.before:
            return None
        return sum(abs((one.now or 0.0) - (one.reference or 0.0)) for one in self.shares) / 2


@dataclass(frozen=True, slots=True)
class PathFigures:
    """Labels that stand, by one path; for each of them the opinions and the cost of all that came by it."""

    path: str
    labels: int
    opinions: float | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """One project at one time.

    Attributes:
        taken_at: when the database was read.
        states: items by state.
        paths: labels by path.
        mixes: by `predictions` and `labels`.
        audits: by model version, over the window.
        figures: the latest measurements.
        budget_left: relabel requests still possible.
        kinds: of labels with objects or words.
        objects: classes of objects, by `predictions` and `labels`; those with any.
    """

    project_id: str
    taken_at: datetime
    states: Mapping[str, int]
    paths: tuple[PathFigures, ...]
    mixes: Mapping[str, Mix]
    audits: Mapping[str, Audited]
    figures: Figures = field(default_factory=Figures)
    budget_left: int = 0
    kinds: Kinds = field(default_factory=Kinds)
    objects: Mapping[str, Mix] = field(default_factory=dict)


def states_of(project: str, totals: Counts) -> dict[str, int]:
    """Items by state, every state named."""
    found = dict.fromkeys((state.value for state in State), 0)
    for key, n in totals.items():
        if key.project_id == project and key.kind == Kind.ITEMS:
            found[key.part] = found.get(key.part, 0) + n
    return found


def paths_of(project: str, totals: Counts) -> tuple[PathFigures, ...]:
    """The paths by which labels came; a version that replaces another is no label more."""
    sums: Counter[tuple[Kind, str]] = Counter()
    for key, n in totals.items():
        if key.project_id == project:
            sums[key.kind, key.part] += n
    found = []
    for path in Path:
        labels = sums[Kind.LABELS, path.value] - sums[Kind.REPLACED, path.value]
        opinions = sums[Kind.OPINIONS, path.value] / labels if labels else None
        cost = sums[Kind.COST, path.value] / MILLION / labels if labels else None
        found.append(PathFigures(path.value, labels, opinions, cost))
    return tuple(found)


def mix_of(project: str, window: Counts, reference: Counts, kind: Kind, classes: Collection[str]) -> Mix:
    """The classes of a project now and before, at most `SHOWN_CLASSES`; the others together."""
    now = class_mix(window, kind).get(project, Counter())
    before = class_mix(reference, kind).get(project, Counter())
    return _compared(now, before, classes)


def objects_of(
    project: str, found: Mapping[str, Objects], reference: Counts, classes: Collection[str]
) -> dict[str, Mix]:
    """The classes of objects, the same way, with intervals."""
    before = object_mixes(reference).get(project, {})
    mixes = {}
    for of, one in sorted(found.items(), reverse=True):
        if one.objects:
            mix = _compared(one.objects, before.get(of, Counter()), classes)
            shown = [each.name for each in mix.shares]
            ends = [one.share(name, shown) for name in shown]
            shares = (each._replace(low=low, high=high) for each, (low, high) in zip(mix.shares, ends, strict=True))
            mixes[of] = replace(mix, shares=tuple(shares))
    return mixes


def _compared(now: Counter[str], before: Counter[str], classes: Collection[str]) -> Mix:
    kept = bounded(now + before, classes or None, SHOWN_CLASSES)

    def folded(mix: Counter[str]) -> Counter[str]:
        found: Counter[str] = Counter()
        for name, n in mix.items():
            found[name if name in kept else OTHER] += n
        return found

    new, old = folded(now), folded(before)
    names = sorted({*new, *old}, key=lambda name: (-new[name], -old[name], name))
    shares = tuple(
        ClassShare(
            name,
            new[name] / new.total() if new.total() else None,
            old[name] / old.total() if old.total() else None,
        )
        for name in names
    )
    return Mix(shares, now.total(), before.total())


def overview(
    project: str,
    *,
    taken_at: datetime,
    totals: Counts,
    window: Counts,
    reference: Counts,
    classes: Collection[str],
    figures: Figures,
    budget_left: int,
) -> Overview:
    """Put one project's figures together.

    Args:
        project: its id.
        taken_at: when the rest was read.
        totals: counters that are kept for good.
        window: those of the rolling window.
        reference: those of the day before it.
        classes: the project's; empty where it has no list of them.
        figures: the latest measurements.
        budget_left: relabel requests still possible.
    """
    of = (("predictions", Kind.PREDICTED), ("labels", Kind.LABELLED))
    about = kinds(window).get(project, Kinds())
    return Overview(
        project_id=project,
        taken_at=taken_at,
        states=states_of(project, totals),
        paths=paths_of(project, totals),
        mixes={name: mix_of(project, window, reference, kind, classes) for name, kind in of},
        audits={model: one for (owner, model), one in audited(window).items() if owner == project},
        figures=figures,
        budget_left=budget_left,
        kinds=about,
        objects=objects_of(project, about.objects, reference, classes),
    )
