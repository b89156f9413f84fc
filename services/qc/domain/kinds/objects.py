"""Consensus over objects: boxes, spans, segments and all else that has an extent and a class.

`learn` reads a crowd off all items: each annotator's detection, false objects, classes and extents. `fuse` turns the
answers to one item into objects with a posterior for existence and class and one extent each. An object that one person
alone saw stays, with its posterior: it is a question. An annotator whom nobody knows is the crowd.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np

from services.qc.domain.answers import Floats, Ints, answers_of
from services.qc.domain.em import fit as fit_classes
from services.qc.domain.em import softmax
from services.qc.domain.kinds import apart
from services.qc.domain.kinds.apart import OFF, OWN_EXTENTS
from services.qc.domain.kinds.clusters import Alike, Answer, Clusters, Drawn, Geometry, cluster, likeness_of
from services.qc.domain.kinds.presence import Anchors, Candidates, Rates
from services.qc.domain.kinds.presence import fit as fit_presence
from services.qc.domain.rows import TINY, Priors, columns

__all__ = [
    "OFF", "OWN_EXTENTS", "Answer", "Crowd", "Drawn", "Fused", "Geometry", "Object", "Skill", "best_labels", "fuse",
    "learn", "majority", "resolve",
]  # fmt: skip

E = TypeVar("E")
KEPT = 0.5
SHARPEST = 0.02
AT_MOST = 10_000_000
"""Pairs of objects whose similarities are kept between learning and fusing."""
WORTH_TELLING = 1e-4


@dataclass(frozen=True, slots=True)
class Skill:
    """What an annotator is like.

    Attributes:
        detection: P(marks an object | it is real).
        false: P(marks what somebody took for an object | it is none).
        accuracy: P(the right class | marks it).
        off: mean of 1 - similarity to what others draw of the same object.
        objects, answers: given.
        spread: how much of that distance is their own: its root mean square, were the others' extents exact.
        seen, lures: expected number of real objects, and of what only looked like one, in what they answered.
        off_error: standard error of `off`.
    """

    detection: float
    false: float
    accuracy: float
    off: float
    objects: int = 0
    answers: int = 0
    spread: float = 0.0
    seen: float = 0.0
    lures: float = 0.0
    off_error: float = 0.0


@dataclass(frozen=True)
class Crowd:
    """Everybody's parameters, learned from all items.

    Attributes:
        people: by annotator; typical: of anyone else.
        classes: sorted; class_share: (classes,).
        columns: annotator -> (answered, truth), P(class given | class); typical_columns: of anyone else.
        density: expected number of real, hard and false things in an item.
    """

    people: Mapping[str, Skill]
    typical: Skill
    classes: tuple[str, ...]
    class_share: Floats
    columns: Mapping[str, Floats]
    typical_columns: Floats
    density: tuple[float, float, float]

    def skill(self, annotator: str) -> Skill:
        return self.people.get(annotator, self.typical)


@dataclass(frozen=True, slots=True)
class Object(Generic[E]):
    """One object of several answers.

    Attributes:
        extent: fused.
        label: its likeliest class.
        existence: P(it is real).
        classes: P(class | it is real), of the classes that have any share worth telling.
        votes: annotators who drew it; drawn: index of the answer -> what was drawn.
        likeness: mean similarity of what was drawn; 1 where one alone drew it.
        kept: whether it is part of the item's label.
    """

    extent: E
    label: str
    existence: float
    classes: Mapping[str, float]
    drawn: Mapping[int, Drawn[E]]
    likeness: float
    kept: bool

    @property
    def votes(self) -> int:
        return len(self.drawn)

    @property
    def posterior(self) -> float:
        """P(it is real, and of this class)."""
        return self.existence * self.classes.get(self.label, 1.0)


@dataclass(frozen=True, slots=True)
class Fused(Generic[E]):
    """The label of an item.

    Attributes:
        objects: every candidate, the likeliest first.
        unseen: expected number of real objects that nobody drew.
        wrong: expected number of wrong objects: kept ones that are not so, others that are, and those unseen.
    """

    objects: tuple[Object[E], ...] = ()
    unseen: float = 0.0
    wrong: float = field(default=0.0)

    @property
    def kept(self) -> tuple[Object[E], ...]:
        return tuple(each for each in self.objects if each.kept)


def learn(
    items: Sequence[Sequence[Answer[E]]],
    geometry: Geometry[E],
    *,
    anchors: Anchors | None = None,
    likeness: Sequence[Alike | None] | None = None,
) -> Crowd:
    """Learn the crowd from the answers to many items.

    Args:
        items: the answers to each, at most one by an annotator.
        geometry: of the extents.
        anchors: absent: the defaults.
        likeness: of each item, as `clusters.likeness_of` gives, where it is known.
    """
    names = sorted({answer.annotator for item in items for answer in item})
    place = {name: index for index, name in enumerate(names)}
    known = likeness or [None] * len(items)
    clustered = [cluster(item, geometry, likeness=each) for item, each in zip(items, known, strict=True)]
    candidates = _candidates(items, clustered, place)
    presence = fit_presence(candidates, anchors)
    classes, share, own, typical = _classes(items, clustered, place)
    people = [np.array([place[answer.annotator] for answer in item], dtype=np.int32) for item in items]
    off, error, crowd_off = apart.off(clustered, people, presence.posterior, len(names))
    spread, crowd_spread = apart.spread(clustered, people, presence.posterior, len(names))
    objects, answers = np.zeros((2, len(names)), dtype=np.int64)
    for item in items:
        for answer in item:
            objects[place[answer.annotator]] += len(answer.objects)
            answers[place[answer.annotator]] += 1
    real = presence.posterior[candidates.cluster]
    seen, lures = (np.bincount(candidates.annotator, each, minlength=len(names)) for each in (real, 1.0 - real))
    right = np.einsum("akk,k->a", own, share) if classes else np.full(len(names), Priors().accuracy)
    skills = {
        name: Skill(
            float(presence.rates.detection[i]), float(presence.rates.false[i]), float(right[i]), float(off[i]),
            int(objects[i]), int(answers[i]), float(spread[i]), float(seen[i]), float(lures[i]), float(error[i]),
        )
        for i, name in enumerate(names)
    }  # fmt: skip
    accuracy = float(np.diag(typical) @ share) if classes else Priors().accuracy
    common = Skill(*presence.crowd, accuracy, crowd_off, spread=crowd_spread)
    own_columns = {name: own[i] for i, name in enumerate(names)}
    return Crowd(skills, common, classes, share, own_columns, typical, presence.rates.density)


def resolve(items: Sequence[Sequence[Answer[E]]], geometry: Geometry[E]) -> tuple[Crowd, list[Fused[E]]]:
    """Learn the crowd from all items, then fuse each into the `best_labels`.

    Objects are compared once as far as memory allows.
    """
    pairs, likeness = 0, list[Alike | None]()
    for item in items:
        known = likeness_of(item, geometry) if pairs <= AT_MOST else None
        pairs += 0 if known is None else len(known.at)
        likeness.append(known)
    crowd = learn(items, geometry, likeness=likeness)
    found = [fuse(item, geometry, crowd, each) for item, each in zip(items, likeness, strict=True)]
    return crowd, best_labels(found)


def _candidates(
    items: Sequence[Sequence[Answer[E]]], clustered: Sequence[Clusters[E]], place: Mapping[str, int]
) -> Candidates:
    clusters = 0
    pairs: list[tuple[int, int, bool]] = []
    seats: list[tuple[int, int]] = []
    for number, (item, found) in enumerate(zip(items, clustered, strict=True)):
        people = [place[answer.annotator] for answer in item]
        seats.extend((number, one) for one in people)
        drawn = np.zeros((found.number, len(item)), dtype=np.bool_)
        drawn[found.cluster, found.owner] = True
        for row in drawn.tolist():
            pairs.extend((clusters, one, mark) for one, mark in zip(people, row, strict=True))
            clusters += 1
    pair = np.array(pairs, dtype=np.int32).reshape(-1, 3)
    seat = np.array(seats, dtype=np.int32).reshape(-1, 2)
    return Candidates(
        len(items), clusters, len(place), pair[:, 0], pair[:, 1], pair[:, 2].astype(np.bool_), seat[:, 0], seat[:, 1]
    )  # fmt: skip


def _classes(
    items: Sequence[Sequence[Answer[E]]], clustered: Sequence[Clusters[E]], place: Mapping[str, int]
) -> tuple[tuple[str, ...], Floats, Floats, Floats]:
    """The classes, their shares, and everybody's columns, by the two-level model of single choices over clusters."""
    classes = tuple(sorted({each.label for item in items for answer in item for each in answer.objects}))
    if not classes:
        return (), np.zeros(0), np.zeros((len(place), 0, 0)), np.zeros((0, 0))
    index = {name: number for number, name in enumerate(classes)}
    triples: list[tuple[int, int, int]] = []
    total = 0
    for item, found in zip(items, clustered, strict=True):
        people = [place[answer.annotator] for answer in item]
        triples.extend(
            (total + int(at), people[int(owner)], index[each.label])
            for each, owner, at in zip(found.objects, found.owner, found.cluster, strict=True)
        )
        total += found.number
    flat = np.array(triples, dtype=np.int32).reshape(-1, 3)
    fitted = fit_classes(answers_of(flat[:, 0], flat[:, 1], flat[:, 2], (total, len(place), len(classes))))
    own = columns(fitted.counts, fitted.expected(), fitted.priors.row_answers)
    nobody = np.zeros((1, len(classes), len(classes)))
    typical = fitted.expect(nobody, fitted.priors, fitted.counts.sum(axis=0))[0]
    share = fitted.mass + fitted.priors.class_items
    return classes, share / share.sum(), own, typical


def fuse(answers: Sequence[Answer[E]], geometry: Geometry[E], crowd: Crowd, likeness: Alike | None = None) -> Fused[E]:
    """Fuse the answers to one item.

    Args:
        answers: at most one by an annotator; without any, all is unseen.
        geometry: of the extents.
        crowd: as learned.
        likeness: as `clusters.likeness_of` gives, where it is known.
    """
    people = [crowd.skill(answer.annotator) for answer in answers]
    rates = Rates(
        np.array([each.detection for each in people]),
        np.array([each.false for each in people]),
        crowd.density,
    )
    found = cluster(answers, geometry, [each.detection - each.off for each in people], likeness)
    drawn = np.zeros((found.number, len(answers)), dtype=np.bool_)
    drawn[found.cluster, found.owner] = True
    existence = rates.existence(drawn)
    precision = np.array([1.0 / max(each.spread or each.off, SHARPEST) for each in people])
    members = _rows(found)
    extents, labels = _extents(found, members, geometry, precision), _labels(answers, found, members, crowd)
    told = zip(members, extents, labels, existence.tolist(), _mean_likeness(found).tolist(), strict=True)
    owner = found.owner.tolist()
    objects = [
        Object(extent, label, real, shares, {owner[row]: found.objects[row] for row in rows}, alike, kept=real >= KEPT)
        for rows, extent, (label, shares), real, alike in told
    ]
    objects.sort(key=lambda each: -each.existence)
    return _judged(objects, rates.unseen(float(existence.sum())))


def _judged(objects: Sequence[Object[E]], unseen: float) -> Fused[E]:
    wrong = sum(1.0 - each.posterior if each.kept else each.existence for each in objects) + unseen
    return Fused(tuple(objects), unseen, wrong)


def best_labels(found: Sequence[Fused[E]]) -> list[Fused[E]]:
    """The same items with the labels whose F1 over all of them is expected to be best.

    A doubtful object belongs to such a label where it is right with at least half the chance that F1 then is (Lipton
    et al. 2014, "Optimal thresholding of classifiers to maximize F1 measure"). What is likely real stays, whatever its
    class.
    """
    posterior = np.sort([each.posterior for one in found for each in one.objects])[::-1]
    if not len(posterior):
        return list(found)
    real = sum(each.existence for one in found for each in one.objects) + sum(one.unseen for one in found)
    least = float((np.cumsum(posterior) / (np.arange(1, len(posterior) + 1) + real)).max())
    return [
        _judged([replace(each, kept=each.kept or each.posterior >= least) for each in one.objects], one.unseen)
        for one in found
    ]


def majority(answers: Sequence[Answer[E]], geometry: Geometry[E]) -> tuple[Drawn[E], ...]:
    """What more than half of the annotators drew, with the commonest class and everybody's extent weighing the same."""
    found = cluster(answers, geometry)
    members = [rows for rows in _rows(found) if 2 * len(rows) > len(answers)]
    kept = []
    for rows, extent in zip(members, _extents(found, members, geometry, np.ones(len(answers))), strict=True):
        given = [found.objects[row].label for row in rows]
        kept.append(Drawn(extent, _most(given)))
    return tuple(kept)


def _extents(found: Clusters[E], members: Sequence[list[int]], geometry: Geometry[E], precision: Floats) -> list[E]:
    """One extent of each cluster; what one alone drew is as they drew it."""
    extents = [found.objects[rows[0]].extent for rows in members]
    several = [at for at, rows in enumerate(members) if len(rows) > 1]
    if several:
        groups = [[found.objects[row].extent for row in members[at]] for at in several]
        weights = [precision[found.owner[members[at]]] for at in several]
        for at, extent in zip(several, geometry.fuse_all(groups, weights), strict=True):
            extents[at] = extent
    return extents


def _rows(found: Clusters[E]) -> list[list[int]]:
    """The objects of each cluster."""
    rows: list[list[int]] = [[] for _ in range(found.number)]
    for row, at in enumerate(found.cluster.tolist()):
        rows[at].append(row)
    return rows


def _mean_likeness(found: Clusters[E]) -> Floats:
    """(clusters,); 1 for an object that one alone drew."""
    sums = np.bincount(found.cluster, np.nan_to_num(found.likeness, nan=1.0), minlength=found.number)
    mean: Floats = sums / np.bincount(found.cluster, minlength=found.number)
    return mean


def _labels(
    answers: Sequence[Answer[E]], found: Clusters[E], members: Sequence[list[int]], crowd: Crowd
) -> list[tuple[str, dict[str, float]]]:
    """Of each cluster the likeliest class and the shares; the class given most where none of them was ever learned."""
    index = {name: number for number, name in enumerate(crowd.classes)}
    symbol = np.array([index.get(each.label, -1) for each in found.objects], dtype=np.int32)
    shares = _class_posteriors(answers, found, crowd, symbol)
    best = shares.argmax(axis=1).tolist() if shares.size else []
    told: list[dict[str, float]] = [{} for _ in members]
    some, which = np.nonzero(shares >= WORTH_TELLING)
    for at, number, share in zip(some.tolist(), which.tolist(), shares[some, which].tolist(), strict=True):
        told[at][crowd.classes[number]] = share
    learned = np.bincount(found.cluster, symbol >= 0, minlength=found.number).tolist()
    return [
        (crowd.classes[best[at]], told[at]) if learned[at] else (_most([found.objects[row].label for row in rows]), {})
        for at, rows in enumerate(members)
    ]


def _class_posteriors(answers: Sequence[Answer[E]], found: Clusters[E], crowd: Crowd, symbol: Ints) -> Floats:
    """(clusters, classes); `symbol` is of the objects, -1 for a class never seen while learning, which says nothing."""
    scores = np.tile(np.log(np.maximum(crowd.class_share, TINY)), (found.number, 1))
    if not scores.size:
        return scores
    given = np.stack([crowd.columns.get(each.annotator, crowd.typical_columns) for each in answers])
    logs, known = np.log(np.maximum(given, TINY)), np.flatnonzero(symbol >= 0)
    np.add.at(scores, found.cluster[known], logs[found.owner[known], symbol[known]])
    return softmax(scores)


def _most(given: Sequence[str]) -> str:
    """The commonest, of equally common ones the first by name."""
    return max(sorted(set(given)), key=given.count)
