"""Open alarms gain their suspects, on a real PostgreSQL: from events to counters to what is told."""

import json
import random
from datetime import timedelta

import pytest

from services.monitor.domain.counters import Kind
from services.monitor.jobs import Diagnosing, Drifting
from services.monitor.settings import MonitorSettings
from services.monitor.store import AlarmStore, KeptAlarm
from shared.events import (
    Annotation,
    AutoAccept,
    CostModel,
    Drift,
    DriftAlarm,
    Erasure,
    Evidence,
    Label,
    Prediction,
    Quality,
    Vote,
)
from shared.runtime.settings import KafkaSettings
from shared.topics import ANNOTATIONS, ERASURES, LABELS, PREDICTIONS, QUALITY
from tests.support import events as make
from tests.support.monitor import Monitor, known_projects

CHANGE = 6 * 3600
PEOPLE = ("ann", "bob", "cid")


def answers(rng: random.Random, after: bool) -> list[Annotation]:
    """600 answers beside a model that is right; bob errs far more often after the change."""
    found = []
    for n in range(600):
        who = PEOPLE[n % 3]
        wrong = rng.random() < (0.45 if after and who == "bob" else 0.1)
        value = rng.choice(("negative", "neutral")) if wrong else "positive"
        found.append(
            make.annotation(
                f"{after}-{n}", by=who, value=value, proposal=make.proposal("positive", confidence=0.8),
                submitted_at=make.at(CHANGE + (n + 1 if after else -n - 1)),
            )
        )  # fmt: skip
    return found


async def told(monitor: Monitor) -> list[DriftAlarm]:
    records = [record for record in await monitor.published() if record.topic == QUALITY.name]
    events = [Quality.model_validate(json.loads(record.value or b"")) for record in records]
    return [event.measurement for event in events if isinstance(event.measurement, DriftAlarm)]


def vote(by: str, value: str) -> Vote:
    return Vote(annotation_id=make.uid(by, value), annotator_id=by, value=make.choice(value))


def sent(rng: random.Random, n_items: int, after: bool) -> tuple[list[Prediction], list[Annotation], list[Label]]:
    """Items of three clients and two sources; half of one client's cannot be read after the change."""
    predictions, annotations, labels = [], [], []
    for n in range(n_items):
        client, source = f"c{n % 3}", f"s{n // 3 % 2}"
        broken = after and client == "c1" and rng.random() < 0.5
        truth = rng.choice(("positive", "negative"))
        said, confidence = ("neutral", 0.4) if broken else (truth, 0.95)
        where = {"source": source, "client": client}
        at = make.at(CHANGE + (n + 1 if after else n - n_items))
        name = f"{after}-{n}"
        predictions.append(make.prediction(name, value=said, confidence=confidence, predicted_at=at, **where))
        proposal = make.proposal(said, confidence=confidence, **where)
        one, two = (truth if rng.random() < 0.95 else "neutral" for _ in range(2))
        annotations += [
            make.annotation(name, by=who, value=value, proposal=proposal, submitted_at=at)
            for who, value in zip(rng.sample(PEOPLE, 2), (one, two), strict=True)
        ]
        evidence = Evidence(
            votes=tuple(vote(by, value) for by, value in zip("xy", (one, two), strict=True)), proposal=proposal
        )
        labels.append(make.label(name, value=one, evidence=evidence, labelled_at=at))
    return predictions, annotations, labels


async def test_a_client_that_sends_what_cannot_be_read_is_found(monitor: Monitor) -> None:
    """From the events alone: the detectors alarm, and what is told again names the client."""
    monitor.projects = known_projects(make.project_spec(drift=Drift(reference=1000)))
    kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
    drifting, rng = Drifting(monitor.unit, monitor.projects, MonitorSettings(kafka=kafka)), random.Random(3)
    for after, n in ((False, 1500), (True, 600)):
        predictions, annotations, labels = sent(rng, n, after)
        for start in range(0, n, 100):
            await monitor.handle(PREDICTIONS, predictions[start : start + 100])
        await monitor.handle(ANNOTATIONS, annotations)
        await monitor.handle(LABELS, labels)
        assert not await told(monitor), "nothing has moved yet"
        monitor.now = make.at(CHANGE + n)
        await drifting.detect()
    opened = {alarm.alarm_id: alarm for alarm in await told(monitor)}
    assert "predicted_class" in {alarm.subject.signal for alarm in opened.values()}
    await Diagnosing(monitor.unit, monitor.projects).diagnose()
    explained = [alarm for alarm in await told(monitor) if alarm.suspects]
    assert {alarm.alarm_id for alarm in explained} == opened.keys()
    assert {(alarm.alarm_id, alarm.state) for alarm in explained} == {
        (alarm.alarm_id, alarm.state if alarm.resolved_at else "updated") for alarm in opened.values()
    }
    for alarm in explained:
        first = alarm.suspects[0]
        assert (first.signature, first.dimension, first.value) == ("pipeline", "client", "c1"), alarm.suspects
        assert first.score > 0.9
        assert "what this client sends" in alarm.action
    counts = await monitor.counts()
    assert {key.part for key in counts if key.kind == Kind.AGREED} >= {"source=s0", "source=s1"}


async def opened(monitor: Monitor) -> None:
    rng = random.Random(2)
    for after in (False, True):
        predicted_at = make.at(CHANGE + (60 if after else -60))
        some = [make.prediction(f"{after}-{n}", confidence=0.8, predicted_at=predicted_at) for n in range(600)]
        await monitor.handle(PREDICTIONS, some)
        await monitor.handle(ANNOTATIONS, answers(rng, after))
    await alarmed(monitor)


async def alarmed(monitor: Monitor) -> None:
    alarm = make.drift_alarm("confusion")
    alarm = alarm.model_copy(update={"effect": alarm.effect.model_copy(update={"changed_at": make.at(CHANGE)})})
    async with monitor.unit() as unit:
        await AlarmStore(unit.connection).save_alarms([KeptAlarm(make.PROJECT, alarm)])
    monitor.now = make.at(CHANGE + 3600)


async def test_an_alarm_is_told_again_with_its_suspect_once(monitor: Monitor) -> None:
    await opened(monitor)
    jobs = Diagnosing(monitor.unit, monitor.projects)
    await jobs.diagnose()
    [alarm] = await told(monitor)
    assert (alarm.state, alarm.number) == ("updated", 1)
    first = alarm.suspects[0]
    assert (first.signature, first.dimension, first.value) == ("annotator", "annotator", "bob")
    assert first.score > 0.9
    assert "bob" not in alarm.action
    assert "quarantine" in alarm.action
    assert alarm.impact is not None
    assert alarm.impact.affected == 600
    assert alarm.impact.cost is None, "nobody said what an error costs"
    moved = {one.name: one.contribution for one in alarm.mechanisms}
    assert moved["people"] > 0.05
    assert abs(moved["model"]) + abs(moved["traffic"]) < 0.01
    monitor.now += timedelta(minutes=5)
    await jobs.diagnose()
    assert len(await told(monitor)) == 1, "nothing new"


async def test_without_evidence_nothing_is_told(monitor: Monitor) -> None:
    async with monitor.unit() as unit:
        await AlarmStore(unit.connection).save_alarms([KeptAlarm(make.PROJECT, make.drift_alarm())])
    await Diagnosing(monitor.unit, monitor.projects).diagnose()
    assert not await told(monitor)


async def test_a_person_is_forgotten_in_the_counts_too(monitor: Monitor) -> None:
    await opened(monitor)
    erasure = Erasure(subject="annotator", annotator_id="bob", requested_at=make.at(CHANGE))
    await monitor.handle(ERASURES, [erasure])
    counts = await monitor.counts()
    assert not [key for key in counts if "bob" in key.part]
    assert [key for key in counts if "ann" in key.part]


async def test_what_is_accepted_alone_has_cost_what_audits_say(monitor: Monitor) -> None:
    """Audits find one in ten wrong, and after the change four in ten; an error costs 2."""
    spec = make.project_spec(policy=make.policy(auto_accept=AutoAccept(threshold=0.5)), cost=CostModel(error=2.0))
    monitor.projects = known_projects(spec)
    await opened(monitor)
    proposal = Evidence(proposal=make.proposal("positive", confidence=0.8))
    for after, wrong in ((False, 10), (True, 40)):
        at = make.at(CHANGE + (1 if after else -3600))
        audits = [
            make.label(
                f"audit-{after}-{n}", value="negative" if n < wrong else "positive", evidence=proposal, would_auto=True,
                inclusion_probability=0.1, labelled_at=at,
            )
            for n in range(100)
        ]  # fmt: skip
        await monitor.handle(LABELS, audits)
    accepted = [make.auto_label(f"alone-{n}", evidence=proposal, labelled_at=make.at(CHANGE + 2)) for n in range(50)]
    await monitor.handle(LABELS, accepted)
    await Diagnosing(monitor.unit, monitor.projects).diagnose()
    [alarm] = await told(monitor)
    assert alarm.impact is not None
    assert alarm.impact.accuracy_before == pytest.approx(0.9)
    assert alarm.impact.accuracy_after == pytest.approx(0.6)
    assert alarm.impact.auto_accepted == 50
    assert alarm.impact.cost == pytest.approx(50 * 0.3 * 2.0)
    assert 10.0 < (alarm.impact.cost_low or 0.0) < 25.0
    assert 35.0 < (alarm.impact.cost_high or 0.0) < 50.0
    await ends_with_what_was_until_then(monitor, alarm, proposal)


async def ends_with_what_was_until_then(monitor: Monitor, alarm: DriftAlarm, proposal: Evidence) -> None:
    """What comes once an alarm is over is none of its matter; it is told once."""
    over = make.at(CHANGE + 1800)
    later = [make.auto_label(f"later-{n}", evidence=proposal, labelled_at=make.at(CHANGE + 3000)) for n in range(9)]
    await monitor.handle(LABELS, later)
    async with monitor.unit() as unit:
        ended = alarm.model_copy(update={"number": alarm.number + 1, "state": "resolved", "resolved_at": over})
        await AlarmStore(unit.connection).save_alarms([KeptAlarm(make.PROJECT, ended)])
    await Diagnosing(monitor.unit, monitor.projects).diagnose()
    await Diagnosing(monitor.unit, monitor.projects).diagnose()
    _, last = await told(monitor)
    assert last.impact is not None
    assert (last.state, last.number, last.suspects) == ("resolved", ended.number + 1, alarm.suspects)
    assert (last.impact.until, last.impact.auto_accepted) == (over, 50)
