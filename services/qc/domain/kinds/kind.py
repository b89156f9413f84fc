"""What a kind of label brings: how it is read, fused, compared and measured. `registry` lists the kinds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Given(Generic[V]):
    """What one annotator answered to an item."""

    annotator: str
    value: V


Items = Mapping[str, Sequence[Given[V]]]
"""Task -> its answers, at most one by an annotator."""


@dataclass(frozen=True, slots=True)
class Label(Generic[V]):
    """The consensus of an item.

    Attributes:
        value: fused.
        posterior: how sure it is, from 0 to 1: of objects the chance that none is wrong, of words the mean chance.
        wrong: expected number of wrong objects, or words: the more, the more another opinion is worth.
        parts: what is known of each object or word, ready for JSON; objects that were not kept among them.
    """

    value: V
    posterior: float
    wrong: float
    parts: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Fusion(Generic[V]):
    """All labels, and what was learned about people.

    Attributes:
        labels: by task.
        skills: annotator -> name of the skill -> number.
        intervals: annotator -> name of the skill -> 95 % of it.
    """

    labels: Mapping[str, Label[V]]
    skills: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)

    def told(self) -> dict[str, dict[str, Any]]:
        """The skills of each annotator with their intervals, ready for JSON."""
        return {who: {**own, "intervals": dict(self.intervals.get(who, {}))} for who, own in self.skills.items()}


@dataclass(frozen=True, slots=True)
class Kind(Generic[V]):
    """One kind of label.

    Attributes:
        name: as in the label union.
        parse: the value of JSON, or of a bare text; raises ValueError with what is wrong and where.
        encode: the value as JSON, which `parse` takes.
        fuse: the consensus of all items.
        majority: the simple consensus of one item's answers, everybody alike; None where the kind has none.
        measure: figures of (found, true) values over all items; the headline's first.
        headline: f1, wer, mean_iou, accuracy or mae.
        distance: from 0, the same, to 1.
        units: a value as stretches of a line with a class, for kinds that lie on one; for the unitizing alpha.
    """

    name: str
    parse: Callable[[Any], V]
    encode: Callable[[V], Any]
    fuse: Callable[[Items[V]], Fusion[V]]
    majority: Callable[[Sequence[Given[V]]], V] | None
    measure: Callable[[Sequence[tuple[V, V]]], dict[str, float]]
    headline: str
    distance: Callable[[V, V], float]
    units: Callable[[V], Sequence[tuple[float, float, str]]] | None = None


def medoid(answers: Sequence[Given[V]], distance: Callable[[V, V], float]) -> V:
    """The answer that is nearest to all others; of equals the first."""
    sums = [sum(distance(one.value, other.value) for other in answers) for one in answers]
    return answers[int(np.argmin(sums))].value


def f1_of(right: float, found: float, true: float) -> float:
    """Harmonic mean of precision and recall; 1 where there was nothing to find and nothing was found."""
    return 2.0 * right / (found + true) if found + true else 1.0
