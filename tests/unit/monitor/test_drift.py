"""Drift detectors: what they find, when, how surely; and what they leave alone."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from services.monitor.domain.drift import (
    UNSEEN,
    Alphabet,
    Detector,
    Finding,
    Learner,
    Marks,
    Reference,
    Sensitivity,
    Tables,
    Watch,
)
from services.monitor.domain.drift.alternatives import alternatives, project_on_ball, project_on_hull, splits
from services.monitor.domain.drift.detector import BLOCK
from services.monitor.domain.drift.history import History
from services.monitor.domain.drift.predictive import Predictive
from services.monitor.domain.drift.reference import KNOWN
from services.monitor.domain.drift.season import points, regimes
from services.monitor.domain.drift.steps import Runs, Words
from tests.support.drift import SHARES, drawn, named, seasonal, shifted

ROOMY = Sensitivity(reference=5_000, budget=1e5)


def learned(symbols: list[str], target: int = 5_000) -> Reference:
    learner = Learner(target)
    learner.add(symbols)
    return learner.reference()


def watched(symbols: list[str], sensitivity: Sensitivity = ROOMY, *, step: int = BLOCK) -> list[Finding]:
    watch = Watch(sensitivity)
    return [found for start in range(0, len(symbols), step) for found in watch.observe(symbols[start : start + step])]


@pytest.mark.parametrize(
    ("sticky", "tolerance", "classes", "n", "kind"),
    [
        (0.0, 0.0, 5, KNOWN, Words), (0.4, 0.0, 5, KNOWN, Words), (0.4, 0.04, 5, 5_000, Words),
        (0.0, 0.0, 2, KNOWN, Words), (0.4, 0.0, 25, KNOWN, Runs), (0.4, 0.0, 5, 300, Predictive),
    ],
)  # fmt: skip
def test_a_block_is_exactly_its_events_one_by_one(
    sticky: float, tolerance: float, classes: int, n: int, kind: type
) -> None:
    """In blocks of every size: those below a word or a run, whole ones, and with some events left over."""
    rng = np.random.default_rng(1)
    shares = SHARES if classes == len(SHARES) else np.full(classes, 1.0 / classes)
    reference = learned(named(drawn(rng, n, shares, sticky=sticky)), n)
    tables = Tables.of(reference, tolerance=tolerance, seasonal=True)
    assert isinstance(tables.predictive or tables.steps, kind)
    assert tables.chained == (sticky > 0.0)
    blocks, single = Detector(tables, 1e300), Detector(tables, 1e300)
    codes = drawn(rng, 1_000 + BLOCK * (BLOCK + 1) // 2, shifted(rng, 0.1, shares), sticky=sticky)
    codes[::500] = tables.size - 1  # never seen
    place = 0
    for size in (*[50] * 20, *range(1, BLOCK + 1)):
        blocks.update(codes[place : place + size].astype(np.uint8))
        for code in codes[place : place + size]:
            single.update(np.array([code]))
        place += size
        assert np.allclose(blocks.r, single.r, rtol=1e-9)
        assert blocks.last == single.last == codes[place - 1]
        assert (blocks.seen == single.seen).all()
    assert place == len(codes)


def test_an_alarm_is_at_the_same_event_in_blocks_and_alone() -> None:
    rng = np.random.default_rng(2)
    symbols = named(np.concatenate([drawn(rng, 8_000), drawn(rng, 3_000, shifted(rng, 0.2))]))
    (one, *_), (other, *_) = watched(symbols), watched(symbols, step=1)
    assert one.offset == other.offset
    assert one.log_evidence == pytest.approx(other.log_evidence)


def test_one_change_is_one_alarm_with_its_place_size_and_classes() -> None:
    rng = np.random.default_rng(3)
    after = np.array([0.30, 0.35, 0.18, 0.12, 0.05])
    symbols = named(np.concatenate([drawn(rng, 15_000), drawn(rng, 15_000, after)]))
    opened, resolved = watched(symbols)
    assert (opened.state, resolved.state) == ("open", "resolved")
    assert 15_000 <= opened.offset < 15_600
    assert opened.change.low <= 15_000 <= opened.change.high
    assert opened.effect.low <= 0.12 <= opened.effect.high  # 0.1, and what an early alarm adds
    assert {shift.symbol for shift in opened.effect.shifts[:2]} == {"a", "b"}
    for shift in opened.effect.shifts[:2]:
        assert shift.low <= {"a": -0.1, "b": 0.1}[shift.symbol] <= shift.high
    assert opened.log_evidence >= np.log(ROOMY.budget)


def test_going_back_soon_resolves_to_the_old_reference() -> None:
    rng = np.random.default_rng(4)
    spike = drawn(rng, 300, np.array([0.05, 0.25, 0.18, 0.12, 0.40]))
    symbols = named(np.concatenate([drawn(rng, 12_000), spike, drawn(rng, 12_000)]))
    states = [(found.state, found.returned) for found in watched(symbols)]
    assert states[0] == ("open", False)
    assert states[-1] == ("resolved", True)
    assert [state for state, _ in states].count("open") == 1


def test_a_class_never_seen_is_found_soon() -> None:
    rng = np.random.default_rng(5)
    new = np.array([0.38, 0.24, 0.17, 0.11, 0.05, 0.05])
    opened, *_ = watched(named(np.concatenate([drawn(rng, 10_000), drawn(rng, 2_000, new)])))
    assert 10_000 <= opened.offset < 10_250
    assert opened.effect.shifts[0].symbol == UNSEEN


@pytest.mark.parametrize("sticky", [0.0, 0.3])
def test_steady_traffic_raises_no_alarm(sticky: float) -> None:
    rng = np.random.default_rng(6)
    alarms = [found for _ in range(6) for found in watched(named(drawn(rng, 25_000, sticky=sticky)), Sensitivity())]
    assert alarms == []


def test_a_season_in_the_reference_is_no_drift_and_hides_no_other() -> None:
    rng = np.random.default_rng(7)
    for _ in range(3):
        assert watched(named(seasonal(rng, 40_000, 0.08, 10_000)), Sensitivity()) == []
    assert watched(named(seasonal(rng, 36_000, 0.08, 800)), Sensitivity(reference=12_000)) == []  # 15 cycles
    moved = seasonal(rng, 45_000, 0.08, 10_000, after=shifted(rng, 0.15), change=40_000)
    opened, *_ = watched(named(moved), Sensitivity())
    assert 40_000 <= opened.offset < 41_500


@pytest.mark.parametrize("cycles", [0.5, 2.0, 7.5, 15.0, 15.5, 30.5, 31.5])
def test_the_hull_of_a_season_of_any_pace_holds_its_mean(cycles: float) -> None:
    """Of 15 cycles, 16 points evenly in time were of one phase: no drift at all was then found as drift."""
    angle = 2.0 * np.pi * cycles * (np.arange(200) + 0.5) / 200
    moved = np.array([0.05, -0.04, 0.0, 0.01, -0.02]), np.array([0.0, 0.03, -0.03, 0.01, -0.01])
    curve = np.cos(angle)[:, None] * moved[0] + np.sin(angle)[:, None] * moved[1]
    hull = regimes(SHARES, points(curve - curve.mean(axis=0)))
    sought = alternatives(SHARES)
    assert ((sought / project_on_hull(sought, hull)) @ SHARES).max() < 1.003


def test_tolerant_leaves_alone_what_is_near_and_finds_what_is_far() -> None:
    rng = np.random.default_rng(8)
    tolerant = Sensitivity("tolerant", tolerance=0.06, reference=5_000)
    near, far = shifted(rng, 0.05), shifted(rng, 0.25)
    assert watched(named(np.concatenate([drawn(rng, 8_000), drawn(rng, 20_000, near)])), tolerant) == []
    opened, *_ = watched(named(np.concatenate([drawn(rng, 8_000), drawn(rng, 2_000, far)])), tolerant)
    assert 8_000 <= opened.offset < 8_500


def test_a_new_version_makes_a_new_reference_and_no_alarm() -> None:
    rng = np.random.default_rng(9)
    watch = Watch(ROOMY, "m1")
    assert watch.observe(named(drawn(rng, 8_000))) == []
    assert watch.rebase("m2") is None
    assert watch.observe(named(drawn(rng, 8_000, shifted(rng, 0.3)))) == []
    assert watch.version == "m2"
    (opened, *_) = watch.observe(named(drawn(rng, 500)))
    said = watch.rebase("m3")
    assert said is not None
    assert (opened.state, said.state) == ("open", "superseded")
    assert said.opened == opened.opened


@pytest.mark.parametrize("cut", [700, 4_000, 9_000, 15_700, 16_400, 21_000])
def test_it_goes_on_from_its_state(cut: int) -> None:
    rng = np.random.default_rng(10)
    symbols = named(np.concatenate([drawn(rng, 15_500), drawn(rng, 8_000, shifted(rng, 0.15))]))
    whole, first = Watch(ROOMY), Watch(ROOMY)
    expected = whole.observe(symbols)
    found = first.observe(symbols[:cut])
    text = json.dumps(first.state())
    assert len(text) < 6_000
    second = Watch.load(ROOMY, json.loads(text))
    found += second.observe(symbols[cut:])
    assert [(f.state, f.offset, f.change) for f in found] == [(f.state, f.offset, f.change) for f in expected]
    assert second.log_evidence == pytest.approx(whole.log_evidence, rel=1e-3)


def test_no_member_of_the_null_makes_the_ratio_grow() -> None:
    rng = np.random.default_rng(12)
    p, radius = SHARES, 0.04
    outside = [q for q in alternatives(p) if np.abs(q - p).sum() / 2.0 > radius]
    assert len(outside) > 30
    for q, near in zip(outside, project_on_ball(np.array(outside), p, radius), strict=True):
        assert np.abs(near - p).sum() / 2.0 == pytest.approx(radius, abs=1e-6)
        assert all(((shifted(rng, radius) * q / near).sum()) <= 1.0 + 1e-6 for _ in range(20))
    points = np.array([shifted(rng, 0.05) for _ in range(4)])
    sought = alternatives(p)
    ratios = sought / project_on_hull(sought, points)
    assert (points @ ratios.T).max() < 1.003


@pytest.mark.parametrize("shares", [SHARES, np.array([0.97, 0.03]), np.full(30, 1 / 30)])
def test_what_lies_beyond_a_tolerance_is_sought_in_every_direction(shares: NDArray[np.float64]) -> None:
    p = np.append(shares, 1e-5) / (1.0 + 1e-5)
    found = splits(p, 0.04)
    assert np.allclose(found.sum(axis=1), 1.0)
    assert (found > 0.0).all()
    distances = np.abs(found - p).sum(axis=1) / 2.0
    assert {round(d, 6) for d in distances.tolist()} <= {0.09, 0.18}
    directions = {tuple(row) for row in np.sign(np.round(found - p, 6)).tolist()}
    # of two sides, what would take more of the losing one than it has is left out
    assert len(directions) == {2: 1, 5: 29, 30: 30}[len(shares)]
    assert splits(np.array([1.0]), 0.04).shape == (0, 1)


def gold_alarms(seed: int, annotators: int, change: int, after: float) -> int:
    """How many of them raise one within 2,000 answers to gold; what is right of them is .93 and `after`."""
    rng, gold, found = np.random.default_rng(seed), Sensitivity("sharp", 1e7, 50), 0
    for _ in range(annotators):
        right = np.concatenate([rng.random(change) < 0.93, rng.random(2_000 - change) < after])
        found += bool(watched(["right" if one else "wrong" for one in right.tolist()], gold))
    return found


def test_a_small_reference_grows_while_it_holds_still_and_takes_in_no_change() -> None:
    """Answers of people who did not change, and of those who have lost 15 points after 600."""
    assert gold_alarms(19, 20, 0, 0.93) == 0
    assert gold_alarms(22, 10, 600, 0.78) >= 9


def evidence_of(counts: list[int], codes: NDArray[np.integer]) -> list[float]:
    """In nats, after each block of events, by a reference of these counts."""
    reference = Reference(Alphabet(("right", "wrong")), np.array(counts))
    detector, found = Detector(Tables.of(reference, tolerance=0.0, seasonal=False), 1e300), []
    for start in range(0, len(codes), BLOCK):
        detector.update(codes[start : start + BLOCK].astype(np.uint8))
        found.append(detector.log_evidence)
    return found


def test_a_lucky_small_reference_accuses_nobody_and_a_change_is_still_found() -> None:
    """98 of the first 100 right by one of 93 %: taken as known, the rest of their answers are a loss of five points."""
    rng = np.random.default_rng(20)
    steady, worse = (rng.random(3_000) < 0.07).astype(int), (rng.random(400) < 0.35).astype(int)
    assert max(evidence_of([98, 2, 0], steady)) < np.log(1e5)
    assert max(evidence_of([98 * 200, 2 * 200, 0], steady)) > np.log(1e12)
    assert max(evidence_of([98, 2, 0], worse)) > np.log(1e9)


def test_the_evidence_of_a_small_reference_is_at_most_the_events_too() -> None:
    """Over what its shares may be, by their posterior: the property behind the guarantee, where they are not known."""
    rng = np.random.default_rng(21)
    counts = np.array([12, 6, 0])
    tables = Tables.of(Reference(Alphabet(("a", "b")), counts), tolerance=0.0, seasonal=False)
    evidence = []
    for _ in range(1_000):
        detector = Detector(tables, 1e300)
        detector.update(drawn(rng, 20, rng.dirichlet(counts + 0.5)))
        evidence.append(detector.evidence)
    assert np.mean(evidence) == pytest.approx(20.0, rel=0.1)


def test_tolerant_finds_a_shift_that_many_classes_share() -> None:
    """Twice the tolerance and a half, in random directions; with one class or a pair at a time it took 2,400 events."""
    rng = np.random.default_rng(15)
    tolerant, waits = Sensitivity("tolerant", reference=5_000), []
    for _ in range(9):
        symbols = named(np.concatenate([drawn(rng, 5_000), drawn(rng, 3_000, shifted(rng, 0.1))]))
        waits.append(next((one.offset - 5_000 for one in watched(symbols, tolerant)), 5_000))
    assert 500 < np.median(waits) < 2_000


def test_the_evidence_is_at_most_the_events_while_nothing_changes() -> None:
    """The property behind the guarantee: evidence - t is a supermartingale."""
    rng = np.random.default_rng(13)
    counts = np.array([*(SHARES * 1e9).astype(int), 0])
    tables = Tables.of(Reference(Alphabet(tuple("abcde")), counts), tolerance=0.0, seasonal=False)
    evidence = []
    for _ in range(400):
        detector = Detector(tables, 1e300)
        detector.update(drawn(rng, 60))
        evidence.append(detector.evidence)
    assert np.mean(evidence) == pytest.approx(60.0, rel=0.1)


def test_the_interval_of_the_change_holds_it() -> None:
    rng = np.random.default_rng(14)
    held = 0
    for _ in range(60):
        history = History(5, 0)
        history.add(drawn(rng, 3_000))
        history.add(drawn(rng, 400, shifted(rng, 0.15)))
        found, counts = history.change(SHARES, 1.0)
        held += found.low <= 3_000 <= found.high
        assert counts.sum() == history.end - found.at
    assert held >= 54


def test_events_are_counted_alike_however_they_come() -> None:
    rng = np.random.default_rng(16)
    codes, whole, parts = rng.integers(0, 3, 9_000), History(3, 0), History(3, 0)
    whole.add(codes)
    place = 0
    while place < len(codes):
        size = int(rng.integers(1, 64))
        parts.add(codes[place : place + size].astype(np.uint8))
        place += size
        if rng.random() < 0.1:
            parts = History.load(json.loads(json.dumps(parts.state())), 3)
    assert (parts.bins() == whole.bins()).all()
    assert parts.state() == whole.state()
    assert whole.bins().sum(axis=0).tolist() == np.bincount(codes).tolist()


def test_old_bins_and_marks_get_coarser_and_stay_right() -> None:
    history, marks = History(2, 0), Marks()
    for offset in range(0, 200_000, 50):
        history.add(np.zeros(50, dtype=np.int64))
        marks.add(offset, offset * 2)
    assert len(history.bins()) <= 97
    assert history.start + history.bins().sum() <= history.end == 200_000
    for offset in (0, 70_010, 199_999):
        nearest = marks.nearest(offset)
        assert nearest is not None
        assert nearest[1] == nearest[0] * 2
        assert nearest[0] <= offset
    assert len(json.dumps(marks.state())) < 10_000


def test_rare_classes_share_a_code_and_new_ones_have_their_own() -> None:
    alphabet = Alphabet.of({"a": 900, "b": 98, "c": 1, "d": 1})
    assert alphabet.named == ("a", "b")
    assert alphabet.codes(["a", "b", "c", "d", "new"]) == [0, 1, 2, 2, 3]
    for symbols in (["b"], ["b", "d"], ["new"], ["a", "new"], []):
        assert alphabet.encoded(symbols).tolist() == alphabet.codes(symbols)
