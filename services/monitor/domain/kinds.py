"""Figures of kinds with objects or words in the window: how many, of which classes, how far people differ."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from services.monitor.domain.accuracy import AUDIT, ROUTED, Rate
from services.monitor.domain.clusters import Sums, count_interval, ratio_interval
from services.monitor.domain.counters import MILLION, Counts, Kind
from services.monitor.domain.figures import MAX_MODELS
from services.monitor.domain.windows import OTHER

PARTS = {Kind.OBJECTS: "objects", Kind.OBJECT_SQUARES: "squares", Kind.OBJECT_CROSS: "cross"}
PRODUCTS = ("squares", "cross", "lengths")


@dataclass(slots=True)
class Objects:
    """Those of predictions, or of labels.

    Attributes:
        items: values whose kind has objects, also such without any.
        objects: by class.
        squares: of an item's objects of the class, summed over items; "": of all its objects.
        cross: an item's objects of the class times all that it has.
    """

    items: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    squares: Counter[str] = field(default_factory=Counter)
    cross: Counter[str] = field(default_factory=Counter)

    @property
    def each(self) -> Rate:
        """Objects of an item, the mean; `labels` are the items."""
        total = self.objects.total()
        return Rate(total / self.items, *count_interval(self.items, total, self.squares[""]), self.items)

    def share(self, name: str, shown: Collection[str]) -> tuple[float, float]:
        """The interval of a class's share of the objects, of `other` that of all which are not `shown`.

        Objects of one item are often of one class, so items are the trials. How those of several classes go together
        within items is not counted: their interval is the widest possible (Minkowski).
        """
        names = [name] if name != OTHER else [one for one in self.objects if one == OTHER or one not in shown]
        upper, cross = (math.fsum(of[one] for one in names) for of in (self.objects, self.cross))
        squares = min(math.fsum(math.sqrt(self.squares[one]) for one in names) ** 2, cross)
        return ratio_interval(Sums(upper, self.objects.total(), squares, cross, self.squares[""]))


@dataclass(frozen=True, slots=True)
class Kinds:
    """What there is of it; empty where the labels have neither objects nor words.

    Attributes:
        objects: by `predictions` and `labels`.
        extent: 1 - intersection over union of people's objects and the model's, the mean over those that are matched,
            by model version, with their number. Of the items that people saw, which are not a sample of the traffic.
        words: word error rate of the model's transcripts, people's blind audits taken for true; by model version, with
            the words that were judged, weighed by 1 / inclusion probability.
    """

    objects: Mapping[str, Objects] = field(default_factory=dict)
    extent: Mapping[str, Rate] = field(default_factory=dict)
    words: Mapping[str, Rate] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.objects or self.words)


def kinds(window: Counts) -> dict[str, Kinds]:
    """By project that has any."""
    objects: dict[str, dict[str, Objects]] = defaultdict(lambda: defaultdict(Objects))
    for key, n in window.items():
        if key.kind == Kind.OBJECT_ITEMS:
            objects[key.project_id][key.part].items += n
        elif key.kind in PARTS and n > 0:
            getattr(objects[key.project_id][key.part], PARTS[key.kind])[key.symbol] += n
    extent: dict[str, dict[str, Rate]] = defaultdict(dict)
    for project, model, sums in _ratios(window, Kind.EXTENT, ("apart", "pairs"), (AUDIT, ROUTED), MILLION):
        extent[project][model] = Rate(min(sums.upper / sums.lower, 1.0), *ratio_interval(sums), round(sums.lower))
    words: dict[str, dict[str, Rate]] = defaultdict(dict)
    for project, model, sums in _ratios(window, Kind.WORDS, ("errors", "words"), (AUDIT,), 1000):
        words[project][model] = Rate(sums.upper / sums.lower, *ratio_interval(sums), int(sums.lower))
    return {
        project: Kinds(
            {of: one for of, one in sorted(objects[project].items()) if one.items > 0},
            dict(extent[project]),
            dict(words[project]),
        )
        for project in sorted({*objects, *words})
    }


def object_mixes(counts: Counts) -> dict[str, dict[str, Counter[str]]]:
    """Objects by project, whose they are (`predictions` or `labels`), and class."""
    mixes: dict[str, dict[str, Counter[str]]] = {}
    for key, n in counts.items():
        if key.kind == Kind.OBJECTS and n > 0:
            mixes.setdefault(key.project_id, {}).setdefault(key.part, Counter())[key.symbol] += n
    return mixes


def _ratios(
    counts: Counts, kind: Kind, names: tuple[str, str], lanes: tuple[str, ...], scale: int
) -> Iterator[tuple[str, str, Sums]]:
    """(project, model, sums), for the models with most of the lower one; products are in parts of `scale`."""
    above, below = names
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for key, n in counts.items():
        lane, _, what = key.symbol.partition(":")
        if key.kind == kind and lane in lanes:
            found[key.project_id, key.part][what] += n
    models: Counter[str] = Counter()
    for place, sums in sorted(found.items(), key=lambda pair: (-pair[1][below], pair[0])):
        models[place[0]] += 1
        if sums[below] > 0 and models[place[0]] <= MAX_MODELS:
            products = (sums[what] / scale for what in PRODUCTS)
            yield *place, Sums(sums[above] / MILLION, sums[below] / MILLION, *products)
