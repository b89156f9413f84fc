"""Drift from batches to alarms, on a real PostgreSQL."""

import json
from datetime import timedelta
from typing import Any

import numpy as np

from services.monitor.handlers import MonitorEraser
from services.monitor.jobs import Drifting
from services.monitor.settings import MonitorSettings
from services.monitor.store import AlarmStore
from shared.events import AutoAccept, Drift, DriftAlarm, Evidence, GoldResult, Prediction, Quality
from shared.runtime.settings import KafkaSettings
from shared.topics import LABELS, PREDICTIONS, QUALITY, ROUTES
from tests.support import events as make
from tests.support.monitor import Monitor, known_projects

CLASSES = ("positive", "negative", "neutral")


def drifting(monitor: Monitor) -> Drifting:
    kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
    return Drifting(monitor.unit, monitor.projects, MonitorSettings(kafka=kafka))


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
    await monitor.handle(ROUTES, [make.route(name, would_auto=True) for name in names])
    labels = [
        make.label(name, would_auto=True, evidence=Evidence(proposal=make.proposal("negative"))) for name in names
    ]
    for n, waiting in ((5, 3), (8, 0)):
        await monitor.handle(LABELS, labels[:n])
        await job.detect()
        async with monitor.unit() as unit:
            assert await unit.connection.fetchval("SELECT count(*) FROM observations") == waiting


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
