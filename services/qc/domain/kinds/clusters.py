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
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from services.qc.domain.answers import Bools, Floats, Ints, Whole

E = TypeVar("E")
SAME_CLASS = 0.2
ROUNDS = 4
DENSE = 100_000
"""Cells of a table of scores above which the assignment looks at the allowed ones alone."""


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


@dataclass(frozen=True, slots=True)
class Alike:
    """The pairs of an item's objects that have anything in common, each once.

    Attributes:
        at, to: (pairs,); indices of the objects, at < to.
        share: (pairs,); how alike they are, more than 0.
    """

    at: Ints
    to: Ints
    share: Floats


class Geometry(Protocol[E]):
    """What the engine needs to know about extents."""

    @property
    def least(self) -> float:
        """Two objects of less similarity are never one."""
        ...

    def similarity(self, left: Sequence[E], right: Sequence[E]) -> Floats:
        """From 0 to 1 for each pair; (left, right). Neither is empty."""
        ...

    def likeness(self, extents: Sequence[E]) -> Alike:
        """The similarity of all with each other, near enough to cluster by; what is far below `least` may lack."""
        ...

    def fuse(self, extents: Sequence[E], weights: Floats) -> E:
        """One extent of one or more; weights (extents,) are positive."""
        ...

    def fuse_all(self, groups: Sequence[Sequence[E]], weights: Sequence[Floats]) -> Sequence[E]:
        """One extent of each group, as `fuse`, all objects of an item in one go; no group is empty."""
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
        pairs: (2, pairs); of objects of one cluster that have anything in common.
        alike: (pairs,); their similarity.
    """

    objects: tuple[Drawn[E], ...]
    owner: Ints
    cluster: Ints
    number: int
    likeness: Floats
    pairs: Ints
    alike: Floats


def match(scores: Floats, allowed: Bools) -> tuple[Ints, Ints]:
    """Rows and columns of the assignment with the largest sum of scores, none negative, among allowed pairs."""
    if scores.size > DENSE:
        at, to = np.divmod(np.flatnonzero(allowed.ravel()), scores.shape[1])
        return match_pairs(at, to, scores[at, to], scores.shape)
    rows, columns = linear_sum_assignment(np.where(allowed, scores, 0.0), maximize=True)
    kept = allowed[rows, columns]
    return rows[kept].astype(np.int32), columns[kept].astype(np.int32)


def match_pairs(at: Whole, to: Whole, scores: Floats, shape: tuple[int, int]) -> tuple[Ints, Ints]:
    """As `match`, of allowed pairs alone: by shortest paths from pair to pair (Jonker & Volgenant 1987).

    Args:
        at: (pairs,); rows.
        to: (pairs,); columns; no pair twice.
        scores: (pairs,); none negative.
        shape: of rows and columns.
    """
    if shape[0] * shape[1] <= DENSE:
        table, allowed = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
        table[at, to], allowed[at, to] = scores, True
        return match(table, allowed)
    alone = np.arange(shape[0])  # each row may have a column of its own, which is none
    cells = np.concatenate([at, alone]), np.concatenate([to, shape[1] + alone])
    table = coo_array((np.concatenate([scores + 1.0, np.ones(shape[0])]), cells), shape=(shape[0], sum(shape)))
    rows, columns = min_weight_full_bipartite_matching(table.tocsr(), maximize=True)
    kept = columns < shape[1]
    return rows[kept].astype(np.int32), columns[kept].astype(np.int32)


def likeness_of(answers: Sequence[Answer[E]], geometry: Geometry[E]) -> Alike:
    """How alike all objects of an item are, in the order of its answers; see `Geometry.likeness`."""
    extents = [each.extent for answer in answers for each in answer.objects]
    nobody = np.zeros(0, dtype=np.int32)
    return geometry.likeness(extents) if extents else Alike(nobody, nobody, np.zeros(0))


def cluster(
    answers: Sequence[Answer[E]],
    geometry: Geometry[E],
    weights: Sequence[float] | None = None,
    likeness: Alike | None = None,
) -> Clusters[E]:
    """Cluster the objects of one item.

    Args:
        answers: at most one by an annotator.
        geometry: of the extents.
        weights: of the answers; those with more are placed first. Absent: those with more objects.
        likeness: as `likeness_of` gives, where it is known.
    """
    objects = tuple(each for answer in answers for each in answer.objects)
    sizes = [len(answer.objects) for answer in answers]
    owner = np.repeat(np.arange(len(answers), dtype=np.int32), sizes)
    total = len(objects)
    if not total:
        nobody = np.zeros(0, dtype=np.int32)
        return Clusters((), owner, nobody, 0, np.zeros(0), np.zeros((2, 0), dtype=np.int32), np.zeros(0))
    likeness = likeness_of(answers, geometry) if likeness is None else likeness
    index: dict[str, int] = {}
    names = np.array([index.setdefault(each.label, len(index)) for each in objects], dtype=np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rank = sizes if weights is None else weights
    order = sorted((place for place, size in enumerate(sizes) if size), key=lambda place: (-rank[place], place))
    found = _Assignment(likeness, names, owner, geometry.least)
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
    return Clusters(objects, owner, *found.numbered(), *found.pairs())


class _Assignment:
    """Objects in clusters. Most pairs have nothing in common, so only those that do are looked at."""

    def __init__(self, likeness: Alike, names: Ints, owner: Ints, least: float) -> None:
        total = len(names)
        self.cluster = np.full(total, -1, dtype=np.int32)
        self.size = np.zeros(total)
        self._names, self._least = names, least
        self._classes = np.zeros((total, int(names.max()) + 1))  # objects by cluster and class
        other = (owner[likeness.at] != owner[likeness.to]) & (likeness.share > 0.0)
        one, two, share = likeness.at[other], likeness.to[other], likeness.share[other]
        at, to = np.concatenate([one, two]), np.concatenate([two, one])
        order = np.argsort(at.astype(np.int64) * total + to)
        self._at, self._to = at[order], to[order]
        self._alike = np.concatenate([share, share])[order]
        self._starts = np.searchsorted(self._at, np.arange(total + 1))

    def place(self, rows: Ints) -> None:
        """Put an annotator's objects into the clusters that suit them best, or into new ones."""
        taken = np.full(len(rows), -1, dtype=np.int32)
        near, row, mean = self._means(rows)
        if len(near):
            first = np.diff(near, prepend=-1) > 0
            used, place = near[first], np.cumsum(first) - 1
            scores = mean + SAME_CLASS * self._classes[near, self._names[rows[row]]] / self.size[near]
            to, at = match_pairs(place, row, scores, (len(used), len(rows)))
            taken[at] = used[to]
        new = taken < 0
        taken[new] = np.flatnonzero(self.size == 0)[: int(new.sum())]
        self._count(rows, taken, 1.0)
        self.cluster[rows] = taken

    def _means(self, rows: Ints) -> tuple[Ints, Ints, Floats]:
        """Clusters, places among an annotator's objects, and the mean similarity of those that are alike enough."""
        part = slice(self._starts[rows[0]], self._starts[rows[-1] + 1])
        cluster_ = self.cluster[self._to[part]]
        there = cluster_ >= 0
        cell = cluster_[there].astype(np.int64) * len(rows) + (self._at[part][there] - rows[0])
        cell, alike = _sums(cell, self._alike[part][there], len(self.size) * len(rows))
        near, row = np.divmod(cell, len(rows))
        mean = alike / self.size[near]
        enough = mean >= self._least
        return near[enough], row[enough], mean[enough]

    def take(self, rows: Ints) -> None:
        """Take an annotator's objects out again."""
        self._count(rows, self.cluster[rows], -1.0)
        self.cluster[rows] = -1

    def _count(self, rows: Ints, clusters: Ints, sign: float) -> None:
        self.size[clusters] += sign
        self._classes[clusters, self._names[rows]] += sign

    def numbered(self) -> tuple[Ints, int, Floats]:
        """Clusters by their first object, how many there are, and each object's mean similarity with the others."""
        _, first, place = np.unique(self.cluster, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))
        others = self.size[self.cluster] - 1.0
        together = self.cluster[self._at] == self.cluster[self._to]
        sums = np.bincount(self._at[together], self._alike[together], minlength=len(self.cluster))
        likeness = np.where(others > 0, sums / np.maximum(others, 1.0), np.nan)
        return rank[place].astype(np.int32), len(first), likeness

    def pairs(self) -> tuple[Ints, Floats]:
        """The pairs of objects of one cluster, each once, and how alike they are."""
        kept = (self._at < self._to) & (self.cluster[self._at] == self.cluster[self._to])
        return np.stack([self._at[kept], self._to[kept]]).astype(np.int32), self._alike[kept]


def _sums(cell: Whole, values: Floats, cells: int) -> tuple[Whole, Floats]:
    """The cells of a table that anything is in, in order, and the sums there; values are positive."""
    if cells <= DENSE:
        table = np.bincount(cell, values).astype(np.float64)
        held: Whole = np.flatnonzero(table)
        return held, table[held]
    held, which = np.unique(cell, return_inverse=True)
    return held, np.bincount(which, values, minlength=len(held)).astype(np.float64)
