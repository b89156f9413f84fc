"""The posterior: a distribution, blind to order and names, deaf to spammers, careful with strangers."""

import math
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain.consensus import Opinion, posterior
from services.qc.domain.counts import (
    ANY,
    EQUAL,
    OTHER,
    CellCount,
    Learned,
    Source,
    build,
    digest,
    pack,
    unpack,
)
from services.qc.domain.judging import judge, weights_of
from services.qc.domain.models import ONE_COIN
from services.qc.domain.open_values import own_accuracy
from services.qc.domain.scale import Kind, Scale
from services.qc.domain.table import table_of
from tests.support.qc_domain import AT_ITS_WORD, CLASSES, CLOSED, NOTHING, NUMERIC, OPEN, PAIR, STRANGERS, known, says

people = st.sampled_from(["ada", "bob", "cyd", "new"])
CROWD = known({"ada": (20, 18), "bob": (20, 12), "cyd": (9, 3)})
MIRROR = known({"ada": (20, 18), "bob": (20, 12), "cyd": (9, 3)}, PAIR.classes)


@settings(deadline=None)
@given(st.lists(st.tuples(people, st.sampled_from(CLASSES)), max_size=12))
def test_it_adds_up_to_one_whatever_the_opinions(votes: list[tuple[str, str]]) -> None:
    shares = posterior(says(*votes), CLOSED, CROWD)
    assert tuple(shares) == CLASSES
    assert math.isclose(math.fsum(shares.values()), 1.0, abs_tol=1e-12)
    assert all(0.0 <= share <= 1.0 for share in shares.values())


@settings(deadline=None)
@given(st.lists(st.tuples(people, st.sampled_from(CLASSES)), min_size=2, max_size=6), st.randoms())
def test_the_order_of_opinions_changes_no_bit(votes: list[tuple[str, str]], rng: object) -> None:
    shuffled = list(votes)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert posterior(says(*votes), CLOSED, CROWD) == posterior(says(*shuffled), CLOSED, CROWD)


@settings(deadline=None)
@given(st.lists(st.tuples(people, st.booleans()), min_size=1, max_size=8))
def test_swapping_two_classes_swaps_their_shares(votes: list[tuple[str, bool]]) -> None:
    there = posterior([Opinion(who, "yes" if yes else "no") for who, yes in votes], PAIR, MIRROR)
    back = posterior([Opinion(who, "no" if yes else "yes") for who, yes in votes], PAIR, MIRROR)
    assert math.isclose(there["yes"], back["no"], abs_tol=1e-12)


def test_a_stranger_is_the_anchored_crowd() -> None:
    shares = posterior(says(("new", "yes")), PAIR, STRANGERS)
    assert math.isclose(shares["yes"], 0.8, abs_tol=1e-9)
    unheard = posterior(says(("new", "yes")), PAIR, NOTHING)["yes"]
    assert 0.5 < unheard < 0.8


def test_more_agreeing_people_make_it_surer() -> None:
    sure = [posterior(says(*[(f"p{n}", "yes") for n in range(k)]), PAIR, STRANGERS)["yes"] for k in range(1, 8)]
    assert sure == sorted(sure)
    assert sure[0] < 0.85 < sure[2]
    assert sure[6] > 0.99


def test_a_good_person_outweighs_two_poor_ones() -> None:
    crowd = known({"good": (60, 58), "poor": (60, 36), "bad": (60, 36)}, PAIR.classes)
    shares = posterior(says(("good", "yes"), ("poor", "no"), ("bad", "no")), PAIR, crowd)
    assert shares["yes"] > 0.8


@pytest.mark.parametrize("answer", CLASSES)
def test_a_spammer_adds_about_nothing(answer: str) -> None:
    cells = [CellCount("spam", truth, "positive", Source.CONSENSUS, 60, 60_000) for truth in CLASSES]
    crowd = build(1, cells, AT_ITS_WORD)
    before = posterior(says(("ann", "negative")), CLOSED, crowd)
    after = posterior(says(("ann", "negative"), ("spam", "positive")), CLOSED, crowd)
    assert math.isclose(before["negative"], after["negative"], abs_tol=0.06)
    random = known({"dice": (60, 20)})
    alone, beside = (posterior(says(("ann", "negative"), *more), CLOSED, random) for more in ([], [("dice", answer)]))
    assert math.isclose(alone["negative"], beside["negative"], abs_tol=0.06)


def test_an_inverted_person_is_read_backwards() -> None:
    cells = [
        CellCount("mirror", truth, other, Source.CONSENSUS, 60, 60_000) for truth, other in permutations(PAIR.classes)
    ]
    assert posterior(says(("mirror", "yes")), PAIR, build(1, cells, AT_ITS_WORD))["no"] > 0.8


def test_on_an_open_scale_what_this_item_added_to_its_people_is_taken_out_again() -> None:
    once = build(1, [CellCount("ada", ANY, EQUAL, Source.CONSENSUS, 1, 1000)])
    with_itself = posterior(says(("ada", "x")), OPEN, once)
    cavity = posterior([Opinion("ada", "x", {"x": 1000})], OPEN, once)
    assert with_itself["x"] > cavity["x"]
    crowd = (50 * 0.8 + 1) / 51
    assert math.isclose(own_accuracy(Opinion("ada", "x", {"x": 1000}), once, 2), crowd, abs_tol=1e-12)


def test_the_class_prior_is_that_of_the_items() -> None:
    crowd = build(1, [], Learned(mass={"yes": 90_000, "no": 0}))
    assert math.isclose(posterior([], PAIR, crowd)["yes"], 100 / 110, abs_tol=1e-9)


def test_more_classes_than_confusions_have_room_for_are_judged_by_one_accuracy() -> None:
    many = Scale(Kind.CLOSED, tuple(f"c{n}" for n in range(1000)), 1000)
    cells = [
        CellCount("ada", "c1", "c1", Source.CONSENSUS, 90, 90_000),
        CellCount("ada", "c1", "c2", Source.GOLD, 1, 1),
    ]
    coin = build(1, cells, replace(AT_ITS_WORD, model=ONE_COIN))
    shares = posterior(says(("ada", "c7"), ("new", "c8")), many, coin)
    assert shares["c7"] > 0.7 > shares["c8"] > shares["c9"]
    assert math.isclose(math.fsum(shares.values()), 1.0, abs_tol=1e-9)


def test_gold_counts_double() -> None:
    by_gold = build(1, [CellCount("ada", "yes", "no", Source.GOLD, 5, 5000)])
    by_people = build(1, [CellCount("ada", "yes", "no", Source.CONSENSUS, 5, 5000)])
    assert posterior(says(("ada", "no")), PAIR, by_gold)["no"] < posterior(says(("ada", "no")), PAIR, by_people)["no"]


def test_open_values_leave_room_for_one_that_nobody_gave() -> None:
    shares = posterior(says(("a", "x|y"), ("b", "x")), OPEN, NOTHING)
    assert math.isclose(shares["x"], shares["x|y"])
    assert math.fsum(shares.values()) < 1.0
    assert posterior([], OPEN, NOTHING) == {}
    together = posterior(says(("a", "x|y"), ("b", "x|y")), OPEN, NOTHING)
    assert together["x|y"] > 0.95
    assert math.isclose(posterior(says(("a", "x")), OPEN, NOTHING)["x"], 0.8, abs_tol=1e-9)


def test_numbers_have_no_posterior() -> None:
    with pytest.raises(ValueError, match="numeric"):
        posterior(says(("a", "1")), NUMERIC, NOTHING)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(CLASSES), st.floats(0.0, 0.33), min_size=1))
def test_the_mills_of_a_label_always_add_up(shares: dict[str, float]) -> None:
    symbol = max(shares, key=lambda name: shares[name])
    weights = weights_of(shares, symbol)
    assert sum(weights.values()) == 1000
    assert all(weight >= 0 for weight in weights.values())


def test_judging_spreads_an_answer_over_the_truths() -> None:
    weights = weights_of({"no": 0.1, "yes": 0.9}, "yes")
    assert weights == {"yes": 900, "no": 100}
    cells = judge("no", "yes", weights, Kind.CLOSED, near=False)
    assert cells == {("yes", "no"): (1, 900), ("no", "no"): (0, 100)}
    assert judge("x", "x", weights_of({"x": 0.7}, "x"), Kind.OPEN, near=False) == {
        (ANY, EQUAL): (1, 700),
        (ANY, OTHER): (0, 300),
    }
    assert judge("3", "4", {"4": 1000}, Kind.NUMERIC, near=True) == {(ANY, EQUAL): (1, 1000)}


def test_equal_counts_are_equal_snapshots_and_come_back() -> None:
    cells = [CellCount("b", "x", "y", Source.GOLD, 1, 1000), CellCount("a", "x", "x", Source.FITTED, 0, 1900)]
    learned = Learned(heard=(-1.5,) * 10, through=7, mass={"x": 3, "y": 1})
    text = pack(cells, learned)
    assert digest(text) == digest(pack(reversed(cells), replace(learned, mass={"y": 1, "x": 3})))
    again, known_again = unpack(text)
    assert known_again == learned
    assert build(4, again, known_again) == build(4, cells, learned)
    old = '{"answered":{"x":3},"cells":[["b","x","y","gold",1,1000]]}'
    assert unpack(old) == ([CellCount("b", "x", "y", Source.GOLD, 1, 1000)], Learned())


def test_ten_thousand_strangers_take_no_memory() -> None:
    parameters = known({"ada": (20, 18)})
    for n in range(1000):
        posterior(says((f"stranger{n}", "positive")), CLOSED, parameters)
    assert len(parameters.tables) == 1
    assert len(table_of(parameters, CLASSES)._known) == 1
