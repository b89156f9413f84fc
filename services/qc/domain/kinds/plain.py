"""Sets of classes and numbers, as kinds beside those of objects: one yes or no per class; `ratings` for numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.qc.domain.answers import Floats, answers_of
from services.qc.domain.em import fit
from services.qc.domain.kinds.kind import Fusion, Given, Items, Kind, Label, f1_of
from services.qc.domain.kinds.measures import Measure, detected, over
from services.qc.domain.kinds.ratings import fuse_rating
from services.qc.domain.kinds.ratios import shares_of, summed
from shared.labels import Choices, Rating

KEPT = 0.5


def parse_choices(raw: Any) -> Choices:
    """Read a list of classes, `{"choices": [...]}`, or classes joined by `|`.

    Raises:
        ValueError: it is none of them.
    """
    listed = raw.get("choices") if isinstance(raw, Mapping) else raw
    if isinstance(listed, str):
        listed = [name for name in listed.split("|") if name]
    if not isinstance(listed, list):
        raise ValueError("choices are a list of classes, or classes joined by |")  # noqa: TRY004  # data, not a call
    return Choices(choices=tuple(listed))


def fuse_choices(items: Items[Choices]) -> Fusion[Choices]:
    """Each class is a question of yes or no of its own, by the two-level model, with accuracies of its own."""
    tasks = list(items)
    people = sorted({one.annotator for answers in items.values() for one in answers})
    seat = {name: place for place, name in enumerate(people)}
    classes = sorted({name for answers in items.values() for one in answers for name in one.value.choices})
    flat = [(at, seat[one.annotator], one.value.choices) for at, task in enumerate(tasks) for one in items[task]]
    item, who = np.array([[at, one] for at, one, _ in flat], dtype=np.int32).reshape(-1, 2).T
    shares = np.zeros((len(tasks), len(classes)))
    right: Floats = np.zeros(len(flat))
    for place, name in enumerate(classes):
        given = np.array([name in chosen for *_, chosen in flat], dtype=np.int32)
        fitted = fit(answers_of(item, who, given, (len(tasks), len(people), 2)))
        shares[:, place] = fitted.posterior[:, 1]
        right += fitted.posterior[item, given]
    labels = {task: _label(shares[at], classes) for at, task in enumerate(tasks)}
    sums = summed(who, right, np.full(len(flat), float(len(classes))), len(people))
    return Fusion(labels, *shares_of(people, {"accuracy": sums}))


def _label(shares: Floats, classes: Sequence[str]) -> Label[Choices]:
    kept = tuple(name for name, share in zip(classes, shares.tolist(), strict=True) if share >= KEPT)
    wrong = np.minimum(shares, 1.0 - shares)
    parts = tuple({"class": name, "posterior": share} for name, share in zip(classes, shares.tolist(), strict=True))
    return Label(Choices(choices=kept), float(np.prod(1.0 - wrong)), float(wrong.sum()), parts)


def majority_choices(answers: Sequence[Given[Choices]]) -> Choices:
    """The classes that more than half give."""
    names = [name for one in answers for name in one.value.choices]
    return Choices(choices=tuple(name for name in set(names) if 2 * names.count(name) > len(answers)))


def _tally_choices(found: Choices, true: Choices) -> tuple[float, ...]:
    one, two = set(found.choices), set(true.choices)
    return len(one & two), len(one), len(two), one == two, 1


def _choices(sums: Floats) -> dict[str, Floats]:
    """Micro F1 over classes, and the share of sets that are right as a whole."""
    return {"f1": detected(sums)["f1"], "accuracy": over(sums[..., 3], sums[..., 4])}


def distance_choices(left: Choices, right: Choices) -> float:
    """1 less the F1 of two sets."""
    one, two = set(left.choices), set(right.choices)
    return 1.0 - f1_of(len(one & two), len(one), len(two))


def parse_rating(raw: Any) -> Rating:
    """Read a number, or `{"rating": number}`.

    Raises:
        ValueError: it is neither.
    """
    number = raw.get("rating") if isinstance(raw, Mapping) else raw
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError("a rating is a number")  # noqa: TRY004  # it is data, not a call
    return Rating(rating=number)


def median_rating(answers: Sequence[Given[Rating]]) -> Rating:
    """The middle number."""
    return Rating(rating=float(np.median([one.value.rating for one in answers])))


def _tally_rating(found: Rating, true: Rating) -> tuple[float, ...]:
    off = found.rating - true.rating
    return abs(off), off * off, 1


def _rating(sums: Floats) -> dict[str, Floats]:
    """Mean absolute and root mean square errors."""
    return {"mae": over(sums[..., 0], sums[..., 2], 0.0), "rmse": np.sqrt(over(sums[..., 1], sums[..., 2], 0.0))}


def distance_rating(left: Rating, right: Rating) -> float:
    """The squared difference: Krippendorff's for intervals."""
    return (left.rating - right.rating) ** 2


CHOICES = Kind(
    "choices",
    parse_choices,
    lambda value: list(value.choices),
    fuse_choices,
    majority_choices,
    Measure(5, _tally_choices, _choices),
    "f1",
    distance_choices,
)
RATING = Kind(
    "rating",
    parse_rating,
    lambda value: value.rating,
    fuse_rating,
    median_rating,
    Measure(3, _tally_rating, _rating),
    "mae",
    distance_rating,
)
