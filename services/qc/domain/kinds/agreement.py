"""How far people agree about labels of any kind, with 95 % intervals by the bootstrap over items.

`alpha` is Krippendorff's with the kind's distance: observed is the mean distance within an item, expected that of two
answers drawn from different items, from a sample of pairs. `alpha_u` is the variant for unitizing (`unitizing`). The
kind's own measures are those of two annotators, one taken for the truth, as means over items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from services.qc.domain.answers import Floats, Ints
from services.qc.domain.kinds.kind import Given, Items, Kind
from services.qc.domain.kinds.unitizing import alpha_u, parts

DRAWN = 4000
PAIRS_OF_ITEM = 45
PERCENTILES = (2.5, 97.5)
SCALES = {"segments": 100.0}

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Values and intervals by measure, None where undefined; and how many items had two answers or more."""

    values: dict[str, float | None]
    intervals: dict[str, Interval | None]
    paired: int


def agreement(items: Items[Any], kind: Kind[Any], *, resamples: int, rng: np.random.Generator) -> Agreement:
    """Every measure of a crowd's answers of one kind.

    Args:
        items: task -> answers; those with one answer say nothing.
        kind: of the answers.
        resamples: of the bootstrap; 0: no intervals.
        rng: of the resamples and of the pairs behind what is expected by chance.
    """
    several = [answers for answers in items.values() if len(answers) > 1]
    names = ["alpha", *(["alpha_u"] if kind.units else [])]
    if not several:
        return Agreement(dict.fromkeys(names), dict.fromkeys(names), 0)
    pairs = [_pairs(answers, rng) for answers in several]
    within = np.array([np.mean([kind.distance(*pair) for pair in each]) for each in pairs])
    sizes = np.array([len(answers) for answers in several], dtype=np.float64)
    left, right, apart = _by_chance(several, kind, rng)
    figures = [kind.measure(of_item) for of_item in pairs]
    measures = {f"pairwise_{name}": np.array([one[name] for one in figures]) for name in figures[0]}
    drawn = rng.multinomial(len(several), np.full(len(several), 1.0 / len(several)), size=resamples).astype(np.float64)
    found: dict[str, tuple[float, Floats]] = {}
    ones = np.ones((1, len(several)))
    found["alpha"] = _both(ones, drawn, lambda w: _alpha(w, within, sizes, (left, right, apart)))
    if kind.units is not None:
        scale = SCALES.get(kind.name, 1.0)
        table = [parts([kind.units(one.value) for one in answers], scale) for answers in several]
        found["alpha_u"] = _both(ones, drawn, lambda w: alpha_u(table, w))
    for name, each in measures.items():
        found[name] = _both(ones, drawn, lambda w, each=each: w @ each / w.sum(axis=1))
    values = {name: None if np.isnan(value) else value for name, (value, _) in found.items()}
    intervals = {name: _interval(value, several_) for name, (value, several_) in found.items()}
    return Agreement(values, intervals, len(several))


def _both(ones: Floats, drawn: Floats, of: Any) -> tuple[float, Floats]:
    return float(of(ones)[0]), of(drawn) if len(drawn) else np.zeros(0)


def _pairs(answers: Sequence[Given[Any]], rng: np.random.Generator) -> list[tuple[Any, Any]]:
    """All pairs of answers of an item, or as many as are enough; who is taken for the truth is drawn."""
    every = list(combinations([one.value for one in answers], 2))
    if len(every) > PAIRS_OF_ITEM:
        every = [every[at] for at in sorted(rng.choice(len(every), PAIRS_OF_ITEM, replace=False).tolist())]
    turned = rng.random(len(every)) < 0.5  # noqa: PLR2004
    return [(two, one) if turn else (one, two) for (one, two), turn in zip(every, turned, strict=True)]


def _by_chance(
    several: Sequence[Sequence[Given[Any]]], kind: Kind[Any], rng: np.random.Generator
) -> tuple[Ints, Ints, Floats]:
    """Pairs of answers to different items, drawn evenly over answers, and how far they are apart."""
    place = np.repeat(np.arange(len(several)), [len(answers) for answers in several])
    flat = [one.value for answers in several for one in answers]
    one, two = rng.integers(0, len(flat), size=(2, DRAWN))
    kept = place[one] != place[two]
    one, two = one[kept], two[kept]
    apart = np.array([kind.distance(flat[a], flat[b]) for a, b in zip(one.tolist(), two.tolist(), strict=True)])
    return place[one].astype(np.int32), place[two].astype(np.int32), apart


def _alpha(weights: Floats, within: Floats, sizes: Floats, chance: tuple[Ints, Ints, Floats]) -> Floats:
    left, right, apart = chance
    seen = (weights @ (within * sizes)) / (weights @ sizes)
    both = weights[:, left] * weights[:, right]
    mass = both.sum(axis=1)
    wanted = (both @ apart) / np.maximum(mass, 1e-300) if len(apart) else np.zeros(len(weights))
    found: Floats = np.where(wanted > 0.0, 1.0 - seen / np.maximum(wanted, 1e-300), np.nan)
    return found


def _interval(value: float, drawn: Floats) -> Interval | None:
    known = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(known):
        return None
    low, high = np.percentile(known, PERCENTILES)
    return float(low), float(high)
