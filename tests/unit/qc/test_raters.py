"""Live rounds of numbers: by what a snapshot knows of people, with a posterior and an error that mean what they say."""

from collections.abc import Sequence

import numpy as np
import pytest

from services.qc.domain.counts import build, pack, unpack, without
from services.qc.domain.numeric import judged
from services.qc.domain.rated import rated, readable
from services.qc.domain.raters import Raters
from services.qc.domain.refresh import Given
from services.qc.domain.scale import Kind, Scale
from services.qc.domain.stopping import Request, Verdict
from shared.labels import Rating
from tests.support.qc_domain import answers, decision, policy

SCALE = Scale(Kind.NUMERIC, tolerance=5.0, low=0.0, high=100.0)
PEOPLE = 12


class Crowd:
    """The first two answer at random, the next two 15 too high, the others within about 4; all alike without `mixed`.

    `hard`: every other item is three times as hard.
    """

    def __init__(self, seed: int, *, mixed: bool = True, hard: bool = False) -> None:
        self.random, self.mixed, self.hard = np.random.default_rng(seed), mixed, hard
        self.asked = 0

    def item(self, opinions: int) -> tuple[float, list[tuple[str, float]], bool]:
        true, self.asked = float(self.random.uniform(20.0, 80.0)), self.asked + 1
        hard = self.hard and self.asked % 2 == 0
        given = []
        for who in sorted(self.random.choice(PEOPLE, opinions, replace=False).tolist()):
            number = (
                true + self.random.normal(0.0, 4.0 * (3.0 if hard else 1.0)) + 15.0 * (self.mixed and who in (2, 3))
            )
            given.append((f"p{who:02}", self.random.uniform(0.0, 100.0) if self.mixed and who < 2 else float(number)))
        return true, given, hard

    def history(self, items: int, opinions: int) -> list[Given]:
        told = []
        for n in range(items):
            _, given, _ = self.item(opinions)
            told += [Given(f"i{n:04}", who, f"{number:.12g}", 10 * n + at) for at, (who, number) in enumerate(given)]
        return told


def known(history: Sequence[Given]) -> Raters:
    raters = build(1, rated(readable(history), SCALE.tolerance)).raters
    assert raters is not None
    return raters


def tried(
    crowd: Crowd, raters: Raters, opinions: int, number: int = 300
) -> list[tuple[float, float, float, float, bool]]:
    """(posterior, error of the label, stated error, error of the mean, hard), of new items."""
    found = []
    for _ in range(number):
        true, given, hard = crowd.item(opinions)
        label = judged(given, SCALE, raters)
        mean = float(np.mean([one for _, one in given]))
        found.append((label.posterior, abs(label.number - true), label.error, abs(mean - true), hard))
    return found


@pytest.mark.parametrize("opinions", [2, 3, 5])
def test_careless_and_leaning_people_are_known_and_the_posterior_says_how_often_it_is_right(opinions: int) -> None:
    crowd = Crowd(opinions)
    raters = known(crowd.history(150, 4))
    posterior, off, error, mean, _ = (np.array(each) for each in zip(*tried(crowd, raters, opinions), strict=True))
    assert off.mean() < 0.75 * mean.mean()
    right = off <= SCALE.tolerance
    assert posterior.mean() == pytest.approx(right.mean(), abs=0.08)
    sure = posterior > np.median(posterior)
    assert right[sure].mean() > right[~sure].mean()
    assert np.mean(off < 1.96 * error) == pytest.approx(0.95, abs=0.05)


def test_people_who_are_alike_give_the_mean_and_near_answers_say_more_where_items_differ() -> None:
    crowd = Crowd(3, mixed=False, hard=True)
    raters = known(crowd.history(200, 4))
    assert not raters.people
    assert raters.freedom < 8
    assert known(Crowd(4, mixed=False).history(200, 4)).freedom > 10
    found = tried(crowd, raters, 4)
    assert all(off == pytest.approx(mean) for _, off, _, mean, _ in found)
    for sort in (False, True):
        sure = np.mean([one[0] for one in found if one[4] is sort])
        right = np.mean([one[1] <= SCALE.tolerance for one in found if one[4] is sort])
        assert sure == pytest.approx(right, abs=0.15)
    assert np.mean([one[0] for one in found]) == pytest.approx(np.mean([one[1] <= 5.0 for one in found]), abs=0.05)


def test_a_round_asks_on_until_it_is_likely_within_the_tolerance() -> None:
    raters = known(Crowd(1).history(150, 4))
    parameters = build(3, rated(readable(Crowd(1).history(150, 4)), SCALE.tolerance))
    rules = policy(2, 4, target=0.9)

    def found(*numbers: tuple[str, float]) -> object:
        events = [answers(number, by=who)[0] for who, number in numbers]
        events = [
            event.model_copy(update={"annotator_id": who}) for event, (who, _) in zip(events, numbers, strict=True)
        ]
        return decision(events, rules, scale=SCALE, parameters=parameters, asked=len(numbers))

    assert raters == parameters.raters
    near = found(("p05", 50.0), ("p06", 52.0), ("p07", 51.0))
    assert isinstance(near, Verdict)
    assert isinstance(near.value, Rating)
    assert near.posterior is not None
    assert near.posterior >= 0.9
    assert near.error is not None
    assert 1.0 < near.error < 4.0
    careless = found(("p00", 50.0), ("p01", 52.0))
    assert isinstance(careless, Request)
    assert careless.posterior is not None
    assert careless.posterior < 0.7
    leaning = found(("p02", 65.0), ("p05", 50.0), ("p06", 51.0))
    assert isinstance(leaning, Verdict)
    assert isinstance(leaning.value, Rating)
    assert leaning.value.rating == pytest.approx(50.5, abs=2.0)


def test_a_label_stays_on_the_scale_and_with_steps_is_a_value_that_somebody_gave() -> None:
    raters = Raters({"a": (2.0, 0.5), "b": (0.0, 0.5)}, 1.0, 8.0)
    stars = Scale(Kind.NUMERIC, tolerance=1.0, stepped=True, low=1.0, high=5.0)
    assert judged([("a", 5.0), ("b", 3.0)], stars, raters).number == 3.0
    assert judged([("a", 1.0)], Scale(Kind.NUMERIC, tolerance=1.0, low=1.0, high=5.0), raters).number == 1.0
    assert judged([("c", 4.0), ("d", 5.0), ("e", 5.0)], stars, Raters({}, 1.0, 8.0)).number == 5.0


def test_the_order_says_nothing_and_who_is_erased_is_as_anybody() -> None:
    cells = rated(readable(Crowd(1).history(100, 4)), SCALE.tolerance)
    assert cells == rated(readable(list(reversed(Crowd(1).history(100, 4)))), SCALE.tolerance)
    body = without(without(pack(cells), "p02"), "p03")
    raters = build(1, unpack(body)[0]).raters
    assert raters is not None
    assert set(raters.people) == {f"p{n:02}" for n in range(PEOPLE)} - {"p02", "p03"}
    before = build(1, cells).raters
    assert before is not None
    assert (raters.typical, raters.freedom) == (before.typical, before.freedom)
    assert not rated(readable(Crowd(1).history(3, 4)), SCALE.tolerance)
