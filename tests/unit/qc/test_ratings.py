"""Numbers of a crowd: careless and leaning people are seen through; where people are alike it is the mean."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.ratings import fuse_rating
from shared.labels import Rating

Crowd = Mapping[str, Sequence[Given[Rating]]]
ITEMS, PEOPLE = 120, 12


def crowd(seed: int, *, careless: int, leaning: int, opinions: int) -> tuple[Crowd, np.ndarray]:
    """Numbers from 0 to 100: the first people answer at random, the next 15 too high, the others within about 6."""
    random = np.random.default_rng(seed)
    true = random.uniform(0.0, 100.0, ITEMS)
    items = {}
    for at, number in enumerate(true):
        answers = []
        for who in random.choice(PEOPLE, opinions, replace=False):
            given = number + random.normal(0.0, 6.0) + (15.0 if careless <= who < careless + leaning else 0.0)
            rating = random.uniform(0.0, 100.0) if who < careless else given
            answers.append(Given(f"p{who:02}", Rating(rating=float(rating))))
        items[f"i{at}"] = answers
    return items, true


def off(items: Crowd, true: np.ndarray) -> tuple[float, float]:
    """The mean absolute errors of the labels and of the means."""
    labels = fuse_rating(items).labels
    found = np.array([labels[task].value.rating for task in items])
    means = np.array([np.mean([one.value.rating for one in answers]) for answers in items.values()])
    return float(np.abs(found - true).mean()), float(np.abs(means - true).mean())


@pytest.mark.parametrize("opinions", [3, 5, 9])
def test_careless_and_leaning_people_are_seen_through(opinions: int) -> None:
    found, mean = off(*crowd(opinions, careless=2, leaning=2, opinions=opinions))
    assert found < 0.6 * mean


def test_what_is_known_of_people_is_told() -> None:
    items, _ = crowd(1, careless=2, leaning=2, opinions=5)
    skills = fuse_rating(items).skills
    assert all(skills[f"p{who:02}"]["spread"] > 2.0 * skills["p05"]["spread"] for who in (0, 1))
    leaning = min(skills[f"p{who:02}"]["offset"] for who in (2, 3))
    assert leaning - max(skills[f"p{who:02}"]["offset"] for who in range(4, PEOPLE)) > 8.0


@pytest.mark.parametrize("opinions", [1, 2, 3, 5])
def test_people_who_are_alike_are_averaged(opinions: int) -> None:
    found, mean = off(*crowd(7, careless=0, leaning=0, opinions=opinions))
    assert found == pytest.approx(mean, rel=1e-9)


def test_the_order_of_items_and_answers_changes_nothing() -> None:
    items, _ = crowd(3, careless=2, leaning=1, opinions=4)
    turned = {task: list(reversed(items[task])) for task in reversed(list(items))}
    one, two = fuse_rating(items).labels, fuse_rating(turned).labels
    assert all(one[task].value.rating == pytest.approx(two[task].value.rating, abs=1e-6) for task in items)


def test_equal_numbers_and_no_items_are_no_trouble() -> None:
    same = [Given("a", Rating(rating=3.0)), Given("b", Rating(rating=3.0))]
    assert fuse_rating({"i": same, "j": same[:1]}).labels["i"].value.rating == 3.0
    assert not fuse_rating({}).labels
