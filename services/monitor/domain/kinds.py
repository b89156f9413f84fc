"""Figures of kinds with objects or words in the window: how many, of which classes, how far people differ."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.monitor.domain.accuracy import AUDIT, ROUTED, Rate, Z, wilson
from services.monitor.domain.counters import MILLION, Counts, Kind
from services.monitor.domain.figures import MAX_MODELS

FEWEST = 5
"""Texts from which their variance is used."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """What there is of it; empty where the labels have neither objects nor words.

    Attributes:
        per_item: objects of a prediction or label, the mean; by `predictions` and `labels`.
        mixes: objects by class, of the same.
        extent: 1 - intersection over union of people's objects and the model's, the mean over those that are matched,
            by model version. Each is between 0 and 1, so the interval of a share is wide enough (Bhatia & Davis 2000).
        words: word error rate of the model's transcripts, people's blind audits taken for true; by model version, with
            the words that were judged, weighed by 1 / inclusion probability. Words of one text are wrong together, so
            the interval counts as many as the variance between texts leaves.
    """

    per_item: Mapping[str, float] = field(default_factory=dict)
    mixes: Mapping[str, Counter[str]] = field(default_factory=dict)
    extent: Mapping[str, Rate] = field(default_factory=dict)
    words: Mapping[str, Rate] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.per_item or self.words)


def kinds(window: Counts) -> dict[str, Kinds]:
    """By project that has any."""
    items: dict[str, Counter[str]] = {}
    mixes = object_mixes(window)
    for key, n in window.items():
        if key.kind == Kind.OBJECT_ITEMS and n > 0:
            items.setdefault(key.project_id, Counter())[key.part] += n
    extent: dict[str, dict[str, Rate]] = {}
    for project, model, apart, pairs in _ratios(window, Kind.EXTENT, ("apart", "pairs"), (AUDIT, ROUTED)):
        rate, seen = min(apart / pairs, 1.0), pairs // MILLION
        extent.setdefault(project, {})[model] = Rate(rate, *wilson(rate, seen), seen)
    texts = _texts(window)
    words: dict[str, dict[str, Rate]] = {}
    for project, model, errors, said in _ratios(window, Kind.WORDS, ("errors", "words"), (AUDIT,)):
        rate = errors / said
        low, high = _known(rate, said / MILLION, texts[project, model])
        words.setdefault(project, {})[model] = Rate(rate, low, high, said // MILLION)
    return {
        project: Kinds(
            {of: mixes.get(project, {}).get(of, Counter()).total() / n for of, n in items.get(project, {}).items()},
            mixes.get(project, {}),
            extent.get(project, {}),
            words.get(project, {}),
        )
        for project in sorted({*items, *words})
    }


def _texts(window: Counts) -> dict[tuple[str, str], Counter[str]]:
    """What is summed over the texts of audits, by project and model."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for key, n in window.items():
        lane, _, what = key.symbol.partition(":")
        if key.kind == Kind.WORDS and lane == AUDIT:
            found.setdefault((key.project_id, key.part), Counter())[what] += n
    return found


def _known(rate: float, words: float, texts: Mapping[str, int]) -> tuple[float, float]:
    """95 % of a word error rate, a ratio of sums over texts (linearized), which may be above 1."""
    number, capped = float(texts.get("texts", 0)), min(rate, 1.0)
    squares, cross, lengths = (texts.get(name, 0) / 1000 for name in ("squares", "cross", "lengths"))
    few = wilson(capped, max(number, 1.0))
    if number < FEWEST:  # too few to tell how they differ: each is one trial
        return few[0], max(few[1], rate)
    variance = max(squares - 2.0 * rate * cross + rate**2 * lengths, 0.0) / words**2 * number / (number - 1.0)
    if variance == 0.0:
        return few[0], max(few[1], rate)
    if rate >= 1.0:
        half = Z * math.sqrt(variance)
        return max(rate - half, 0.0), rate + half
    return wilson(rate, min(rate * (1.0 - rate) / variance, words))


def object_mixes(counts: Counts) -> dict[str, dict[str, Counter[str]]]:
    """Objects by project, whose they are (`predictions` or `labels`), and class."""
    mixes: dict[str, dict[str, Counter[str]]] = {}
    for key, n in counts.items():
        if key.kind == Kind.OBJECTS and n > 0:
            mixes.setdefault(key.project_id, {}).setdefault(key.part, Counter())[key.symbol] += n
    return mixes


def _ratios(
    counts: Counts, kind: Kind, names: tuple[str, str], lanes: tuple[str, ...]
) -> Iterator[tuple[str, str, int, int]]:
    """(project, model, upper sum, lower sum), for the models with most of the lower one."""
    above, below = names
    sums: dict[str, Counter[tuple[str, str]]] = {above: Counter(), below: Counter()}
    for key, n in counts.items():
        lane, _, what = key.symbol.partition(":")
        if key.kind == kind and lane in lanes and what in sums:
            sums[what][key.project_id, key.part] += n
    models: Counter[str] = Counter()
    for place, n in sorted(sums[below].items(), key=lambda pair: (-pair[1], pair[0])):
        models[place[0]] += 1
        if n > 0 and models[place[0]] <= MAX_MODELS:
            yield *place, sums[above][place], n
