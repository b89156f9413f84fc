"""What is watched: fair samples of people's labels, slices, bins of confidence, versions; and how replicas merge."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.domain.drift import Alphabet, Detector, Learner, Reference, Tables
from services.monitor.domain.drift.bins import Bins, edges, grid
from services.monitor.domain.drift.keeper import Keeper, Taken
from services.monitor.domain.drift.sampling import is_beside_audits, is_sampled
from services.monitor.domain.drift.signals import (
    AGREEMENT,
    CONFIDENCE,
    CONFUSION,
    GOLD,
    LABELLED,
    PREDICTED,
    SHARES,
    SLICED,
    Gathered,
    Observation,
    gold,
    labelled,
    predicted,
    weight,
)
from shared.events import AutoAccept, Drift, DriftAlarm, Evidence, GoldResult, Guarantee, Label
from tests.support import events as make
from tests.support.drift import SHARES as MIX
from tests.support.drift import drawn, named, shifted

KNOWN = Reference(Alphabet(tuple("abcde")), np.array([*(MIX * 1e9).astype(int), 0]))
TABLES = Tables.of(KNOWN, tolerance=0.0, seasonal=False)


def folded(observations: Sequence[Observation], policy: Drift, *, sliced: bool = False) -> list[DriftAlarm]:
    """What the detectors say of observations of one project in this order."""
    keepers: dict[tuple[str, str], Keeper] = {}
    told = []
    for one in observations:
        group = one.group
        keeper = keepers.setdefault((group.signal, group.slice), Keeper(group, policy, sliced=sliced))
        told += keeper.fold(Taken(group, one.observed_at, one.symbols, one.items), len(keepers), str)
    return told


def test_budgets_add_up_whatever_the_slices() -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0)
    for sliced in (False, True):
        per_event = sum(weight(signal, sliced=sliced) * (1 + (sliced and signal in SLICED)) for signal in SHARES)
        assert per_event == pytest.approx(1.0)  # an event counts in the whole, and in one slice


def test_many_detectors_together_keep_the_budget() -> None:
    """The whole and ten slices of very different size, with half of the budget each: 100,000 events, no change."""
    rng, budget, n = np.random.default_rng(1), 2_000, 100_000
    shares = np.array([0.5 ** (k + 1) for k in range(10)])
    slices, y = rng.choice(10, n, p=shares / shares.sum()), drawn(rng, n)
    alarms = 0
    for part in (y, *(y[slices == k] for k in range(10))):
        detector, place = Detector(TABLES, 2.0 * budget), 0
        while place < len(part):
            taken = detector.update(part[place : place + 64])
            place += 64 if taken is None else taken + 1
            if taken is not None:
                alarms += 1
                detector = Detector(TABLES, 2.0 * budget)
    assert 5 <= alarms <= n / budget + 3.0 * (n / budget) ** 0.5


def test_a_slice_is_watched_beside_the_whole_and_only_one_that_the_project_has() -> None:
    events = [make.prediction(f"i{n}", slice=name) for n, name in enumerate(("shop", "shop", "gone", None))]
    sizes = {(o.group.signal, o.group.slice): len(o.symbols) for o in predicted(events, {make.PROJECT: {"shop"}})}
    expected = {(signal, part): n for signal in (PREDICTED, CONFIDENCE) for part, n in (("", 4), ("shop", 2))}
    assert sizes == expected
    found = Gathered()
    labelled(make.label(slice="shop", evidence=Evidence(proposal=make.proposal())), 60, found, {"shop"})
    parts = Counter((o.group.signal, o.group.slice) for o in found.all())
    assert set(parts) == {(LABELLED, ""), (AGREEMENT, ""), (CONFUSION, ""), (LABELLED, "shop"), (AGREEMENT, "shop")}


@pytest.mark.parametrize("shift", [False, True])
def test_confidence_is_watched_in_tenths_of_what_it_was(shift: bool) -> None:
    """Nearly all of it lies above .97, where bins of equal width would see nothing."""
    rng = np.random.default_rng(2)
    sure = 1.0 - rng.exponential(0.01, 9_000).clip(0.0, 0.3)
    after = 1.0 - rng.exponential(0.013 if shift else 0.01, 4_000).clip(0.0, 0.3)
    events = [make.prediction(f"i{n}", confidence=float(c)) for n, c in enumerate([*sure, *after])]
    observed = [
        one
        for start in range(0, len(events), 500)
        for one in predicted(events[start : start + 500], {})
        if one.group.signal == CONFIDENCE
    ]
    told = folded(observed, Drift(reference=5_000))
    assert [one.state for one in told][:1] == (["open"] if shift else [])
    if shift:
        named_ = [one.symbol for one in told[0].effect.classes]
        assert 8 <= len(named_) <= 11
        assert told[0].exemplars
        assert told[0].effect.change_high >= 7_000


def test_bins_go_on_from_their_state_and_take_old_names() -> None:
    rng = np.random.default_rng(3)
    numbers = [grid(float(c)) for c in rng.beta(9.0, 2.0, 300)]
    whole, first = Bins(100), Bins(100)
    expected = whole.named(numbers)
    found = first.named(numbers[:60])
    assert found == []
    found = Bins.load(first.state(), 100).named(numbers[60:])
    assert found == expected
    assert max(Counter(expected[:100]).values()) <= 20
    assert whole.name("0.9 to 0.95") == whole.name("0.9")
    same = Bins(3)
    assert same.named(["1", "1", "1"]) == ["all"] * 3
    assert edges([0.2] * 60 + [0.7] * 40) == (0.7,)
    assert [grid(c) for c in (0.29, 0.9572, 0.99953, 1.0)] == ["0.29", "0.957", "0.9995", "1"]


AUTO = make.project_spec(policy=make.policy(auto_accept=AutoAccept(threshold=0.9, audit_share=0.2)))
LOWER = make.project_spec(policy=make.policy(auto_accept=AutoAccept(threshold=0.6, audit_share=0.2)))


def by_people(rng: np.random.Generator, n: int, threshold: float) -> list[Label]:
    """Labels of the traffic that people see: what is below the threshold, and a fifth of the rest. Nothing drifts."""
    least = {"positive": 0.7, "negative": 0.4, "neutral": 0.3}
    found = []
    for k, (symbol, draw) in enumerate(zip(rng.choice(make.CLASSES, n, p=(0.5, 0.3, 0.2)), rng.random(n), strict=True)):
        confidence = least[symbol] + (1.0 - least[symbol]) * float(draw)
        audit = confidence >= threshold
        if audit and rng.random() >= 0.2:
            continue
        evidence = Evidence(proposal=make.proposal(str(symbol), confidence=confidence))
        found.append(
            make.label(
                f"{threshold}-{k}", value=str(symbol), would_auto=audit, inclusion_probability=0.2 if audit else 1.0,
                evidence=evidence,
            )
        )  # fmt: skip
    return found


def observed_labels(labels: Sequence[Label]) -> list[Observation]:
    found = []
    for start in range(0, len(labels), 100):
        gathered = Gathered()
        for one in labels[start : start + 100]:
            labelled(one, 0, gathered)
        found += [one for one in gathered.all() if one.group.signal == LABELLED]
    return found


def test_what_people_see_changes_with_the_threshold_and_that_is_no_drift() -> None:
    rng = np.random.default_rng(4)
    before, after = by_people(rng, 9_000, 0.9), by_people(rng, 7_000, 0.6)
    everything = folded(observed_labels([*before, *after]), Drift(reference=5_000))
    assert "open" in {one.state for one in everything}, "the biased sample would have alarmed"
    kept = [one for one in before if is_sampled(one, AUTO)] + [one for one in after if is_sampled(one, LOWER)]
    assert len(kept) == pytest.approx(0.2 * 16_000, rel=0.1)
    assert folded(observed_labels(kept), Drift(reference=5_000)) == []


def test_only_chance_makes_a_sample() -> None:
    """Of a budget only what was explored; of what is accepted unseen nothing; beside audits not the same again."""
    budgeted = make.project_spec(policy=make.policy(auto_accept=None, budget={"items": 100}, order={"explore": 0.1}))
    chosen, explored = make.label(inclusion_probability=1.0), make.label(inclusion_probability=0.1)
    assert (is_sampled(chosen, budgeted), is_sampled(explored, budgeted)) == (False, True)
    unseen = make.project_spec(policy=make.policy(auto_accept=AutoAccept(threshold=0.9, audit_share=0.0)))
    assert not is_sampled(chosen, unseen)
    assert is_sampled(chosen, make.project_spec(policy=make.policy(auto_accept=None)))
    promised = AutoAccept(threshold=0.8, audit_share=0.1, guarantee=Guarantee(target_error=0.05))
    policy = make.policy(auto_accept=promised)
    for confidence, audited, beside in ((0.85, False, True), (0.85, True, False), (0.7, False, False)):
        evidence = Evidence(proposal=make.proposal(confidence=confidence))
        assert is_beside_audits(make.label(would_auto=audited, evidence=evidence), policy) is beside


def versions(signal: str, model: int, guideline: int, *, good: float, seed: int) -> list[Observation]:
    """A signal under a model and a guideline version."""
    draws = np.random.default_rng(seed).random(1_500) < good
    found = []
    for start in range(0, 1_500, 100):
        chunk = [(start + k, bool(ok)) for k, ok in enumerate(draws[start : start + 100])]
        gathered = Gathered()
        more: dict[str, Any] = {"model_version": f"m{model}", "generation": model}
        if signal in {PREDICTED, CONFIDENCE}:
            names = [("positive" if ok else "negative", 0.9 if ok else 0.6) for _, ok in chunk]
            found += predicted([make.prediction(value=v, confidence=c, **more) for v, c in names], {})
        elif signal == GOLD:
            results = [
                GoldResult(
                    annotator_id="ann", annotation_id=make.uid("gold", n), gold_item_id="g", correct=ok, expected="a",
                    answered="a" if ok else "b", guideline_version=guideline,
                )
                for n, ok in chunk
            ]  # fmt: skip
            found += gold([make.quality(one) for one in results])
        else:
            for n, ok in chunk:
                evidence = Evidence(proposal=make.proposal("positive", **more))
                value = "positive" if ok else "negative"
                labelled(make.label(f"i{n}", value=value, guideline_version=guideline, evidence=evidence), 60, gathered)
            found += gathered.all()
    return [one for one in found if one.group.signal == signal]


@pytest.mark.parametrize(
    ("signal", "of_model", "of_guideline"),
    [
        (PREDICTED, True, False), (CONFIDENCE, True, False), (LABELLED, False, True), (AGREEMENT, True, True),
        (CONFUSION, True, True), (GOLD, False, True),
    ],
)  # fmt: skip
def test_a_new_version_makes_a_new_reference_of_what_depends_on_it(
    signal: str, of_model: bool, of_guideline: bool
) -> None:  # fmt: skip
    policy = Drift(reference=1_000)
    before = versions(signal, 1, 1, good=0.9, seed=1)
    for model, guideline, excused in ((1, 1, False), (2, 1, of_model), (1, 2, of_guideline)):
        after = versions(signal, model, guideline, good=0.6, seed=2)
        told = folded([*before, *after], policy)
        assert bool(told) is not excused, (signal, model, guideline)


@given(st.lists(st.integers(0, 300), min_size=2, max_size=5))
def test_replicas_merge_in_any_order_and_in_any_groups(
    sizes: list[int],
) -> None:
    rng = np.random.default_rng(sum(sizes))
    parts = [named(drawn(rng, n)) for n in sizes]
    learners = [Learner(500) for _ in parts]
    for one, part in zip(learners, parts, strict=True):
        one.add(part)
    merged, turned = Learner.merged(learners), Learner.merged(learners[::-1])
    assert sum(merged.blocks, Counter()) == Counter(symbol for part in parts for symbol in part)
    assert (merged.n, merged.repeats, merged.blocks) == (turned.n, turned.repeats, turned.blocks)
    assert merged.width * 2 * 100 >= merged.n
    detectors = [Detector(TABLES, 1e300) for _ in parts]
    alone = np.zeros(len(detectors[0].r))
    for detector, part in zip(detectors, parts, strict=True):
        codes = np.array(Alphabet(tuple("abcde")).codes(part), dtype=np.int64)
        for start in range(0, len(codes), 64):
            detector.update(codes[start : start + 64])
        alone = alone + detector.r
    first, *others = detectors
    second = others[0]
    second.merge(others[1:])
    first.merge([second])
    assert np.allclose(first.r, alone, rtol=1e-9)


def test_the_evidence_of_replicas_is_at_most_the_events_of_all() -> None:
    """What makes the sum an e-detector: while nothing changes, its mean is the number of events."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(400):
        replicas = [Detector(TABLES, 1e300) for _ in range(3)]
        for replica, n in zip(replicas, (10, 20, 30), strict=True):
            replica.update(drawn(rng, n))
        replicas[0].merge(replicas[1:])
        found.append(replicas[0].evidence)
    assert np.mean(found) == pytest.approx(60.0, rel=0.1)


def test_replicas_find_a_change_together() -> None:
    rng = np.random.default_rng(6)
    after = shifted(rng, 0.2)
    replicas = [Detector(TABLES, 1e300) for _ in range(4)]
    for replica in replicas:
        for _ in range(4):
            replica.update(drawn(rng, 50, after))
    alone = max(replica.log_evidence for replica in replicas)
    replicas[0].merge(replicas[1:])
    assert replicas[0].log_evidence >= alone
