"""What is published of agreement and calibration: equal to the engine's figures, per scope, in whatever order read."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain.agreement import Order
from services.qc.domain.answers import answers_of
from services.qc.domain.checked import calibration
from services.qc.domain.cohen import pair_table
from services.qc.domain.concord import agreements, concord, pairs
from services.qc.domain.refresh import Given
from services.qc.domain.resampling import agreement_with_intervals
from services.qc.domain.scale import Kind, Scale
from shared.events import Agreement
from tests.support.crowds import coin, crowd
from tests.support.qc_domain import NOTHING, known, policy

SCALE = Scale(Kind.CLOSED, ("k0", "k1", "k2"), 3)


def made(items: int = 60, opinions: int = 4, people: int = 6, seed: int = 0) -> tuple[list[Given], Any, Any]:
    answers, truth = crowd([coin(0.75, 3)] * people, items=items, opinions=opinions, seed=seed)
    cells = zip(answers.item.tolist(), answers.annotator.tolist(), answers.symbol.tolist(), strict=True)
    rows = [Given(f"i{i:04}", f"p{w}", f"k{s}", seq) for seq, (i, w, s) in enumerate(cells)]
    return rows, answers, truth


def of(given_: list[Given], scale: Scale = SCALE, **more: Any) -> dict[tuple[str, str], Agreement]:
    found = agreements(concord(given_, scale), scale, resamples=more.get("resamples", 0))
    return {(one.scope, one.name): one for one in found}


def test_a_projects_figures_are_the_engines() -> None:
    rows, answers, _ = made()
    whole = of(rows, resamples=50)["project", ""]
    expected = agreement_with_intervals(answers, Order(), resamples=50, rng=np.random.default_rng(0))
    assert whole.alpha == pytest.approx(expected.values["alpha_nominal"], abs=1e-6)
    assert whole.ac1 == pytest.approx(expected.values["gwet_ac1"], abs=1e-6)
    assert whole.kappa == pytest.approx(expected.values["mean_pair_cohen"], abs=1e-6)
    assert whole.fleiss == pytest.approx(expected.values["fleiss"], abs=1e-6)
    assert (whole.metric, whole.rounds, whole.opinions) == ("nominal", 60, 240)
    assert set(whole.intervals) == {"alpha", "ac1", "fleiss", "kappa", "percent"}
    assert all(low <= high for low, high in whole.intervals.values())
    assert whole.alpha is not None
    assert whole.intervals["alpha"][0] < whole.alpha < whole.intervals["alpha"][1]


def test_the_prevalence_paradox_shows_in_both_figures() -> None:
    rows = [Given(f"i{n}", who, "k0" if n or who == "a" else "k1", n) for n in range(50) for who in "ab"]
    whole = of(rows)["project", ""]
    assert whole.percent == 0.98
    assert whole.alpha is not None
    assert whole.ac1 is not None
    assert whole.alpha < 0.1
    assert whole.ac1 > 0.95


def test_a_class_is_measured_against_the_rest() -> None:
    rows, answers, _ = made()
    found = of(rows)
    one = replace(answers, symbol=(answers.symbol == 1).astype(np.int32), classes=2)
    expected = agreement_with_intervals(one, Order(), resamples=0, rng=np.random.default_rng(0)).values
    assert found["class", "k1"].alpha == pytest.approx(expected["alpha_nominal"], abs=1e-6)
    assert {name for scope, name in found if scope == "class"} == {"k0", "k1", "k2"}
    two = Scale(Kind.CLOSED, ("k0", "k1"), 2)
    assert not any(scope == "class" for scope, _ in of([one for one in rows if one.symbol != "k2"], two))


def test_rounds_guidelines_and_slices_have_figures_of_their_own() -> None:
    rows, _, _ = made()
    first = [one._replace(guideline=1, blind=True) for one in rows]
    again = [Given(one.item_id, one.annotator_id, "k0", one.seq, round=2, guideline=2) for one in rows]
    found = of([*first, *again])
    assert (
        found["guideline", "1"].alpha == found["slice", "round=first"].alpha == found["slice", "proposal=blind"].alpha
    )
    assert found["guideline", "2"].percent == found["slice", "round=again"].percent == 1.0
    assert found["guideline", "2"].alpha is None  # one class alone: undefined
    assert found["project", ""].rounds == 120
    assert ("slice", "proposal=seen") in found


def test_a_slice_of_the_project_has_figures_of_its_own() -> None:
    rows, _, _ = made()
    medical = [one._replace(item_id=f"m{one.item_id}", symbol="k0", slice="medical") for one in rows]
    found = of([*rows, *medical])
    assert found["slice", "medical"].percent == 1.0
    assert found["slice", "medical"].rounds == 60
    assert found["project", ""].rounds == 120
    assert {name for scope, name in found if scope == "slice"} == {"medical", "proposal=seen", "round=first"}


def test_an_ordered_scale_and_numbers_have_their_own_metric() -> None:
    rows, _, _ = made()
    ordered = of(rows, replace(SCALE, ordered=True))["project", ""]
    assert ordered.metric == "ordinal"
    assert ordered.ac2 is not None
    numbers = [one._replace(symbol=str(2.5 * int(one.symbol[1:]))) for one in rows]
    numeric = of(numbers, Scale(Kind.NUMERIC, tolerance=1.0))["project", ""]
    assert numeric.metric == "interval"
    assert numeric.alpha != of(rows)["project", ""].alpha
    many = [one._replace(symbol=str(int(one.symbol[1:]) + one.seq / 1000)) for one in rows]
    assert of(many, Scale(Kind.NUMERIC, tolerance=0.5))["project", ""].alpha == pytest.approx(numeric.alpha, abs=0.1)


def test_open_values_beyond_the_commonest_are_one() -> None:
    rows = [Given(f"i{n}", who, f"t{n}", n) for n in range(150) for who in "ab"]
    whole = of(rows, Scale(Kind.OPEN))["project", ""]
    assert (whole.percent, whole.rounds) == (1.0, 150)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 3), st.randoms())
def test_the_order_of_reading_changes_no_figure(seed: int, rng: object) -> None:
    rows, _, _ = made(items=25, seed=seed)
    shuffled = list(rows)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert of(shuffled, resamples=20) == of(rows, resamples=20)


def test_pairs_are_named_the_least_agreeing_first() -> None:
    rows, answers, _ = made(items=120, opinions=4, people=5)
    table = pair_table(answers)
    found = pairs(concord(rows, SCALE), resamples=30)
    kappas = [one.kappa for one in found.pairs]
    assert found.considered == len(table) == len(found.pairs) == 10
    assert kappas == sorted(kappas, key=lambda one: one or 0.0)
    assert sorted(kappas, key=lambda one: one or 0.0) == pytest.approx(
        sorted(table.kappas(np.ones((table.cells.shape[1], 1)))[:, 0].tolist()), abs=1e-6
    )
    worst = found.pairs[0]
    both = {
        who: {one.item_id: one.symbol for one in rows if one.annotator_id == who} for who in (worst.first, worst.second)
    }
    shared = [item for item in both[worst.first] if item in both[worst.second]]
    equal = sum(both[worst.first][item] == both[worst.second][item] for item in shared)
    assert worst.items == len(shared)
    assert worst.percent == pytest.approx(equal / len(shared), abs=1e-6)
    keep = [item for one, item in ((n, f"i{n:04}") for n in range(120)) if item in set(shared)]
    where = {item: place for place, item in enumerate(keep)}
    cells = [(where[i], w, int(both[name][i][1:])) for w, name in enumerate(both) for i in keep]
    item, annotator, symbol = zip(*cells, strict=True)
    alone = answers_of(item, annotator, symbol, (len(keep), 2, 3))
    expected = agreement_with_intervals(alone, Order(), resamples=0, rng=np.random.default_rng(0)).values
    assert worst.alpha == pytest.approx(expected["alpha_nominal"], abs=1e-6)
    assert worst.ac1 == pytest.approx(expected["gwet_ac1"], abs=1e-6)
    assert set(worst.intervals) == {"alpha", "ac1", "kappa", "percent"}


def test_nothing_shared_is_nothing_published() -> None:
    lone = [Given(f"i{n}", f"p{n}", "k0", n) for n in range(5)]
    assert of(lone) == of([]) == {}
    assert pairs(concord(lone, SCALE), resamples=10).pairs == pairs(concord([], SCALE), resamples=10).pairs == ()


def test_posteriors_are_compared_with_gold_as_rounds_would_be_stopped() -> None:
    rows, _, truth = made(items=300, opinions=6)
    right = {f"i{n:04}": f"k{value}" for n, value in enumerate(truth.tolist())}
    crowd_ = known({f"p{n}": (200, 150) for n in range(6)}, SCALE.classes)
    found = calibration(rows, right, SCALE, crowd_, policy(2, 6, target=0.9), against="gold")
    assert found is not None
    assert (found.labels, len(found.bins)) == (300, 10)
    assert found.error < 0.08
    assert found.accuracy == pytest.approx(sum(one.accuracy * one.labels for one in found.bins) / 300, abs=1e-6)
    sure = known({f"p{n}": (1000, 999) for n in range(6)}, SCALE.classes)
    bold = calibration(rows, right, SCALE, sure, policy(2, 6, target=0.9), against="gold")
    assert bold is not None
    assert bold.error > 2 * found.error


def test_few_labels_say_nothing_of_calibration() -> None:
    rows, _, truth = made(items=19)
    right = {f"i{n:04}": f"k{value}" for n, value in enumerate(truth.tolist())}
    assert calibration(rows, right, SCALE, NOTHING, policy(2, 4), against="expert") is None
    assert calibration(rows, {}, SCALE, NOTHING, policy(2, 4), against="gold") is None
    assert calibration(rows, right, Scale(Kind.NUMERIC, tolerance=1.0), NOTHING, policy(), against="gold") is None
