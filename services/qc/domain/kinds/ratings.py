"""Numbers of a crowd: each person's own offset and spread, where what the others say bears them out; else the mean.

The model is y = t + b + e: the item's number, the person's offset b, and a normal error with a variance of the person
(Raykar et al., JMLR 2010, with the offset of Welinder et al., NeurIPS 2010), a far answer bounded after Huber. Offsets
and variances are drawn towards those of the crowd, and every answer is judged by the other answers of its item only. On
recorded emotions the plain mean was as good (research: quality, 3.18), so the model has to tell the answers better
from each other than the mean does; with careless or leaning people it does so by far.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri

from services.qc.domain.answers import Floats, Ints
from services.qc.domain.kinds.kind import Fusion, Items, Label
from services.qc.domain.kinds.measures import Interval
from services.qc.domain.kinds.ratios import NORMAL, SIDE
from shared.labels import Rating

TOLERANCE = 0.05
"""Of the range of all answers: what is near a label."""
ROUNDS = 15
STEPS = 3
OFFSET_ANSWERS = 5.0
"""So many answers without an offset stand behind each person's."""
SPREAD_ANSWERS = 5.0
"""So many answers with the crowd's variance stand behind each person's."""
LEAST_SPREAD = 0.05
"""A person's variance is at least this share of the crowd's: nobody outweighs twenty."""
HUBER = 2.5
"""Standard errors from which an answer counts less."""
GAIN = 0.1
"""By so much of the mean's squared error the model must foretell answers better, beside what any two numbers would."""


@dataclass(frozen=True, slots=True)
class People:
    """What is learned of each person: `offset` and `spread` (a standard deviation), (people,) each."""

    offset: Floats
    spread: Floats


@dataclass(frozen=True, slots=True)
class Numbers:
    """Answers as columns (answers,): place of the item, place of the person, number."""

    item: Ints
    who: Ints
    number: Floats
    items: int
    people: int

    def by_item(self, values: npt.NDArray[np.floating]) -> Floats:
        """Sums of a column by item, (items,)."""
        found: Floats = np.bincount(self.item, values, self.items).astype(np.float64)
        return found

    def by_person(self, values: npt.NDArray[np.floating]) -> Floats:
        """Sums of a column by person, (people,)."""
        found: Floats = np.bincount(self.who, values, self.people).astype(np.float64)
        return found


def columns(items: Items[Rating]) -> tuple[Numbers, list[str]]:
    """The answers as columns, and the people by place."""
    people = sorted({one.annotator for answers in items.values() for one in answers})
    seat = {name: place for place, name in enumerate(people)}
    flat = [(at, seat[one.annotator], one.value.rating) for at, given in enumerate(items.values()) for one in given]
    item, who, number = (np.array(column) for column in zip(*flat, strict=True)) if flat else (np.zeros(0),) * 3
    return Numbers(item.astype(np.int32), who.astype(np.int32), number.astype(float), len(items), len(people)), people


def estimate(given: Numbers) -> tuple[Floats, People]:
    """The number of each item, (items,), and the people. Time and memory go with the number of answers."""
    one = np.ones_like(given.number)
    opinions = given.by_item(one)[given.item]
    met = opinions > 1.0
    mean = given.by_item(given.number) / np.maximum(given.by_item(one), 1.0)
    others = np.where(met, (mean[given.item] * opinions - given.number) / np.maximum(opinions - 1.0, 1.0), given.number)
    away = given.number - others
    crowd = float(np.sum(away[met] ** 2 * (1.0 - 1.0 / opinions[met])) / max(int(met.sum()), 1))
    flat = People(np.zeros(given.people), np.full(given.people, np.sqrt(crowd)))
    if crowd == 0.0:
        return mean, flat
    people, told, bound = flat, others, one
    for _ in range(ROUNDS):
        told, doubt = _others(given, people, bound)
        people, bound = _learned(given, people, np.where(met, given.number - told, 0.0), doubt, crowd)
    weight = bound / people.spread[given.who] ** 2
    own = given.number - people.offset[given.who]
    trust = np.where(met, people.spread[given.who] ** -2.0, 0.0)
    better = 1.0 - np.sum(trust * (own - told) ** 2) / max(np.sum(trust * away**2), 1e-300)
    if better <= GAIN + 2.0 * given.people / len(given.number):  # two numbers were learned of each person
        return mean, flat
    return given.by_item(weight * own) / np.maximum(given.by_item(weight), 1e-300), people


def bounded(given: Numbers, people: People) -> Floats:
    """How much of each answer counts beside the others of its item, by people who are known; (answers,), in (0, 1]."""
    bound = np.ones_like(given.number)
    for _ in range(STEPS):
        told, doubt = _others(given, people, bound)
        bound = _bound(given, people, np.where(doubt > 0.0, given.number - told, 0.0), doubt)
    return bound


def _others(given: Numbers, people: People, bound: Floats) -> tuple[Floats, Floats]:
    """What the others of its item say to each answer, and the variance of that; 0 where nobody else answered."""
    met = given.by_item(np.ones_like(given.number))[given.item] > 1.0
    weight = bound / people.spread[given.who] ** 2
    own = given.number - people.offset[given.who]
    rest = np.maximum(given.by_item(weight)[given.item] - weight, 1e-12)
    told = np.where(met, (given.by_item(weight * own)[given.item] - weight * own) / rest, own)
    return told, np.where(met, 1.0 / rest, 0.0)


def _bound(given: Numbers, people: People, away: Floats, doubt: Floats) -> Floats:
    """How much of each answer counts: all of it up to so many standard errors from what the others say."""
    left = np.abs(away - people.offset[given.who])
    bound = HUBER * np.sqrt(people.spread[given.who] ** 2 + doubt) / np.maximum(left, 1e-300)
    return np.minimum(np.where(doubt > 0.0, bound, 1.0), 1.0)


def _learned(given: Numbers, people: People, away: Floats, doubt: Floats, crowd: float) -> tuple[People, Floats]:
    """The people from answers less what the others say (`away`, variance `doubt`; 0 and 0 where nobody else answered).

    Returns:
        The people, and how much of each answer counts (answers,), in (0, 1].
    """
    variance = people.spread[given.who] ** 2
    met = doubt > 0.0
    trust = np.where(met, 1.0 / (variance + doubt), 0.0)
    offset = given.by_person(trust * away) / (given.by_person(trust) + OFFSET_ANSWERS / crowd)
    offset -= np.median(offset[given.who])  # who leans, leans from most of the others
    left = away - offset[given.who]
    share = variance / (variance + doubt)
    square = np.where(met, (share * left) ** 2 + share * doubt, 0.0)
    found = (given.by_person(square) + SPREAD_ANSWERS * crowd) / (given.by_person(met * 1.0) + SPREAD_ANSWERS)
    spread = np.sqrt(np.maximum(found, LEAST_SPREAD * crowd))
    people = People(offset, spread)
    return people, _bound(given, people, away, doubt)


def fuse_rating(items: Items[Rating]) -> Fusion[Rating]:
    """The number of each item; sure is the share of answers near it, a person's skill `off`, `offset` and `spread`."""
    given, names = columns(items)
    numbers, people = estimate(given)
    width = float(np.ptp(given.number)) * TOLERANCE if len(given.number) else 0.0
    away = np.abs(given.number - people.offset[given.who] - numbers[given.item])
    count = np.maximum(given.by_item(np.ones_like(away)), 1.0)
    near = given.by_item((away <= width + 1e-9) * 1.0) / count
    off = given.by_person(away) / np.maximum(given.by_person(np.ones_like(away)), 1.0)
    labels = {
        task: Label(Rating(rating=number), sure, 1.0 - sure)
        for task, number, sure in zip(items, numbers.tolist(), near.tolist(), strict=True)
    }
    columns_of = zip(names, off.tolist(), people.offset.tolist(), people.spread.tolist(), strict=True)
    skills = {name: {"off": a, "offset": b, "spread": c} for name, a, b, c in columns_of}
    return Fusion(labels, skills, _known(given, names, people))


def _known(given: Numbers, names: list[str], people: People) -> dict[str, dict[str, Interval]]:
    """95 % of offset and spread, as of a normal sample of the answers that others met, the crowd's among them."""
    number = given.by_person((given.by_item(np.ones_like(given.number))[given.item] > 1.0) * 1.0)
    half, low, high = within(number, people.spread)
    rows = zip(names, people.offset.tolist(), half.tolist(), low.tolist(), high.tolist(), strict=True)
    return {name: {"offset": (b - h, b + h), "spread": (least, most)} for name, b, h, least, most in rows}


def within(number: Floats, spread: Floats) -> tuple[Floats, Floats, Floats]:
    """95 % of what is known of people, (people,) each: half of the offset's interval, least and most spread.

    Args:
        number: of their answers that others met, (people,).
        spread: of these, a standard deviation.
    """
    free = number + SPREAD_ANSWERS
    low, high = (spread * np.sqrt(free / chdtri(free, at)) for at in (SIDE, 1.0 - SIDE))
    return NORMAL * spread / np.sqrt(number + OFFSET_ANSWERS), low, high
