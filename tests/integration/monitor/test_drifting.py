"""Drift from batches to alarms, on a real PostgreSQL."""

import json
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from services.monitor.handlers import MonitorEraser
from services.monitor.jobs import Drifting
from services.monitor.settings import MonitorSettings
from services.monitor.store import AlarmStore, DriftStore
from shared.events import AutoAccept, Drift, DriftAlarm, Evidence, GoldResult, Prediction, Quality
from shared.runtime.settings import KafkaSettings
from shared.topics import LABELS, PREDICTIONS, QUALITY, ROUTES
from tests.integration.monitor.test_jobs import jobs_of
from tests.support import events as make
from tests.support.monitor import Monitor, known_projects

CLASSES = ("positive", "negative", "neutral")


def drifting(monitor: Monitor, **more: Any) -> Drifting:
    kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
    return Drifting(monitor.unit, monitor.projects, MonitorSettings(kafka=kafka, **more))


def predictions(name: str, n: int, shares: tuple[float, ...], **more: Any) -> list[Prediction]:
    drawn = np.random.default_rng(n).choice(len(CLASSES), n, p=shares)
    return [make.prediction(f"{name}{i}", value=CLASSES[k], **more) for i, k in enumerate(drawn.tolist())]


async def fed(monitor: Monitor, job: Drifting, events: list[Prediction]) -> None:
    for start in range(0, len(events), 500):
        await monitor.handle(PREDICTIONS, events[start : start + 500])
    await job.detect()


async def told(monitor: Monitor) -> list[DriftAlarm]:
    records = [record for record in await monitor.published() if record.topic == QUALITY.name]
    events = [Quality.model_validate(json.loads(record.value or b"")) for record in records]
    return [e.measurement for e in events if isinstance(e.measurement, DriftAlarm)]


def watched(monitor: Monitor, **more: Any) -> None:
    spec = make.project_spec(drift=Drift(reference=1000, **more))
    monitor.projects = known_projects(spec)


STEADY, SHIFTED = (0.6, 0.3, 0.1), (0.3, 0.6, 0.1)


async def test_a_shift_is_one_alarm_and_a_replay_is_none(monitor: Monitor) -> None:
    watched(monitor)
    before, after = predictions("a", 2000, STEADY), predictions("b", 1500, SHIFTED)
    await fed(monitor, drifting(monitor), before)
    assert await told(monitor) == []
    await fed(monitor, drifting(monitor), after)
    alarms = [alarm for alarm in await told(monitor) if alarm.subject.signal == "predicted_class"]
    assert [alarm.state for alarm in alarms] == ["open", "resolved"]
    assert len({alarm.alarm_id for alarm in alarms}) == 1
    opened = alarms[0]
    assert opened.effect.change_low <= 2000 <= opened.effect.change_high
    assert {one.symbol for one in opened.effect.classes[:2]} == {"positive", "negative"}
    assert opened.exemplars
    assert opened.evidence.expected_false_alarms == 0.1
    async with monitor.unit() as unit:
        kept = await AlarmStore(unit.connection).list_alarms()
    assert [one.alarm.state for one in kept if one.alarm.subject.signal == "predicted_class"] == ["resolved"]
    count = len(await told(monitor))
    await fed(monitor, drifting(monitor), before + after)
    assert len(await told(monitor)) == count


async def test_a_rebuilt_monitor_tells_no_alarm_again(monitor: Monitor) -> None:
    watched(monitor)
    events = predictions("a", 2000, STEADY) + predictions("b", 1500, SHIFTED)
    events = [e.model_copy(update={"predicted_at": make.at(n)}) for n, e in enumerate(events)]
    await fed(monitor, drifting(monitor), events)
    records = [record for record in await monitor.published() if record.topic == QUALITY.name]
    spoken = [Quality.model_validate(json.loads(record.value or b"")) for record in records]
    assert spoken
    async with monitor.unit() as unit:
        await unit.connection.execute("TRUNCATE items, counters, observations, detectors, alarms, outbox")
    await monitor.handle(QUALITY, spoken, "rebuild_quality")
    await fed(monitor, drifting(monitor), events)
    assert await told(monitor) == []


async def test_another_model_is_no_alarm(monitor: Monitor) -> None:
    watched(monitor)
    job = drifting(monitor)
    await fed(monitor, job, predictions("a", 2000, STEADY))
    await fed(monitor, job, predictions("b", 2500, SHIFTED, model_version="m2", generation=2))
    assert await told(monitor) == []
    await fed(monitor, job, predictions("c", 1000, STEADY, model_version="m2", generation=2))
    assert "open" in {alarm.state for alarm in await told(monitor)}


async def test_labels_by_people_wait_for_their_cohort(monitor: Monitor) -> None:
    spec = make.project_spec(policy=make.policy(auto_accept=AutoAccept(threshold=0.9)))
    monitor.projects = known_projects(spec)
    job = drifting(monitor)
    names = [f"i{n}" for n in range(10)]
    audited: dict[str, Any] = {"would_auto": True, "inclusion_probability": 0.05}
    await monitor.handle(ROUTES, [make.route(name, **audited) for name in names])
    labels = [make.label(name, evidence=Evidence(proposal=make.proposal("negative")), **audited) for name in names]
    for n, waiting in ((5, 3), (8, 0)):
        await monitor.handle(LABELS, labels[:n])
        await job.detect()
        async with monitor.unit() as unit:
            assert await unit.connection.fetchval("SELECT count(*) FROM observations") == waiting


@pytest.mark.parametrize("share", [0.95, 0.01])
async def test_slow_labels_are_no_drift_once_their_cohort_is_awaited(monitor: Monitor, share: float) -> None:
    """One class takes people longer than the others, and from the middle on ten times as long: nothing has drifted."""
    spec = make.project_spec(policy=make.policy(auto_accept=None), drift=Drift(reference=2000))
    monitor.projects = known_projects(spec)
    rng, at, n = np.random.default_rng(7), make.at(0).timestamp(), 2400
    kinds = rng.choice(3, n, p=STEADY)
    slow = np.where(np.arange(n) < n // 2, 30.0, 2000.0)
    waits = rng.exponential(1.0, n) * np.where(kinds == 0, slow, 10.0)
    times = [make.at(2 * k) for k in range(n)]
    await monitor.handle(ROUTES, [make.route(f"i{k}", item_created_at=times[k]) for k in range(n)])
    job = drifting(monitor, drift_matured_share=share, drift_late_s=1e6)
    order = sorted(range(n), key=lambda k: times[k].timestamp() - at + waits[k])
    for start in range(0, n, 100):
        chosen = order[start : start + 100]
        labels = [make.label(f"i{k}", value=CLASSES[int(kinds[k])], item_created_at=times[k]) for k in chosen]
        await monitor.handle(LABELS, labels)
        await job.detect()
    alarms = [alarm for alarm in await told(monitor) if alarm.subject.signal == "label_class"]
    assert bool(alarms) is (share < 0.5)


async def test_a_change_that_only_slices_see_is_found_in_them(monitor: Monitor) -> None:
    """Two halves of the traffic move against each other: all of it together stays as it is."""
    parts = [{"name": name, "when": {"source": name}, "policy": {}} for name in ("shop", "web")]
    monitor.projects = known_projects(make.project_spec(drift=Drift(reference=1000), slices=parts))
    other = (0.3, 0.6, 0.1)
    for name, shop, web in (("a", STEADY, other), ("b", other, STEADY)):
        n = 1500 if name == "a" else 700
        both = zip(
            predictions(name + "s", n, shop, slice="shop"), predictions(name + "w", n, web, slice="web"), strict=True
        )
        await fed(monitor, drifting(monitor), [event for pair in both for event in pair])
    opened = [alarm for alarm in await told(monitor) if alarm.state == "open"]
    assert {(alarm.subject.signal, alarm.subject.slice) for alarm in opened} == {
        ("predicted_class", "shop"), ("predicted_class", "web"),
    }  # fmt: skip
    assert len(opened) == 2
    assert {alarm.evidence.budget for alarm in opened} == {round(1e6 / 0.15)}


async def test_one_change_of_everything_is_one_alarm_and_none_of_each_slice(monitor: Monitor) -> None:
    parts = [{"name": name, "when": {"source": name}, "policy": {}} for name in ("shop", "web")]
    monitor.projects = known_projects(make.project_spec(drift=Drift(reference=1000), slices=parts))
    for name, begin, n, shares in (("a", 0, 3000, STEADY), ("b", 3000, 1500, SHIFTED)):
        events = [
            e.model_copy(update={"slice": ("shop", "web")[k % 2]}) for k, e in enumerate(predictions(name, n, shares))
        ]
        events = [e.model_copy(update={"predicted_at": make.at(begin + k)}) for k, e in enumerate(events)]
        await fed(monitor, drifting(monitor), events)
    opened = [alarm for alarm in await told(monitor) if alarm.state == "open"]
    assert [(alarm.subject.signal, alarm.subject.slice) for alarm in opened] == [("predicted_class", "")]


async def test_gold_is_watched_by_annotator_and_forgotten_with_them(monitor: Monitor) -> None:
    job = drifting(monitor)

    def answer(n: int, *, correct: bool) -> Quality:
        result = GoldResult(
            annotator_id="ann", annotation_id=make.uid("gold", n), gold_item_id="g", correct=correct,
            expected="a", answered="b",
        )  # fmt: skip
        return make.quality(result, sequence=str(n), measured_at=make.at(n))

    right = [answer(n, correct=n % 20 != 0) for n in range(200)]
    wrong = [answer(n, correct=n % 2 == 0) for n in range(200, 300)]
    await monitor.handle(QUALITY, right + wrong)
    await job.detect()
    alarms = await told(monitor)
    assert {(alarm.subject.signal, alarm.subject.slice) for alarm in alarms} == {("gold", "ann")}
    assert [alarm.state for alarm in alarms].count("open") == 1
    monitor.now += timedelta(seconds=1)
    async with monitor.unit() as unit:
        await MonitorEraser().erase_person("ann", unit)
        assert await AlarmStore(unit.connection).list_alarms() == []
        assert await unit.connection.fetchval("SELECT count(*) FROM detectors WHERE slice = 'ann'") == 0


async def test_evidence_is_seen_before_it_alarms_by_signal_and_by_slice(monitor: Monitor) -> None:
    parts = [{"name": name, "when": {"source": name}, "policy": {}} for name in ("shop", "web")]
    monitor.projects = known_projects(make.project_spec(drift=Drift(reference=1000), slices=parts))
    both = [event for name in ("shop", "web") for event in predictions(name, 1500, STEADY, slice=name)]
    await fed(monitor, drifting(monitor), both)
    shown = []
    for name, shares in (("x", STEADY), ("y", SHIFTED)):
        await fed(monitor, drifting(monitor), predictions(name, 60, shares, slice="shop"))
        jobs, collector = jobs_of(monitor)
        await jobs.take_snapshot()
        assert collector.snapshot is not None
        shown.append(collector.snapshot)
    assert await told(monitor) == []
    before, after = (one.watched[make.PROJECT, "predicted_class"] for one in shown)
    assert before.log_evidence + 1.0 < after.log_evidence < after.log_limit
    assert (after.learning, after.watching, after.alarmed) == (0, 3, 0)
    async with monitor.unit() as unit:
        store = DriftStore(unit.connection)
        surest = await store.list_surest(make.PROJECT, 2)
        found = await store.list_standings(make.PROJECT, after=("predicted_class", ""), limit=9)
    assert {(one.signal, one.slice) for one in surest} == {("predicted_class", ""), ("predicted_class", "shop")}
    assert [one.slice for one in found] == ["shop", "web"]
    assert found[0].share > found[1].share
