"""How far annotators agree who drew objects: overlap, F1 and Krippendorff's alpha with the kind's distance.

The distance of two answers is the part of their objects that is not shared: 1 less twice the overlap of objects of one
class (Hungarian method) over the number of both. Two answers without objects agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.clusters import Answer, E, Geometry
from services.qc.domain.kinds.detection import hold

CHANCE = 400
"""Pairs of answers to different items from which the disagreement by chance is taken."""
FEWEST, CELLS = 40, 20_000_000
"""Where answers are large, fewer: as many as compare so many objects, but so many at least."""
PAIRS_OF_ITEM = 45
PERCENTILES = (2.5, 97.5)

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Concord:
    """Agreement by measure, None where undefined, with 95 % intervals by the bootstrap over items.

    Attributes:
        values: overlap: mean 1 - distance of two answers to an item; f1: of two answers, at an overlap of a half;
            alpha: Krippendorff's.
        pairs: of answers to one item that were compared.
    """

    values: dict[str, float | None]
    intervals: dict[str, Interval | None]
    pairs: int


def distance(one: Answer[E], two: Answer[E], geometry: Geometry[E]) -> float:
    """From 0, the same, to 1, nothing in common."""
    return _pair(one, two, geometry)[0]


def _pair(one: Answer[E], two: Answer[E], geometry: Geometry[E]) -> tuple[float, float]:
    """Distance and F1 of two answers."""
    held = hold(one.objects, two.objects, geometry)
    both = held.given + held.true
    return (1.0 - 2.0 * float(held.overlaps.sum()) / both, 2.0 * held.hits / both) if both else (0.0, 1.0)


def agreement(
    items: Sequence[Sequence[Answer[E]]], geometry: Geometry[E], *, resamples: int, rng: np.random.Generator
) -> Concord:
    """Agreement of the answers to many items.

    Args:
        items: the answers to each.
        geometry: of the extents.
        resamples: of the bootstrap.
        rng: of the resamples, of the pairs that stand for chance, and of those of an item with very many.
    """
    told = [item for item in items if len(item) > 1]
    if not told:
        nothing = dict.fromkeys(("overlap", "f1", "alpha"))
        return Concord(dict(nothing), dict(nothing), 0)
    pairs = [np.array([_pair(one, two, geometry) for one, two in _pairs(item, rng)]) for item in told]
    means = np.array([each.mean(axis=0) for each in pairs])
    answers = np.array([len(item) for item in told], dtype=np.float64)
    chance = _chance(told, geometry, rng)
    times = rng.multinomial(len(told), np.full(len(told), 1.0 / len(told)), size=resamples).astype(np.float64)
    drawn = _values(times, means, answers, chance)
    found = _values(np.ones((1, len(told))), means, answers, chance)[0]
    names = ("overlap", "f1", "alpha")
    values = {name: None if np.isnan(found[i]) else float(found[i]) for i, name in enumerate(names)}
    bounds = np.percentile(drawn, PERCENTILES, axis=0) if resamples else np.full((2, 3), np.nan)
    intervals = {
        name: None if np.isnan(bounds[:, i]).any() else (float(bounds[0, i]), float(bounds[1, i]))
        for i, name in enumerate(names)
    }
    return Concord(values, intervals, sum(map(len, pairs)))


def _pairs(item: Sequence[Answer[E]], rng: np.random.Generator) -> list[tuple[Answer[E], Answer[E]]]:
    """All pairs of answers to an item, or as many as are enough."""
    every = list(combinations(item, 2))
    if len(every) <= PAIRS_OF_ITEM:
        return every
    return [every[at] for at in sorted(rng.choice(len(every), PAIRS_OF_ITEM, replace=False).tolist())]


def _values(times: Floats, means: Floats, answers: Floats, chance: float) -> Floats:
    """(resamples, 3); an item weighs as many answers as it has, as in alpha's coincidences."""
    weights = times * answers
    observed = weights @ means / weights.sum(axis=1, keepdims=True)
    alpha = 1.0 - observed[:, 0] / chance if chance > 0 else np.full(len(times), np.nan)
    return np.stack([1.0 - observed[:, 0], observed[:, 1], alpha], axis=1)


def _chance(items: Sequence[Sequence[Answer[E]]], geometry: Geometry[E], rng: np.random.Generator) -> float:
    """The mean distance of answers by chance: of pairs of any answers, from a sample."""
    answers = [answer for item in items for answer in item]
    cells = float(np.mean([len(answer.objects) for answer in answers])) ** 2
    size = int(np.clip(CELLS / max(cells, 1.0), FEWEST, CHANCE))
    first, second = rng.integers(len(answers), size=size), rng.integers(len(answers) - 1, size=size)
    second = second + (second >= first)
    return float(np.mean([distance(answers[a], answers[b], geometry) for a, b in zip(first, second, strict=True)]))
