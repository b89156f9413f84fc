"""Generated annotators with stated noise: misses, false objects, jitter, wrong classes, one in five careless."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from services.qc.domain.kinds.intervals import Interval
from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.objects import Answer, Drawn
from shared.labels import Segment, Segments

CLASSES = ("speech", "music", "noise")


@dataclass(frozen=True, slots=True)
class Settings:
    """What people are like; the careless in the second place of each pair.

    Attributes:
        detection: P(draws a real object).
        false: mean number of false objects in an answer.
        right: P(names the class).
        jitter: standard deviation of each end, in shares of the object's length.
    """

    items: int = 300
    people: int = 20
    objects: float = 6.0
    detection: tuple[float, float] = (0.85, 0.5)
    false: tuple[float, float] = (0.4, 1.5)
    right: tuple[float, float] = (0.92, 0.6)
    jitter: tuple[float, float] = (0.05, 0.15)


def _truth(rng: np.random.Generator, objects: float) -> list[tuple[float, float, str]]:
    found, at = [], 0.0
    for _ in range(rng.poisson(objects)):
        at += rng.uniform(1.0, 12.0)
        length = rng.uniform(2.0, 8.0)
        found.append((at, at + length, CLASSES[rng.integers(len(CLASSES))]))
        at += length
    return found


def _answer(
    truth: list[tuple[float, float, str]], rng: np.random.Generator, settings: Settings, *, careless: bool
) -> list[tuple[float, float, str]]:
    sort = int(careless)
    found = []
    for start, end, label in truth:
        if rng.random() < settings.detection[sort]:
            low, high = np.array([start, end]) + rng.normal(0.0, settings.jitter[sort] * (end - start), 2)
            name = label if rng.random() < settings.right[sort] else CLASSES[rng.integers(len(CLASSES))]
            found.append((max(low, 0.0), max(high, low + 0.1, 0.1), name))
    for _ in range(rng.poisson(settings.false[sort])):
        start = rng.uniform(0.0, 80.0)
        found.append((start, start + rng.uniform(2.0, 8.0), CLASSES[rng.integers(len(CLASSES))]))
    return found


def _value(found: list[tuple[float, float, str]]) -> Segments:
    return Segments(segments=tuple(Segment(start=start, end=end, label=label) for start, end, label in found))


def segments(
    opinions: int, settings: Settings, seed: int | list[int]
) -> tuple[dict[str, list[Given[Any]]], dict[str, Segments]]:
    """Items with so many opinions each, and their truth."""
    rng = np.random.default_rng(seed)
    items: dict[str, list[Given[Any]]] = {}
    truth: dict[str, Segments] = {}
    for item in range(settings.items):
        real = _truth(rng, settings.objects)
        truth[f"t{item}"] = _value(real)
        items[f"t{item}"] = [
            Given(f"p{who}", _value(_answer(real, rng, settings, careless=who % 5 == 4)))
            for who in rng.choice(settings.people, opinions, replace=False)
        ]
    return items, truth


def item_of_many(opinions: int, objects: int, seed: int) -> list[Answer[Interval]]:
    """One item where everybody gives so many objects."""
    rng = np.random.default_rng(seed)
    starts = np.sort(rng.uniform(0.0, 20.0 * objects, objects))
    lengths = rng.uniform(4.0, 16.0, objects)
    return [
        Answer(
            f"p{who}",
            tuple(
                Drawn((float(start + rng.normal(0, 0.5)), float(start + length + rng.normal(0, 0.5))), CLASSES[at % 3])
                for at, (start, length) in enumerate(zip(starts, lengths, strict=True))
            ),
        )
        for who in range(opinions)
    ]
