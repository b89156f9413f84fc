"""Which objects of several answers are one and the same: clusters with at most one object of each annotator.

Annotators come one after the other; each one's objects are matched with the clusters so far by the assignment that
has most similarity in all (Hungarian method), then everyone is matched anew with the clusters of the others, until
nothing moves. An object that resembles no cluster enough starts one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from services.qc.domain.answers import Bools, Floats, Ints

E = TypeVar("E")
SAME_CLASS = 0.2
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Drawn(Generic[E]):
    """One object as one annotator gave it: where it is, and its class."""

    extent: E
    label: str


@dataclass(frozen=True, slots=True)
class Answer(Generic[E]):
    """All objects that one annotator gave of one item; none is an answer, too."""

    annotator: str
    objects: tuple[Drawn[E], ...]


class Geometry(Protocol[E]):
    """What the engine needs to know about extents."""

    @property
    def least(self) -> float:
        """Two objects of less similarity are never one."""
        ...

    def similarity(self, left: Sequence[E], right: Sequence[E]) -> Floats:
        """From 0 to 1 for each pair; (left, right). Neither is empty."""
        ...

    def fuse(self, extents: Sequence[E], weights: Floats) -> E:
        """One extent of one or more; weights (extents,) are positive."""
        ...


@dataclass(frozen=True)
class Clusters(Generic[E]):
    """The objects of an item, flat, in the order of its answers, and where they belong.

    Attributes:
        objects: all of them.
        owner: (objects,); index of the answer.
        cluster: (objects,); index of the cluster; clusters are numbered by their first object.
        number: of clusters.
        likeness: (objects,); mean similarity with the others of its cluster, NaN where there are none.
    """

    objects: tuple[Drawn[E], ...]
    owner: Ints
    cluster: Ints
    number: int
    likeness: Floats


def match(scores: Floats, allowed: Bools) -> tuple[Ints, Ints]:
    """Rows and columns of the assignment with the largest sum of scores among allowed pairs."""
    rows, columns = linear_sum_assignment(np.where(allowed, scores, 0.0), maximize=True)
    kept = allowed[rows, columns]
    return rows[kept].astype(np.int32), columns[kept].astype(np.int32)


def cluster(answers: Sequence[Answer[E]], geometry: Geometry[E], weights: Sequence[float] | None = None) -> Clusters[E]:
    """Cluster the objects of one item.

    Args:
        answers: at most one by an annotator.
        geometry: of the extents.
        weights: of the answers; those with more are placed first. Absent: those with more objects.
    """
    objects = tuple(each for answer in answers for each in answer.objects)
    sizes = [len(answer.objects) for answer in answers]
    owner = np.repeat(np.arange(len(answers), dtype=np.int32), sizes)
    total = len(objects)
    if not total:
        return Clusters((), owner, np.zeros(0, dtype=np.int32), 0, np.zeros(0))
    extents = [each.extent for each in objects]
    likeness = geometry.similarity(extents, extents)
    _, names = np.unique([each.label for each in objects], return_inverse=True)
    same = names[:, None] == names[None, :]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rank = sizes if weights is None else weights
    order = sorted((place for place, size in enumerate(sizes) if size), key=lambda place: (-rank[place], place))
    found = _Assignment(likeness, SAME_CLASS * same, geometry.least)
    mine = [np.arange(starts[place], starts[place + 1]) for place in order]
    for rows in mine:
        found.place(rows)
    for _ in range(ROUNDS):
        before = found.cluster.copy()
        for rows in mine:
            found.take(rows)
            found.place(rows)
        if np.array_equal(before, found.cluster):
            break
    return Clusters(objects, owner, *found.numbered())


class _Assignment:
    """Objects in clusters, with the similarity of every object to every cluster kept up to date."""

    def __init__(self, likeness: Floats, bonus: Floats, least: float) -> None:
        total = len(likeness)
        self.cluster = np.full(total, -1, dtype=np.int32)
        self.size = np.zeros(total)
        self._likeness, self._bonus, self._least = likeness, bonus, least
        self._sums, self._bonuses = np.zeros((total, total)), np.zeros((total, total))
        self._ever = 0

    def place(self, rows: Ints) -> None:
        """Put an annotator's objects into the clusters that suit them best, or into new ones."""
        used = np.nonzero(self.size[: self._ever])[0]
        taken = np.full(len(rows), -1, dtype=np.int32)
        if len(used):
            low, high, size = rows[0], rows[-1] + 1, self.size[used, None]
            mean = self._sums[: self._ever, low:high][used] / size
            scores = mean + self._bonuses[: self._ever, low:high][used] / size
            to, at = match(scores, mean >= self._least)
            taken[at] = used[to]
        empty = iter(np.nonzero(self.size == 0)[0])
        for place in np.nonzero(taken < 0)[0]:
            taken[place] = next(empty)
        self._ever = max(self._ever, int(taken.max()) + 1)
        self._add(rows, taken, 1.0)
        self.cluster[rows] = taken

    def take(self, rows: Ints) -> None:
        """Take an annotator's objects out again."""
        self._add(rows, self.cluster[rows], -1.0)

    def _add(self, rows: Ints, clusters: Ints, sign: float) -> None:
        self.size[clusters] += sign
        self._sums[clusters] += sign * self._likeness[rows]
        self._bonuses[clusters] += sign * self._bonus[rows]
        emptied = clusters[self.size[clusters] == 0]
        self._sums[emptied] = 0.0
        self._bonuses[emptied] = 0.0

    def numbered(self) -> tuple[Ints, int, Floats]:
        """Clusters by their first object, how many there are, and each object's mean similarity with the others."""
        _, first, place = np.unique(self.cluster, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))
        each = np.arange(len(self.cluster))
        others = self.size[self.cluster] - 1.0
        sums = self._sums[self.cluster, each] - self._likeness[each, each]
        likeness = np.where(others > 0, sums / np.maximum(others, 1.0), np.nan)
        return rank[place].astype(np.int32), len(first), likeness
