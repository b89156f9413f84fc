"""Agreement: published examples, values by hand, the same from a file, a stream and every split of the data."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain.agreement import MEASURES, Order, agreement
from services.qc.domain.answers import Answers, answers_of
from services.qc.domain.cohen import pair_table
from services.qc.domain.resampling import agreement_with_intervals
from services.qc.domain.tally import Tally, tally_of

NONE = -1
# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", example C: 4 observers, 12 units.
KRIPPENDORFF = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3),
    (NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE),
)
NUMBERS = Order(ordered=True, values=np.arange(1.0, 6.0))
# Fleiss 1971, "Measuring nominal scale agreement among many raters": ten subjects, fourteen raters, five classes.
FLEISS = (
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
)  # fmt: skip
CLASSES = ("a", "b", "c", "d", "e")
counts = st.lists(st.integers(0, 4), min_size=3, max_size=3)


def table(rows: tuple[tuple[int, ...], ...], *, first: int = 1) -> Answers:
    """Answers from one row per annotator."""
    triples = [(u, w, v - first) for w, row in enumerate(rows) for u, v in enumerate(row) if v != NONE]
    item, annotator, symbol = zip(*triples, strict=True)
    size = max(symbol) + 1
    return answers_of(item, annotator, symbol, (len(rows[0]), len(rows), size))


def of(answers: Answers, order: Order | None = None) -> dict[str, float | None]:
    found = agreement_with_intervals(answers, order or Order(), resamples=0, rng=np.random.default_rng(0))
    return found.values


def test_alpha_is_krippendorffs_published_one() -> None:
    found = of(table(KRIPPENDORFF), NUMBERS)
    assert found["alpha_nominal"] == pytest.approx(0.743, abs=5e-4)
    assert found["alpha_ordinal"] == pytest.approx(0.815, abs=5e-4)
    assert found["alpha_interval"] == pytest.approx(0.849, abs=5e-4)


def test_kappa_is_fleiss_published_one() -> None:
    found = agreement(tally_of(dict(zip(CLASSES, row, strict=True)) for row in FLEISS), CLASSES)
    assert found["fleiss"] == pytest.approx(0.210, abs=5e-4)
    assert found["percent_agreement"] == pytest.approx(0.378, abs=5e-4)


def test_where_one_class_rules_kappa_falls_and_ac1_does_not() -> None:
    """118 of 125 units are (+, +), 2 are (-, -): the shape of Gwet's paradox, by hand."""
    units = [{"+": 2}] * 118 + [{"+": 1, "-": 1}] * 5 + [{"-": 2}] * 2
    found = agreement(tally_of(units), ("+", "-"))
    share = (118 + 2.5) / 125
    observed, chance = 120 / 125, 2 * share * (1 - share)
    assert found["gwet_ac1"] == pytest.approx((observed - chance) / (1 - chance))
    assert found["fleiss"] == pytest.approx((observed - 1 + chance) / chance)
    assert (found["gwet_ac1"] or 0) > 0.95
    assert (found["alpha_nominal"] or 1) < 0.6


def test_ac2_forgives_near_misses_quadratically() -> None:
    """Three classes: weights 1, .75, 0; two units, one of them a near miss."""
    found = agreement(tally_of([{"a": 2}, {"a": 1, "b": 1}]), ("a", "b", "c"), Order(ordered=True))
    spread = 0.75 * 0.25 + 0.25 * 0.75
    chance = (3 + 4 * 0.75) / (3 * 2) * spread
    assert found["gwet_ac2"] == pytest.approx(((1 + 0.75) / 2 - chance) / (1 - chance))
    assert found["gwet_ac1"] == pytest.approx((0.5 - spread / 2) / (1 - spread / 2))


def test_cohen_of_a_pair_by_hand() -> None:
    """20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed .7, chance .5, kappa .4."""
    cells = [(1, 1)] * 20 + [(1, 0)] * 5 + [(0, 1)] * 10 + [(0, 0)] * 15
    answers = answers_of(
        [u for u in range(50) for _ in range(2)], [0, 1] * 50, [s for pair in cells for s in pair], (50, 2, 2)
    )
    assert of(answers)["mean_pair_cohen"] == pytest.approx(0.4)
    assert pair_table(answers).pairs.tolist() == [[0, 1]]
    assert len(pair_table(answers, in_common=51)) == 0


def test_what_is_undefined_is_none() -> None:
    lone = of(answers_of([0, 1], [0, 0], [0, 1], (2, 1, 2)))
    assert set(lone.values()) == {None}
    same = of(answers_of([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], (2, 2, 2)), NUMBERS_OF_TWO)
    assert same["alpha_nominal"] is None
    assert same["fleiss"] is None
    assert same["percent_agreement"] == 1.0
    assert same["gwet_ac1"] == 1.0
    unordered = of(table(KRIPPENDORFF))
    assert unordered["alpha_ordinal"] is unordered["alpha_interval"] is unordered["gwet_ac2"] is None


NUMBERS_OF_TWO = Order(ordered=True, values=np.array([0.0, 1.0]))


def test_of_repeats_the_last_counts() -> None:
    repeated = answers_of([0, 0, 0, 1, 1], [0, 1, 0, 0, 1], [1, 0, 0, 1, 1], (2, 2, 2))
    assert len(repeated) == 4
    assert of(repeated)["percent_agreement"] == 1.0


@settings(deadline=None)
@given(st.lists(counts, min_size=1, max_size=8))
def test_a_tally_says_what_the_answers_say(rows: list[list[int]]) -> None:
    triples = [
        (u, w, s) for u, row in enumerate(rows) for w, s in enumerate(s for s in range(3) for _ in range(row[s]))
    ]
    item, annotator, symbol = (list(column) for column in zip(*triples, strict=True)) if triples else ([], [], [])
    answers = answers_of(item, annotator, symbol, (len(rows), 12, 3))
    order = Order(ordered=True, values=np.array([1.0, 2.0, 4.0]))
    found = agreement(tally_of(dict(zip("abc", row, strict=True)) for row in rows), "abc", order)
    if triples:
        there = of(answers, order)
        for name in MEASURES:
            assert found[name] == (None if there[name] is None else pytest.approx(there[name], abs=1e-9)), name
    else:
        assert set(found.values()) == {None}


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("abc")), max_size=20), st.randoms())
def test_a_stream_in_any_order_comes_to_the_same_integers(stream: list[tuple[str, str]], rng: object) -> None:
    def streamed(answers: list[tuple[str, str]]) -> Tally:
        found, units = Tally(), {name: Counter[str]() for name in "uvw"}
        for unit, symbol in answers:
            found.move(units[unit], symbol)
        return found.nonzero()

    shuffled = list(stream)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    whole = tally_of(Counter(s for u, s in stream if u == unit) for unit in "uvw")
    assert streamed(stream) == streamed(shuffled) == whole
    doubled = tally_of([])
    doubled.merge(whole)
    doubled.merge(whole, -1)
    assert doubled.nonzero() == Tally()


def test_one_class_against_the_rest() -> None:
    split = tally_of([{"a": 2}, {"b": 1, "c": 1}, {"a": 1, "b": 1}]).one_against_rest("a")
    assert split.nonzero() == tally_of([{"a": 2}, {"": 2}, {"a": 1, "": 1}])


def test_intervals_hold_the_value_and_narrow_with_the_data() -> None:
    rng = np.random.default_rng(3)

    def interval(units: int) -> tuple[float, float]:
        truth = rng.integers(0, 3, units)
        given = np.where(rng.random((4, units)) < 0.7, truth, rng.integers(0, 3, (4, units)))
        answers = table(tuple(map(tuple, given.tolist())), first=0)
        found = agreement_with_intervals(answers, Order(), resamples=400, rng=np.random.default_rng(0))
        for name in ("alpha_nominal", "gwet_ac1", "fleiss", "mean_pair_cohen"):
            low, high = found.intervals[name] or (math.inf, -math.inf)
            assert low < (found.values[name] or math.nan) < high, name
        low, high = found.intervals["alpha_nominal"] or (0.0, 9.0)
        return low, high

    few, many = interval(50), interval(800)
    assert many[1] - many[0] < (few[1] - few[0]) / 2


def test_equal_seeds_are_equal_intervals() -> None:
    answers = table(KRIPPENDORFF)
    one, two = (
        agreement_with_intervals(answers, NUMBERS, resamples=50, rng=np.random.default_rng(5)) for _ in range(2)
    )
    assert one == two
