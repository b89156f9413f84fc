"""A shift of the class mix, from a scored topic through every service: one alarm that opens, is explained, and ends."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka.admin import NewTopic
from confluent_kafka import Producer

from cli.project.commands import apply_spec
from services.monitor.domain.drift.packing import unpacked
from services.prelabel.app import build
from services.prelabel.settings import PrelabelSettings
from shared import events as ev
from shared.bus.admin import create_topics
from shared.bus.client import make_admin
from shared.bus.reader import read_all
from shared.runtime.settings import KafkaSettings
from shared.topics import LABELS, QUALITY
from tests.support import events as make
from tests.support.deployment import Deployment
from tests.support.probe import running, until
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(120)

USUAL, OTHER = (0.7, 0.2, 0.1), (0.05, 0.15, 0.8)
BEFORE, SHIFTED, AFTER = 1100, 90, 300
STATE = "SELECT watch FROM detectors WHERE signal = 'predicted_class'"
EXPLAINED = "SELECT count(*) FROM alarms WHERE jsonb_array_length(alarm->'suspects') > 0"
RESOLVED = "SELECT count(*) FROM alarms WHERE state = 'resolved'"


class Shop:
    """Somebody's topic of scored records, with times of their own: the last hours."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self.kafka, self.topic, self.sent = kafka, topic, 0
        self._rng, self._began = np.random.default_rng(1), datetime.now(UTC) - timedelta(hours=8)

    async def create(self) -> None:
        admin = make_admin(self.kafka)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(self.topic, num_partitions=1, replication_factor=1)])
        finally:
            await admin.close()

    def send(self, n: int, shares: tuple[float, ...], *, hour: float, hours: float) -> None:
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap})
        for place, code in enumerate(self._rng.choice(3, n, p=shares).tolist()):
            at = self._began + timedelta(hours=hour + hours * place / n)
            scores = {name: 0.9 if k == code else 0.05 for k, name in enumerate(make.CLASSES)}
            value = json.dumps({"id": f"r{self.sent + place}", "text": "as said", "scores": scores, "by": "v9"})
            producer.produce(self.topic, value=value.encode(), key=b"k", timestamp=int(at.timestamp() * 1000))
        assert producer.flush(20) == 0
        self.sent += n


def project(topic: str) -> ev.ProjectSpec:
    paths = {"id": "id", "text": "text", "distribution": "scores", "model_version": "by"}
    source = {"name": "shop", "kind": "predictions", "topic": topic, "start": "earliest", "map": paths}
    accepted = make.policy(auto_accept=ev.AutoAccept(threshold=0.5, audit_share=0.0))
    return make.project_spec(policy=accepted, drift=ev.Drift(reference=400), sources=[source])


async def told(kafka: KafkaSettings) -> list[ev.DriftAlarm]:
    events = [QUALITY.event.validate_json(one.value or b"") for one in await read_all(kafka, QUALITY.name)]
    found: list[Any] = [one.measurement for one in events if isinstance(one.measurement, ev.DriftAlarm)]
    return found


async def folded(deployed: Deployment, events: int) -> None:
    """Wait until the detector has seen so many."""

    async def so() -> bool:
        state = await deployed.value("monitor", STATE)
        return state is not None and unpacked(state)["watch"]["offset"] == events

    await until(so, 60)


async def test_a_shift_is_one_alarm_with_its_cause_until_the_mix_returns(
    kafka_settings: KafkaSettings, database: Database, prefix: str, tmp_path: Path
) -> None:
    shop, deployed = Shop(kafka_settings, f"{prefix}shop.scores"), Deployment(kafka_settings, database)
    await create_topics(kafka_settings, partitions=1)
    await shop.create()
    await deployed.migrate()
    await apply_spec(kafka_settings, project(shop.topic), now=make.AT)
    prelabel = build(PrelabelSettings(kafka=kafka_settings, model_dir=tmp_path, source_poll_s=0.1))
    quick = {"drift_interval_s": 0.2, "diagnose_interval_s": 0.3}
    async with running(prelabel), deployed.services(monitor_settings=quick):
        shop.send(BEFORE, USUAL, hour=0.0, hours=6.0)
        await folded(deployed, BEFORE)
        assert await told(kafka_settings) == []
        shop.send(SHIFTED, OTHER, hour=6.5, hours=0.5)
        await deployed.until("monitor", EXPLAINED, 1, 60)
        shop.send(AFTER, USUAL, hour=7.5, hours=0.4)
        await deployed.until("monitor", RESOLVED, 1, 60)
        await folded(deployed, shop.sent)
        assert len(await read_all(kafka_settings, LABELS.name)) == shop.sent

    alarms = await told(kafka_settings)
    assert len({alarm.alarm_id for alarm in alarms}) == 1, "one change is one alarm"
    assert [alarm.number for alarm in alarms] == list(range(len(alarms)))
    opened, explained, last = alarms[0], alarms[1], alarms[-1]
    says_what_moved(opened)
    assert explained.suspects
    assert explained.suspects[0].signature == "traffic_prior_shift", explained.suspects
    assert explained.impact is not None
    assert (explained.impact.affected or 0) >= SHIFTED // 2
    assert (explained.impact.auto_accepted or 0) <= (explained.impact.affected or 0), (
        "all are labelled now, as a backlog"
    )
    assert explained.action
    assert explained.runbook
    assert (last.state, last.suspects) == ("resolved", explained.suspects)


def says_what_moved(opened: ev.DriftAlarm) -> None:
    """Evidence, window, effect and reference of the alarm as it was first told."""
    evidence, window, effect = opened.evidence, opened.current, opened.effect
    assert (opened.state, opened.subject.signal, opened.subject.slice) == ("open", "predicted_class", "")
    assert evidence.budget == round(1_000_000 / 0.3)
    assert evidence.log_e >= np.log(evidence.budget)
    assert window.first <= BEFORE <= window.last < BEFORE + SHIFTED
    assert effect.change_low <= BEFORE <= effect.change_high
    assert effect.tvd > 0.3
    assert effect.low > 0.1
    assert {one.symbol for one in effect.classes[:2]} == {make.CLASSES[0], make.CLASSES[2]}
    assert opened.reference.model_version == "v9"
    assert opened.exemplars
