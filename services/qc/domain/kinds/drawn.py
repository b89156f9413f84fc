"""Kinds whose labels are lists of objects with an extent and a class: all but the extents is the same for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.certainty import certainty
from services.qc.domain.kinds.clusters import match
from services.qc.domain.kinds.kind import Fusion, Given, Items, Label, f1_of
from services.qc.domain.kinds.measures import Measure, detected, over
from services.qc.domain.kinds.objects import Answer, Drawn, Fused, Geometry, Skill, majority, resolve

V = TypeVar("V")
E = TypeVar("E")
RIGHT = 0.5
ROUND = 4


@dataclass(frozen=True)
class Drawings(Generic[V, E]):
    """A kind of objects.

    Attributes:
        geometry: of the extents.
        read: the objects of a value.
        write: the value of objects; the second argument holds the values that were fused, for what all share.
        tell: an extent as JSON.
    """

    geometry: Geometry[E]
    read: Callable[[V], Sequence[Drawn[E]]]
    write: Callable[[Sequence[Drawn[E]], Sequence[V]], V]
    tell: Callable[[E], Any]

    def answers(self, given: Sequence[Given[V]]) -> list[Answer[E]]:
        return [Answer(one.annotator, tuple(self.read(one.value))) for one in given]

    def fuse(self, items: Items[V]) -> Fusion[V]:
        """Learn the crowd from all items, then fuse each."""
        every = {task: self.answers(given) for task, given in items.items()}
        crowd, found = resolve(list(every.values()), self.geometry)
        labels = {
            task: self._label(fused, [one.value for one in items[task]])
            for task, fused in zip(every, found, strict=True)
        }
        skills = {who: told(skill) for who, skill in crowd.people.items()}
        return Fusion(labels, skills, {who: certainty(skill) for who, skill in crowd.people.items()})

    def _label(self, fused: Fused[E], values: Sequence[V]) -> Label[V]:
        kept = [Drawn(each.extent, each.label) for each in fused.kept]
        parts = tuple(
            {
                "extent": self.tell(each.extent), "label": each.label, "posterior": round(each.posterior, ROUND),
                "existence": round(each.existence, ROUND), "votes": each.votes, "kept": each.kept,
                "classes": {name: round(share, ROUND) for name, share in each.classes.items()},
                "likeness": round(each.likeness, ROUND),
            }
            for each in fused.objects
        )  # fmt: skip
        sure = float(np.prod([each.posterior if each.kept else 1.0 - each.existence for each in fused.objects]))
        return Label(self.write(kept, values), sure * float(np.exp(-fused.unseen)), fused.wrong, parts)

    def majority(self, given: Sequence[Given[V]]) -> V:
        """What more than half drew."""
        return self.write(majority(self.answers(given), self.geometry), [one.value for one in given])

    def matched(self, found: V, true: V) -> tuple[Floats, int, int]:
        """Similarities of the best assignment of objects of one class, and how many objects each side has."""
        one, two = self.read(found), self.read(true)
        if not one or not two:
            return np.zeros(0), len(one), len(two)
        scores = self.geometry.similarity([each.extent for each in one], [each.extent for each in two])
        _, names = np.unique([each.label for each in (*one, *two)], return_inverse=True)
        same = names[: len(one), None] == names[None, len(one) :]
        rows, columns = match(scores + (scores >= RIGHT), same & (scores > 0.0))
        return scores[rows, columns], len(one), len(two)

    @property
    def measure(self) -> Measure[V]:
        """Figures of found and true values.

        `mean_iou`: over the true objects, of those of one class that they are matched with; a missed one has none.
        `quality`: the same over all that is found or true. `f1`: objects that are right at a similarity of .5.
        """
        return Measure(4, self._tally, _figures)

    def _tally(self, found: V, true: V) -> tuple[float, ...]:
        scores, ours, theirs = self.matched(found, true)
        return float((scores >= RIGHT).sum()), ours, theirs, float(scores.sum())

    def distance(self, left: V, right: V) -> float:
        """1 less the mean similarity of matched objects of one class; 0 for two empty values."""
        scores, ours, theirs = self.matched(left, right)
        return 1.0 - f1_of(float(scores.sum()), ours, theirs)


def told(skill: Skill) -> dict[str, float]:
    """An annotator's skill as numbers for people to read."""
    return {
        "detection": skill.detection,
        "false": skill.false,
        "class": skill.accuracy,
        "extent": 1.0 - skill.off,
        "objects": float(skill.objects),
    }


def _figures(sums: Floats) -> dict[str, Floats]:
    shared = {"mean_iou": over(sums[..., 3], sums[..., 2])}
    return shared | {"quality": over(2.0 * sums[..., 3], sums[..., 1] + sums[..., 2])} | detected(sums)
