"""Whether a cluster of objects is a real object: detection and false objects of each annotator, by EM.

An item has a Poisson number of real objects, of hard ones, and of things that only look like one. Each annotator marks
a real object by their detection rate, a hard one less often by a fixed step on the logit scale, and what is none by
their false rate; the rates are shrunk to the crowd's, which are anchored. That some objects are hard is assumed where
the likelihood gains more by it than chance would give (Schwarz 1978), else few opinions let everything look hard. What
nobody marked is part of the model
(thinned Poisson): a cluster that one of two people saw and one that one of nine saw are different evidence, and the
objects that nobody saw can be counted.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit, logsumexp

from services.qc.domain.answers import Bools, Floats, Ints
from services.qc.domain.em import softmax

STEPS = 200
SETTLED = 1e-4
EDGE = 1e-3
TINY = 1e-12
HARDER = 2.0
LURE = 0.5
"""The crowd marks what is none at most so often as what is real, else the commoner of two sorts of real objects, or
chance among many opinions, passes for false."""
REAL, HARD, FALSE = range(3)


@dataclass(frozen=True, slots=True)
class Anchors:
    """The assumptions before any answer.

    Attributes:
        detection, false: rates of the crowd, and `crowd`, how many objects these are worth.
        own: how many objects the crowd's rate is worth against an annotator's own.
        density: real, hard and false things seen before any, in one item.
    """

    detection: float = 0.8
    false: float = 0.1
    crowd: float = 20.0
    own: float = 8.0
    density: tuple[float, float, float] = (1.0, 0.2, 1.0)


@dataclass(frozen=True)
class Candidates:
    """Every cluster beside everyone who answered its item.

    Attributes:
        items, clusters, annotators: how many there are.
        cluster, annotator: (pairs,); each cluster with each annotator of its item.
        marked: (pairs,); whether the annotator's object is in it.
        seat_item, seat_annotator: (answers,); who answered which item.
    """

    items: int
    clusters: int
    annotators: int
    cluster: Ints
    annotator: Ints
    marked: Bools
    seat_item: Ints
    seat_annotator: Ints


@dataclass(frozen=True)
class Rates:
    """How people mark, and what there is to mark.

    Attributes:
        detection, false: (annotators,); P(mark) of what is real and not hard, and of what is not real.
        density: expected number of real, hard and false things in an item, marked or not.
    """

    detection: Floats
    false: Floats
    density: tuple[float, float, float]

    @property
    def marks(self) -> tuple[Floats, Floats, Floats]:
        """P(mark) of what is real, hard and false; each (annotators,)."""
        return self.detection, harder(self.detection), self.false

    def existence(self, marked: Bools) -> Floats:
        """P(real) of each cluster of one item whose annotators these are; (clusters,).

        Args:
            marked: (clusters, annotators).
        """
        clusters, people = marked.shape
        cluster = np.repeat(np.arange(clusters, dtype=np.int32), people)
        annotator = np.tile(np.arange(people, dtype=np.int32), clusters)
        found: Floats = 1.0 - _shares(self, cluster, annotator, marked.ravel(), clusters)[:, FALSE]
        return found

    def unseen(self, seen: float) -> float:
        """Expected number of real objects that these people did not mark in an item where they marked `seen`.

        An item with many that were seen has more unseen ones, too (Gamma prior of shape 1 on the item's density).
        """
        real = self.density[REAL] + self.density[HARD]
        missed = sum(
            float(np.prod(1.0 - rate)) * self.density[sort] for sort, rate in enumerate(self.marks) if sort != FALSE
        ) / max(real, EDGE)
        return (1.0 + seen) / (1.0 / max(real, EDGE) + 1.0 - missed) * missed


@dataclass(frozen=True)
class Presence:
    """What EM found.

    Attributes:
        posterior: (clusters,); P(the object is real).
        rates: of everybody.
        crowd: detection and false of an unknown annotator.
    """

    posterior: Floats
    rates: Rates
    crowd: tuple[float, float]


def harder(detection: Floats) -> Floats:
    """P(mark) of hard objects, by that of the others."""
    found: Floats = expit(logit(detection) - HARDER)
    return found


def _scores(rates: Rates, cluster: Ints, annotator: Ints, marked: Bools, clusters: int) -> Floats:
    """The log rate of real, hard and false things that are marked as each cluster is; (clusters, 3)."""
    scores = np.empty((clusters, 3))
    for sort, (rate, density) in enumerate(zip(rates.marks, rates.density, strict=True)):
        logs = np.where(marked, np.log(rate)[annotator], np.log1p(-rate)[annotator])
        scores[:, sort] = np.log(max(density, TINY)) + np.bincount(cluster, logs, minlength=clusters)
    return scores


def _shares(rates: Rates, cluster: Ints, annotator: Ints, marked: Bools, clusters: int) -> Floats:
    """P(real), P(hard), P(false) of each cluster; (clusters, 3)."""
    return softmax(_scores(rates, cluster, annotator, marked, clusters))


def fit(candidates: Candidates, anchors: Anchors | None = None) -> Presence:
    """Learn the rates and the posteriors from all items."""
    chosen = anchors or Anchors()
    plain = _fit(candidates, replace(chosen, density=(chosen.density[REAL], 0.0, chosen.density[FALSE])), hard=0.0)
    graded = _fit(candidates, chosen, hard=0.1)
    gain = _likelihood(candidates, graded.rates) - _likelihood(candidates, plain.rates)
    return graded if gain > np.log(max(candidates.clusters, 1)) else plain


def _likelihood(c: Candidates, rates: Rates) -> float:
    """The log likelihood of all clusters, as thinned Poisson processes."""
    scores = _scores(rates, c.cluster, c.annotator, c.marked, c.clusters)
    marked = sum(rates.density[sort] * c.items - float(_unmarked(c, rates, sort).sum()) for sort in (REAL, HARD, FALSE))
    return float(logsumexp(scores, axis=1).sum()) - marked if c.clusters else 0.0


def _fit(c: Candidates, chosen: Anchors, *, hard: float) -> Presence:
    """EM from vote shares; `hard` is the share of the real ones that are so at first."""
    marks = np.bincount(c.cluster, c.marked, minlength=c.clusters)
    people = np.maximum(np.bincount(c.cluster, minlength=c.clusters), 1)
    real = np.clip((marks + 0.5) / (people + 1.0), EDGE, 1.0 - EDGE)
    shares = np.stack([real * (1.0 - hard), real * hard, 1.0 - real], axis=1)
    rates, crowd = _rates(c, shares, chosen, None)
    for _ in range(STEPS):
        moved = _shares(rates, c.cluster, c.annotator, c.marked, c.clusters)
        settled = np.abs(moved - shares).max(initial=0.0) < SETTLED
        shares = moved
        rates, crowd = _rates(c, shares, chosen, rates)
        if settled:
            break
    return Presence(1.0 - shares[:, FALSE], rates, crowd)


def _rates(c: Candidates, shares: Floats, chosen: Anchors, before: Rates | None) -> tuple[Rates, tuple[float, float]]:
    """The M-step; `before` says how many things nobody marked."""
    unmarked = [np.zeros(c.items) if before is None else _unmarked(c, before, sort) for sort in (REAL, HARD, FALSE)]
    detection, crowd_detection = _rate(c, shares[:, REAL], unmarked[REAL], chosen.detection, chosen)
    false, crowd_false = _rate(c, shares[:, FALSE], unmarked[FALSE], chosen.false, chosen)
    over = min(1.0, LURE * crowd_detection / crowd_false)
    crowd_false, false = crowd_false * over, np.clip(false * over, EDGE, 1.0 - 2 * EDGE)
    detection = np.clip(np.maximum(detection, false + EDGE), EDGE, 1.0 - EDGE)
    real, hard, none = (
        float((shares[:, sort].sum() + unmarked[sort].sum() + chosen.density[sort]) / (c.items + 1.0))
        for sort in (REAL, HARD, FALSE)
    )
    return Rates(detection, false, (real, hard, none)), (crowd_detection, crowd_false)


def _unmarked(c: Candidates, rates: Rates, sort: int) -> Floats:
    """Expected number of things of a sort that nobody marked; (items,)."""
    logs = np.log1p(-rates.marks[sort])[c.seat_annotator]
    found: Floats = rates.density[sort] * np.exp(np.bincount(c.seat_item, logs, minlength=c.items))
    return found


def _rate(c: Candidates, share: Floats, unmarked: Floats, anchor: float, chosen: Anchors) -> tuple[Floats, float]:
    """Each annotator's rate of marking one sort of thing, and the crowd's."""
    mass = share[c.cluster]
    hits = np.bincount(c.annotator, mass * c.marked, minlength=c.annotators)
    seen = np.bincount(c.annotator, mass, minlength=c.annotators)
    seen = seen + np.bincount(c.seat_annotator, unmarked[c.seat_item], minlength=c.annotators)
    crowd = float((hits.sum() + chosen.crowd * anchor) / (seen.sum() + chosen.crowd))
    return (hits + chosen.own * crowd) / (seen + chosen.own), crowd
