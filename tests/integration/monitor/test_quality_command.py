"""`labelstream quality` over what monitor itself has measured, on real Kafka and PostgreSQL."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from typing import Any

import pytest

from services.monitor.app import build
from services.monitor.settings import MonitorSettings
from shared.bus.admin import create_topics
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.events import Calibration, Event, Evidence, GoldResult, Label, Quality
from shared.runtime.settings import KafkaSettings
from shared.topics import LABELS, PROJECTS, QUALITY, Topic
from tests.integration.monitor.test_service import prepare
from tests.support import events as make
from tests.support.probe import running, until
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(90)
AUDITS, WRONG, GOLD = 40, 4, 20


def audit(n: int) -> Label:
    """A person's blind label of what the model was sure of; each tenth differs."""
    evidence = Evidence(proposal=make.proposal("positive", confidence=0.95))
    value = "negative" if n % (AUDITS // WRONG) == 0 else "positive"
    return make.label(
        f"i{n}", value=value, evidence=evidence, would_auto=True, inclusion_probability=0.1, labelled_at=utc_now()
    )


def gold(n: int) -> Quality:
    result = GoldResult(
        annotator_id="ann", annotation_id=make.uid(n), gold_item_id=f"g{n}", correct=n > 0, expected="a", answered="a"
    )
    return make.quality(result, subject="annotator#ann", sequence=str(n), measured_at=utc_now())


async def quality(*words: str) -> str:
    """What the command prints, run as a person runs it."""
    ran = await asyncio.create_subprocess_exec(sys.executable, "-m", "cli", "quality", *words, stdout=PIPE, stderr=PIPE)
    out, told = await ran.communicate()
    assert ran.returncode == 0, told.decode()
    return out.decode()


async def test_what_monitor_measured_is_shown_with_its_intervals(
    kafka_settings: KafkaSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_topics(kafka_settings, partitions=2)
    await prepare(database)
    calibration = make.quality(
        Calibration(against="gold", error=0.02, labels=200, accuracy=0.96),
        subject="calibration#gold",
        measured_at=utc_now(),
    )
    told: list[tuple[Topic[Any], Event]] = [
        *((PROJECTS, one) for one in (make.project_version(), make.project_pointer())),
        *((LABELS, audit(n)) for n in range(AUDITS)),
        *((QUALITY, one) for one in (*map(gold, range(GOLD)), calibration)),
    ]
    async with Publisher(kafka_settings) as publisher:
        await publisher.publish([outgoing(topic, event, source="test") for topic, event in told])
    settings = MonitorSettings(
        kafka=kafka_settings, database_url=database.url("monitor"), database_allow_insecure=True, quality_interval_s=1
    )
    wanted = {"accuracy/m1", "accuracy/path/auto", "accuracy/path/single", "model_calibration/m1"}
    async with running(build(settings)):

        async def measured() -> bool:
            records = await read_all(kafka_settings, QUALITY.name)
            found = {e.subject: e for e in (Quality.model_validate_json(r.value or b"") for r in records)}
            counted = [getattr(found[name].measurement, "labels", 0) for name in wanted & found.keys()]
            return sorted(counted) == [GOLD, AUDITS, AUDITS, AUDITS]

        await until(measured)
    for name, value in {
        "BOOTSTRAP": kafka_settings.bootstrap, "PREFIX": kafka_settings.prefix, "SECURITY_PROTOCOL": "PLAINTEXT",
        "ALLOW_INSECURE": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"LABELSTREAM_KAFKA_{name}", value)
    monkeypatch.setenv("COLUMNS", "160")
    shown: list[dict[str, Any]] = json.loads(await quality("--json", "--project", make.PROJECT))["measurements"]
    by = {(one["kind"], one.get("name") or one.get("model_version") or one.get("against")): one for one in shown}
    assert by.keys() == {
        ("accuracy", "m1"), ("accuracy", "auto"), ("accuracy", "single"), ("model_calibration", "m1"),
        ("calibration", "gold"),
    }  # fmt: skip
    auto, single = by["accuracy", "auto"], by["accuracy", "single"]
    assert (auto["accuracy"], auto["basis"], auto["labels"]) == (pytest.approx(0.9), "audit", AUDITS)
    assert 0.7 < auto["low"] < 0.9 < auto["high"] < 1.0
    assert (single["accuracy"], single["basis"], single["labels"]) == (0.95, "gold", GOLD)
    table = " ".join((await quality()).split())
    assert "accuracy of path auto" in table
    assert "90.0%" in table
    assert json.loads(await quality("--json", "--project", "another"))["measurements"] == []
