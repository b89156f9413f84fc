"""How detectors stand between alarms: evidence and its limit, what is learned of the reference, in which state."""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from services.monitor.domain.drift.keeper import Keeper, Taken
from services.monitor.domain.drift.signals import GOLD, PREDICTED, Group
from services.monitor.domain.drift.standing import DetectorState, Standing, Watched
from services.monitor.metrics.drift import drift
from services.monitor.metrics.snapshot import Snapshot
from shared.events import Drift
from tests.support import events as make

USUAL, OTHER = (0.7, 0.2, 0.1), (0.2, 0.2, 0.6)
GROUP = Group(make.PROJECT, PREDICTED)
POLICY = Drift(reference=1000)


def standings(keeper: Keeper, *parts: tuple[tuple[float, ...], int]) -> Iterator[Standing]:
    """How the detector stands after each 20 events."""
    rng, seen = np.random.default_rng(2), 0
    for shares, n in parts:
        symbols = [make.CLASSES[k] for k in rng.choice(3, n, p=shares).tolist()]
        for start in range(0, n, 20):
            keeper.fold(Taken(GROUP, make.at(seen + start), symbols[start : start + 20], {}), 1, str)
            yield keeper.standing()
        seen += n


def test_evidence_rises_to_its_limit_before_the_alarm_and_stays_there_while_it_is_open() -> None:
    found = list(standings(Keeper(GROUP, POLICY), (USUAL, 1200), (OTHER, 100)))
    assert [one.seen for one in found] == list(range(20, 1301, 20))
    assert [one.state for one in found[:60]] == ["learning"] * 49 + ["watching"] * 11
    assert [one.learned for one in found[:50]] == list(range(20, 1001, 20))
    assert {one.wanted for one in found} == {1000}
    (limit,) = {one.log_limit for one in found}
    assert limit == pytest.approx(math.log(1e6 / 0.3))
    before, after = found[59], found[60:]
    assert before.share < 0.5
    assert after[0].state is DetectorState.WATCHING
    assert before.log_evidence < after[0].log_evidence < limit, "told before it alarms"
    opened = next(place for place, one in enumerate(after) if one.state is DetectorState.ALARMED)
    assert 0 < opened < 4
    assert all(one.log_evidence == after[opened].log_evidence >= limit and one.share == 1.0 for one in after[opened:])


def test_it_stands_as_it_stood_after_its_state_was_kept() -> None:
    for parts in (((USUAL, 300),), ((USUAL, 1200), (OTHER, 20)), ((USUAL, 1200), (OTHER, 100))):
        keeper = Keeper(GROUP, POLICY)
        *_, last = standings(keeper, *parts)
        again = Keeper.load(keeper.state(), POLICY).standing()
        assert again._replace(log_evidence=0.0) == last._replace(log_evidence=0.0)
        assert again.log_evidence == pytest.approx(last.log_evidence, rel=1e-4)


@pytest.mark.parametrize(("classes", "most"), [(5, 4_000), (30, 16_000)])
def test_a_state_is_a_few_kb_and_nothing_is_lost_with_it(classes: int, most: int) -> None:
    """While a reference of 10,000 is learned and grows, and through an alarm."""
    rng, seen, sizes, states = np.random.default_rng(classes), 0, [], set()
    keeper = Keeper(GROUP, Drift())
    shares = rng.dirichlet(np.full(classes, 5.0))
    for n, mix in ((40_000, shares), (1_500, np.roll(shares, 1))):
        drawn = rng.choice(classes, n, p=mix)
        for start in range(0, n, 500):
            part = [f"class {k:02}" for k in drawn[start : start + 500].tolist()]
            items = {symbol: rng.bytes(16).hex() for symbol in part}
            keeper.fold(Taken(GROUP, make.at(seen), part, items), 1, str)
            seen += 500
            if seen % 9_500 == 0 or seen > 40_000:
                sizes.append(len(keeper.state()))
                states.add(keeper.standing().state)
                assert Keeper.load(keeper.state(), Drift()).state() == keeper.state()
    assert states == set(DetectorState)
    assert max(sizes) < most


def test_a_state_of_an_earlier_version_goes_on() -> None:
    """As it was written before states were packed: 130 answers to gold, of which the first 100 are the reference."""
    text = Path(__file__).with_name("earlier_detector.json").read_text()
    before = json.loads(text)["watch"]
    keeper = Keeper.load(text, Drift())
    again = Keeper.load(keeper.state(), Drift())
    for one in (keeper, again):
        assert (one.watch.offset, one.watch.learned, one.standing().signal) == (130, 130, GOLD)
        assert one.watch.reference is not None
        assert one.watch.learner is not None
        assert one.watch.reference.counts.tolist() == before["reference"]["counts"]
        assert [dict(block) for block in one.watch.learner.blocks] == before["learner"]["blocks"]
    assert again.state() == keeper.state()
    group, wrong = Group("p", GOLD, "ann", guideline_version=1), ["wrong"] * 60
    (alarm,) = again.fold(Taken(group, make.at(10**6), wrong, {}), 1, str)
    assert alarm.reference.started_at == datetime(2026, 11, 26, tzinfo=UTC)
    assert alarm.reference.n == 100


def test_metrics_have_a_series_per_signal_however_many_slices() -> None:
    watched = {("p", "gold"): Watched(3.0, 15.0, 40, 2000, 1), ("p", "predicted_class"): Watched(12.0, 15.0, 0, 3, 0)}
    shown = Snapshot(make.AT, projects={"p": ()}, watched=watched, drift_budgets={"p": 1_000_000})
    samples = {(s.name, *s.labels.values()): s.value for metric in drift(shown) for s in metric.samples}
    assert samples["labelstream_drift_evidence_nats", "p", "predicted_class"] == 12.0
    assert samples["labelstream_drift_limit_nats", "p", "gold"] == 15.0
    assert samples["labelstream_drift_detectors", "p", "gold", "watching"] == 2000
    assert samples["labelstream_drift_detectors", "p", "predicted_class", "learning"] == 0
    assert samples["labelstream_drift_false_alarm_ratio", "p"] == 1e-6
    assert len(samples) == 3 + 2 + 2 + 6 + 1
