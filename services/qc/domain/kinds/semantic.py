"""Semantic masks: the class of every pixel by a weighted vote, on the stretches about which people differ.

Where all agree there is nothing to decide, and nothing to learn about people either. An annotator's word weighs as the
share of disputed pixels on which they are right says (a one-coin STAPLE, Warfield et al. 2004, on disputed pixels only,
with rates shrunk to the crowd's). Work goes by run lengths, never by pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.qc.domain.answers import Floats, Ints
from services.qc.domain.kinds.clusters import Answer, Drawn
from services.qc.domain.kinds.measures import Interval
from services.qc.domain.kinds.ratios import around, interval, summed
from services.qc.domain.kinds.runs import Runs, tidy
from services.qc.domain.kinds.strips import Places

ROUNDS = 10
OWN_ITEMS = 4.0
CROWD_ITEMS = 4.0
ANCHOR = 0.75
EDGE = 0.02


@dataclass(frozen=True, slots=True)
class Picture:
    """What everybody says of an item.

    Attributes:
        edges: (stretches + 1,); column-major positions between which everybody says one thing.
        said: (stretches, answers); index of the class, 0 for none of them.
        height, width: in pixels.
    """

    edges: Places
    said: Ints
    height: int
    width: int

    @property
    def disputed(self) -> Floats:
        """(stretches,); pixels on which they differ."""
        apart = (self.said != self.said[:, :1]).any(axis=1)
        found: Floats = np.diff(self.edges) * apart.astype(np.float64)
        return found


@dataclass(frozen=True)
class Painters:
    """The classes, and how much of what is disputed each annotator has right; `typical` of anyone else.

    `intervals`: 95 % of the accuracy, of those who were in a dispute.
    """

    classes: tuple[str, ...]
    accuracy: Mapping[str, float]
    typical: float
    intervals: Mapping[str, Interval] = field(default_factory=dict)


def picture(answers: Sequence[Answer[Runs]], classes: Sequence[str]) -> Picture | None:
    """The stretches of an item, None without a mask. Of masks of one answer that share a pixel the later has it."""
    masks = [one.extent for answer in answers for one in answer.objects]
    if not masks:
        return None
    index = {name: place + 1 for place, name in enumerate(classes)}
    edges = np.unique(np.concatenate([each for mask in masks for each in (mask.starts, mask.ends)]))
    said = np.zeros((max(len(edges) - 1, 0), len(answers)), dtype=np.int32)
    for column, answer in enumerate(answers):
        for one in answer.objects:
            change = np.zeros(len(edges), dtype=np.int64)
            change[np.searchsorted(edges, one.extent.starts)] = 1
            change[np.searchsorted(edges, one.extent.ends)] -= 1
            said[np.cumsum(change)[:-1] > 0, column] = index[one.label]
    return Picture(edges, said, masks[0].height, masks[0].width)


def learn(items: Sequence[Sequence[Answer[Runs]]]) -> Painters:
    """Learn the crowd from the answers to many items."""
    classes = tuple(sorted({one.label for item in items for answer in item for one in answer.objects}))
    names = sorted({answer.annotator for item in items for answer in item})
    accuracy, typical = np.full(len(names), ANCHOR), ANCHOR
    place = {name: index for index, name in enumerate(names)}
    seen = [
        (np.array([place[answer.annotator] for answer in item]), found)
        for item in items
        if (found := picture(item, classes)) is not None
    ]
    told = [(who, found) for who, found in seen if found.disputed.any()]
    sums = None
    for _ in range(ROUNDS if told else 0):
        rows = [(who, _right(found, accuracy[who])) for who, found in told]
        people, shares = (np.concatenate([row[at] for row in rows]) for at in (0, 1))
        sums = summed(people.astype(np.int32), shares, np.ones(len(shares)), len(names))
        right, mass = sums.hits, sums.seen
        typical = float((right.sum() + CROWD_ITEMS * ANCHOR) / (mass.sum() + CROWD_ITEMS))
        accuracy = (right + OWN_ITEMS * typical) / (mass + OWN_ITEMS)
    skill = dict(zip(names, accuracy.tolist(), strict=True))
    if sums is None:
        return Painters(classes, skill, typical)
    ends = interval(sums, whole=False)
    known = {name: around(skill[name], ends[at]) for at, name in enumerate(names)}
    return Painters(classes, skill, typical, known)


def _right(found: Picture, accuracy: Floats) -> Floats:
    """The expected share of the disputed pixels that each answer has right; (answers,)."""
    shares = posterior(found, accuracy)
    pixels = found.disputed / found.disputed.sum()
    right: Floats = pixels @ shares[np.arange(len(pixels))[:, None], found.said]
    return right


def posterior(found: Picture, accuracy: Floats) -> Floats:
    """(stretches, classes and none); P(class) of the pixels of each stretch."""
    size = int(found.said.max(initial=0)) + 1
    sure = np.clip(accuracy, 1.0 / size + EDGE, 1.0 - EDGE)
    weights = np.log(sure * max(size - 1, 1) / (1.0 - sure))
    scores = np.zeros((len(found.said), size))
    each = np.arange(len(found.said))
    for column, weight in enumerate(weights):
        scores[each, found.said[:, column]] += weight
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = scores / scores.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True, slots=True)
class Painted:
    """The label of an item.

    Attributes:
        masks: one for each class that has a pixel.
        wrong: expected share of the labelled pixels that have another class.
    """

    masks: tuple[Drawn[Runs], ...]
    wrong: float


def fuse(answers: Sequence[Answer[Runs]], painters: Painters) -> Painted:
    """Fuse the answers to one item; a class that nobody gave while learning is read as none."""
    known = set(painters.classes)
    read = [Answer(a.annotator, tuple(one for one in a.objects if one.label in known)) for a in answers]
    found = picture(read, painters.classes)
    if found is None:
        return Painted((), 0.0)
    accuracy = np.array([painters.accuracy.get(answer.annotator, painters.typical) for answer in answers])
    shares = posterior(found, accuracy)
    best = shares.argmax(axis=1)
    masks = []
    for place, name in enumerate(painters.classes[: shares.shape[1] - 1]):
        won = best == place + 1
        mask = tidy(found.edges[:-1][won], found.edges[1:][won], found.height, found.width)
        if len(mask.starts):
            masks.append(Drawn(mask, name))
    pixels = np.diff(found.edges) * ((found.said > 0).any(axis=1))
    wrong = float(pixels @ (1.0 - shares.max(axis=1)) / max(pixels.sum(), 1))
    return Painted(tuple(masks), wrong)


def looks_semantic(items: Sequence[Sequence[Answer[Runs]]]) -> bool:
    """Whether answers are one mask per class that share no pixel, and mostly of several classes."""
    several = number = 0
    for answer in (answer for item in items for answer in item if answer.objects):
        if len({one.label for one in answer.objects}) < len(answer.objects):
            return False
        number += 1
        several += len(answer.objects) > 1
        starts, ends = (
            np.concatenate([getattr(o.extent, name) for o in answer.objects]) for name in ("starts", "ends")
        )
        order = np.argsort(starts)
        if (starts[order][1:] < ends[order][:-1]).any():
            return False
    return 2 * several > number
