"""How far annotators' extents are from those of others, and how much of that is their own."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from services.qc.domain.answers import Floats, Ints
from services.qc.domain.kinds.clusters import Clusters

E = TypeVar("E")
OWN_EXTENTS = 8.0
OFF = 0.15
SPREAD_STEPS = 30


def off(
    clustered: Sequence[Clusters[E]], people: Sequence[Ints], posterior: Floats, annotators: int
) -> tuple[Floats, Floats, float]:
    """Each annotator's mean of 1 - likeness to others, shrunk, and its standard error; the crowd's mean.

    Args:
        clustered: the objects of each item.
        people: (answers,) of each item; index of the annotator.
        posterior: (clusters of all items,); P(it is real).
        annotators: how many there are.
    """
    sums, squares, mass = np.zeros((3, annotators))
    start = 0
    for found, who in zip(clustered, people, strict=True):
        known = ~np.isnan(found.likeness)
        weight = posterior[start + found.cluster[known]]
        owner, apart = who[found.owner[known]], 1.0 - found.likeness[known]
        np.add.at(sums, owner, weight * apart)
        np.add.at(squares, owner, weight * apart**2)
        np.add.at(mass, owner, weight)
        start += found.number
    crowd = float((sums.sum() + OWN_EXTENTS * OFF) / (mass.sum() + OWN_EXTENTS))
    mean = (sums + OWN_EXTENTS * crowd) / (mass + OWN_EXTENTS)
    variance = (squares + OWN_EXTENTS * 2.0 * crowd**2) / (mass + OWN_EXTENTS) - mean**2
    return mean, np.sqrt(np.maximum(variance, 0.0) / (mass + OWN_EXTENTS)), crowd


def spread(
    clustered: Sequence[Clusters[E]], people: Sequence[Ints], posterior: Floats, annotators: int
) -> tuple[Floats, float]:
    """How much of the distance between two extents is whose, as root mean squares; and the crowd's.

    The distance of two extents of an object is taken as the difference of two errors, each with its annotator's
    variance, which EM finds: careful people look as far off as careless ones where they are compared with these.
    Arguments are those of `off`.
    """
    nobody = np.zeros(0, dtype=np.int32)
    rows: list[tuple[Ints, Ints, Floats, Floats]] = [(nobody, nobody, np.zeros(0), np.zeros(0))]
    start = 0
    for found, who in zip(clustered, people, strict=True):
        one, two = found.pairs
        weight = posterior[start + found.cluster[one]]
        rows.append((who[found.owner[one]], who[found.owner[two]], (1.0 - found.alike) ** 2, weight))
        start += found.number
    one, two = (np.concatenate([row[at] for row in rows]) for at in (0, 1))
    squares, weight = (np.concatenate([row[at] for row in rows]) for at in (2, 3))
    crowd = float((weight @ squares / 2.0 + OWN_EXTENTS * OFF**2) / (weight.sum() + OWN_EXTENTS))
    variance = np.full(annotators, crowd)
    who, mass = np.concatenate([one, two]), np.concatenate([weight, weight])
    seen = np.bincount(who, mass, minlength=annotators)
    for _ in range(SPREAD_STEPS):
        mine, theirs = variance[who], variance[np.concatenate([two, one])]
        part = mine / (mine + theirs)
        own = part * theirs + part**2 * np.concatenate([squares, squares])
        sums = np.bincount(who, mass * own, minlength=annotators)
        crowd = float((sums.sum() + OWN_EXTENTS * OFF**2) / (mass.sum() + OWN_EXTENTS))
        variance = (sums + OWN_EXTENTS * crowd) / (seen + OWN_EXTENTS)
    return np.sqrt(variance), float(np.sqrt(crowd))
