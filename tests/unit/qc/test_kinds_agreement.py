"""Agreement about spans, segments and the others; corrections of proposals; gold with a tolerance; plain kinds."""

from typing import Any

import numpy as np
import pytest

from services.qc.domain.kinds import tolerance
from services.qc.domain.kinds.agreement import agreement
from services.qc.domain.kinds.clusters import Drawn
from services.qc.domain.kinds.corrections import corrected
from services.qc.domain.kinds.intervals import Line
from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.measures import intervals_of
from services.qc.domain.kinds.registry import KINDS
from services.qc.domain.kinds.rewrites import Rewrite, rewritten
from services.qc.domain.kinds.unitizing import alpha_u, expected, observed, parts, sections

SPANS = KINDS["spans"]


def crowd(noise: float, seed: int = 0, items: int = 80) -> dict[str, list[Given[Any]]]:
    """Three annotators of whom each marks other words with this probability."""
    rng = np.random.default_rng(seed)

    def marks(real: int) -> list[list[Any]]:
        at = int(rng.integers(0, 30)) if rng.random() < noise else real
        return [[at, at + 3, "A"]]

    return {
        f"t{item}": [Given(who, SPANS.parse(marks(real))) for who in "xyz"]
        for item, real in enumerate(rng.integers(0, 30, items).tolist())
    }


def test_alphas_are_one_for_the_same_and_near_nothing_for_chance() -> None:
    same = agreement(crowd(0.0), SPANS, resamples=50, rng=np.random.default_rng(1))
    assert same.values["alpha"] == same.values["alpha_u"] == same.values["pairwise_f1"] == 1
    chance = agreement(crowd(1.0), SPANS, resamples=200, rng=np.random.default_rng(1))
    for name in ("alpha", "alpha_u"):
        value, interval = chance.values[name], chance.intervals[name]
        assert value is not None
        assert interval is not None
        assert abs(value) < (0.12 if name == "alpha" else 0.2)  # on short lines that for unitizing falls below 0
        assert interval[0] < 0.03
        assert interval[0] < value < interval[1]


def test_alphas_fall_with_noise_and_intervals_narrow_with_items() -> None:
    def at(noise: float, items: int) -> Any:
        return agreement(crowd(noise, items=items), SPANS, resamples=200, rng=np.random.default_rng(1))

    low, high = at(0.6, 80), at(0.2, 80)
    for name in ("alpha", "alpha_u", "pairwise_f1"):
        assert low.values[name] < high.values[name] < 1
    wide, narrow = at(0.4, 30).intervals["alpha"], at(0.4, 240).intervals["alpha"]
    assert wide[1] - wide[0] > 1.8 * (narrow[1] - narrow[0])


def test_one_answer_to_an_item_says_nothing() -> None:
    found = agreement({"t": crowd(0.0)["t0"][:1]}, SPANS, resamples=10, rng=np.random.default_rng(0))
    assert found.values == {"alpha": None, "alpha_u": None}
    assert found.paired == 0


def test_unitizing_by_hand() -> None:
    """Units of a line of ten: squares of the distances of both ends, over pairs and the squared length."""
    assert observed([sections([(0, 4)], 10), sections([(1, 6)], 10)], 10) == pytest.approx(2 * (1 + 4) / (2 * 1 * 100))
    lines = [sections([(0, 4)], 10), sections([(1, 4)], 10)]
    assert lines[0] == [(0, 4, True), (4, 10, False)]
    assert observed(lines, 10) == pytest.approx(2 * 1 / (2 * 1 * 100))
    units, gaps = [4, 3], [6, 1, 6]
    met = sum((2 - 1) / 3 * (2 * u**3 - 3 * u**2 + u) for u in units)
    room = sum(u**2 * sum(max(g - u + 1, 0) for g in gaps) for u in units)
    ways = 20 * 19 - sum(u * (u - 1) for u in units)
    assert expected(lines, 10) == pytest.approx(2 / 10 * (met + room) / ways)


def test_a_unit_in_a_gap_disagrees_by_its_square_and_classes_are_apart() -> None:
    lines = [sections([(2, 5)], 10), sections([], 10)]
    assert observed(lines, 10) == pytest.approx(2 * 9 / 200)
    other = parts([[(0, 4, "A"), (9, 10, "C")], [(0, 4, "B"), (9, 10, "C")]])
    same = parts([[(0, 4, "A"), (9, 10, "C")], [(0, 4, "A"), (9, 10, "C")]])
    assert same[0] == 0 < other[0]
    assert alpha_u([same])[0] == 1
    assert np.isnan(alpha_u([(0.0, 0.0)])[0])


def test_corrections_of_segments_are_kept_moved_relabelled_added_removed() -> None:
    proposed = [Drawn((0.0, 4.0), "A"), Drawn((10.0, 14.0), "A"), Drawn((20.0, 24.0), "A"), Drawn((30.0, 31.0), "B")]
    answered = [Drawn((0.0, 4.0), "A"), Drawn((10.0, 15.0), "A"), Drawn((20.0, 24.0), "B"), Drawn((50.0, 51.0), "B")]
    found = corrected(proposed, answered, Line())
    assert (found.kept, found.moved, found.relabelled, found.added, found.removed) == (1, 1, 1, 1, 1)
    assert found.share == pytest.approx(4 / 5)


def test_corrections_of_words() -> None:
    assert rewritten(["the", "quick", "brown", "fox"], ["a", "quick", "fox", "jumps"]) == Rewrite(2, 1, 1, 1)
    assert rewritten([], ["a"]).share == 1
    assert rewritten([], []).share == 0


def test_gold_is_right_within_the_tolerance_of_its_kind() -> None:
    said = KINDS["transcript"].parse
    gold = said("one two three four five six seven eight nine ten eleven twelve")
    assert tolerance.right(said("One two three four five six seven eight nine ten eleven twelfth."), gold)
    assert not tolerance.right(said("one two three four five six seven eight nine"), gold)
    assert tolerance.right(SPANS.parse([[0, 2, "A"]]), SPANS.parse([[0, 2, "A"]]))
    assert not tolerance.right(SPANS.parse([[0, 3, "A"]]), SPANS.parse([[0, 2, "A"]]))
    assert tolerance.right(KINDS["rating"].parse(3), KINDS["rating"].parse(4)) is None


def test_sets_of_classes_are_a_question_each() -> None:
    kind = KINDS["choices"]
    items = {f"t{n}": [Given(who, kind.parse("a|b" if n % 2 else "a")) for who in "xyz"] for n in range(30)}
    items["odd"] = [Given(who, kind.parse(raw)) for who, raw in zip("xyz", ("a|b", "b|c", "b"), strict=True)]
    labels = kind.fuse(items).labels
    assert labels["t1"].value.choices == ("a", "b")
    assert "b" in labels["odd"].value.choices
    assert "c" not in labels["odd"].value.choices
    assert labels["odd"].wrong > labels["t1"].wrong
    assert kind.measure([(kind.parse("a|b"), kind.parse(["a"]))]) == {"f1": pytest.approx(2 / 3), "accuracy": 0}


def test_ratings_are_means_and_their_alpha_is_that_of_intervals() -> None:
    kind = KINDS["rating"]
    items = {
        f"t{n}": [Given(who, kind.parse(n + add)) for who, add in zip("xy", (0, 1), strict=True)] for n in range(9)
    }
    assert kind.fuse(items).labels["t3"].value.rating == 3.5
    found = agreement(items, kind, resamples=0, rng=np.random.default_rng(0))
    assert found.values["alpha"] == pytest.approx(0.94, abs=0.03)
    assert found.intervals["alpha"] is None


def test_intervals_of_figures_hold_them_and_narrow_with_items() -> None:
    kind = KINDS["spans"]
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(400):
        true = [[at, at + 2, "a"] for at in range(0, 20, 4)]
        pairs.append((kind.parse([each for each in true if rng.random() < 0.8]), kind.parse(true)))
    widths = []
    for many in (40, 400):
        low, high = intervals_of(kind.measure, pairs[:many])["f1"] or (0.0, 0.0)
        assert low < kind.measure(pairs[:many])["f1"] < high
        widths.append(high - low)
    assert 2 < widths[0] / widths[1] < 5
    by_calls = intervals_of(lambda some: dict(kind.measure(some)), pairs[:40])["f1"] or (0.0, 0.0)
    assert by_calls[1] - by_calls[0] == pytest.approx(widths[0], rel=0.4)
    assert intervals_of(kind.measure, pairs[:1])["f1"] is None
    assert kind.measure([])["f1"] == 1
