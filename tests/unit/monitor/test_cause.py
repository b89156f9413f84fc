"""Root cause: who is suspected of a change, and what each adds to it."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.domain.cause import (
    Answered,
    Dimension,
    Period,
    Predicted,
    Signature,
    Tally,
    diagnose,
    mechanisms,
    split,
)
from services.monitor.domain.cause.noise import SHARES, noisier
from services.monitor.domain.cause.split import kitagawa, shapley
from tests.support.causes import ITEMS, case, counted, world


@pytest.mark.parametrize("signature", Signature)
def test_who_did_it_comes_first_among_innocents(signature: Signature) -> None:
    """`python -m tests.bench.cause` measures how often."""
    run = case(signature, 1)
    suspects = diagnose(run.before, run.after)
    assert run.first(suspects), suspects
    assert suspects[0].score > 0.5
    assert suspects[0].low <= suspects[0].contribution <= suspects[0].high


def test_nobody_is_suspected_where_nothing_changed() -> None:
    now = world(np.random.default_rng(5))
    assert diagnose(counted([(now, ITEMS)]), counted([(now, ITEMS)])) == ()


def test_nothing_is_said_of_empty_periods() -> None:
    assert diagnose(Period(), Period()) == ()
    assert split(Period(), Period(), Dimension.SOURCE) == ()
    assert mechanisms(Period(), Period()) == {}


def _answers(agree: int, differ: int) -> Counter[Answered]:
    said = Predicted("a", 1)
    return Counter({Answered(said, "a"): agree, Answered(said, "b"): differ})


Table = dict[str, Counter[Answered]]
counts = st.integers(0, 500)
tables = st.dictionaries(st.sampled_from("pqrs"), st.builds(_answers, counts, counts), min_size=1)


@given(tables, tables)
def test_the_parts_add_up_to_the_change(first: Table, second: Table) -> None:
    sides = (Period(answers={Dimension.SOURCE: first}), Period(answers={Dimension.SOURCE: second}))
    rates = []
    for side in sides:
        answers = side.all_answers
        if not answers.total():
            assert split(sides[0], sides[1], Dimension.SOURCE) == ()
            return
        rates.append(answers[Answered(Predicted("a", 1), "b")] / answers.total())
    parts = split(sides[0], sides[1], Dimension.SOURCE)
    assert sum(part.total for part in parts) == pytest.approx(rates[1] - rates[0], abs=1e-9)
    assert sum(mechanisms(sides[0], sides[1]).values()) == pytest.approx(rates[1] - rates[0], abs=1e-9)
    assert all(part.low <= part.total <= part.high for part in parts)


def test_mix_and_rate_are_told_apart() -> None:
    more_of_the_hard = kitagawa(
        {"easy": Tally(5, 95), "hard": Tally(50, 50)}, {"easy": Tally(1, 19), "hard": Tally(90, 90)}
    )
    assert abs(more_of_the_hard["hard"][0]) > 0.05
    assert more_of_the_hard["hard"][1] == pytest.approx(0.0)
    worse = kitagawa({"p": Tally(10, 90), "q": Tally(10, 90)}, {"p": Tally(10, 90), "q": Tally(30, 70)})
    assert worse["q"][:2] == pytest.approx((0.0, 0.1))
    assert worse["p"][:2] == pytest.approx((0.0, 0.0))


def test_what_only_two_make_together_is_shared_by_them() -> None:
    def worth(who: frozenset[str]) -> float:
        return 6.0 * ({"a", "b"} <= who) + 1.0 * ("c" in who)

    assert shapley(("a", "b", "c"), worth) == pytest.approx({"a": 3.0, "b": 3.0, "c": 1.0})


def test_noise_is_seen_where_it_is_and_not_where_it_falls() -> None:
    def likely(wrong: int, right: int) -> list[float]:
        return [wrong * math.log(s * 0.8) + right * math.log(1 - s * 0.8) for s in SHARES]

    assert noisier(likely(30, 270), likely(90, 210), []) > 10.0
    assert noisier(likely(90, 210), likely(30, 270), []) < 0.0
    people = [likely(30, 270), likely(60, 240)]
    assert noisier(None, likely(60, 240), people) < 1.0, "somebody new who is as some are"
    assert noisier(None, likely(150, 150), people) > 3.0


def test_each_of_two_things_that_moved_at_once_gets_its_part() -> None:
    """A model that errs more and people who err more: the parts add up, and what did not move gets next to nothing."""

    def side(model: float, people: float, shop: int) -> Period:
        table: Table = {}
        for source, n in (("shop", shop), ("web", 20_000 - shop)):
            answers: Counter[Answered] = Counter()
            for said, share in (("a", 1.0 - model), ("b", model)):
                wrong = people if said == "a" else 1.0 - people / 2
                answers[Answered(Predicted(said, 1), "b" if said == "a" else "a")] += round(n * share * wrong)
                answers[Answered(Predicted(said, 1), said)] += round(n * share * (1 - wrong))
            table[source] = answers
        return Period(answers={Dimension.SOURCE: table})

    before, after = side(0.05, 0.02, 8_000), side(0.15, 0.08, 8_100)
    found = mechanisms(before, after)
    assert abs(found["traffic"]) < 0.002
    assert found["model"] == pytest.approx(0.1 * 0.93, abs=0.01)
    assert found["people"] == pytest.approx(0.06 * 0.9 - 0.03 * 0.1, abs=0.01)
    alone = mechanisms(before, side(0.15, 0.02, 8_000))
    assert alone["people"] == pytest.approx(0.0, abs=1e-3)
    first, second = (Period(answers={Dimension.MODEL: {"m": one.all_answers}}) for one in (before, after))
    untold = mechanisms(first, second)
    assert sum(untold.values()) == pytest.approx(sum(found.values()))
    assert untold["traffic"] == 0.0
