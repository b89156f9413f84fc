"""Certificates through monitor's handlers and jobs, on a real PostgreSQL."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from services.monitor.jobs import Certifying
from services.monitor.settings import MonitorSettings
from services.monitor.store import CertificateStore
from shared import events as ev
from shared.runtime.settings import KafkaSettings
from shared.topics import ERASURES, LABELS, QUALITY, RELABELS, ROUTES
from tests.support import events as make
from tests.support.monitor import Monitor, known_projects, received

GUARANTEE = ev.Guarantee(target_error=0.05, valid_s=1000.0, per_class=True)
AUTO = ev.AutoAccept(threshold=0.9, audit_share=0.1, guarantee=GUARANTEE)
NAMES = ("positive", "negative", "neutral")
SPEC = make.project_spec(policy=make.policy(auto_accept=AUTO))


def certifying(monitor: Monitor, **more: Any) -> Certifying:
    monitor.projects = known_projects(SPEC)
    kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
    return Certifying(monitor.unit, monitor.projects, MonitorSettings(kafka=kafka, **more))


def audit(number: int, *, right: bool = True, generation: int = 1, **more: Any) -> ev.Label:
    """People's label of an audited item whose proposal was right or wrong."""
    proposal = make.proposal("positive", confidence=0.97, generation=generation)
    shares = {"positive": 0.998, "negative": 0.001, "neutral": 0.001}
    if not right:
        shares |= {"positive": 0.001, "negative": 0.998}
    fields = {
        "value": "positive" if right else "negative", "would_auto": True, "inclusion_probability": 0.5,
        "distribution": shares, "evidence": ev.Evidence(proposal=proposal), "labelled_at": make.at(number),
    }  # fmt: skip
    return make.label(f"audit-{number}", **(fields | more))


def unlabelable(number: int) -> ev.Route:
    """An audit that people looked at and could not label."""
    said = make.proposal("positive", confidence=0.97)
    state, at = ev.RouteState.UNLABELABLE, make.at(number)
    return make.route(f"audit-{number}", state=state, step=2, would_auto=True, proposal=said, routed_at=at)


def accepted(number: int, certificate: ev.Quality) -> ev.Label:
    evidence = ev.Evidence(proposal=make.proposal("positive"), certificate=certificate.event_id)
    return make.auto_label(f"auto-{number}", evidence=evidence, labelled_at=make.at(number))


async def told(monitor: Monitor, kind: type[Any] = ev.Quality, topic: str = QUALITY.name) -> list[Any]:
    records = [record for record in await monitor.published() if record.topic == topic]
    return [kind.model_validate(json.loads(record.value or b"")) for record in records]


def states(events: Sequence[ev.Quality]) -> list[tuple[str, float, int]]:
    found = [event.measurement for event in events]
    return [(one.state, one.threshold, one.number) for one in found if isinstance(one, ev.Certificate)]


async def reopened(monitor: Monitor) -> list[ev.Relabel]:
    """What was asked for because a certificate was void; audits that are likely wrong are asked for, too."""
    return [one for one in await told(monitor, ev.Relabel, RELABELS.name) if one.cause is ev.RelabelCause.DRIFT]


async def test_audits_earn_a_certificate_and_lose_it_again(monitor: Monitor) -> None:
    jobs = certifying(monitor, reopen_max_items=40)
    await monitor.handle(LABELS, [audit(n) for n in range(300)])
    async with asyncio.TaskGroup() as group:
        for _ in range(3):  # as three replicas
            group.create_task(jobs.certify())
    first = await told(monitor)
    assert [(state, number) for state, _, number in states(first)] == [("granted", n + 1) for n in range(len(first))]
    certificate = first[-1].measurement
    assert certificate.threshold == 0.9
    assert certificate.audit_share == 0.1
    assert (certificate.valid_until - monitor.now).total_seconds() == 1000.0

    await monitor.handle(LABELS, [accepted(n, first[-1]) for n in range(320, 420)])
    await monitor.handle(ROUTES, [unlabelable(n) for n in range(310, 360)])
    async with monitor.unit() as unit:  # a batch that was begun before the breach, and is written after it
        own = [received(LABELS, accepted(n, first[-1]), n) for n in range(420, 430)]
        await monitor.handlers.on_labels(own, unit)
        await jobs.certify()
        await jobs.reopen()
        assert await reopened(monitor) == []
    withdrawn = (await told(monitor))[-1].measurement
    assert withdrawn.state == "withdrawn"
    assert withdrawn.audit_share == 0.5
    assert withdrawn.doubtful_since <= make.at(310)
    for _ in range(4):
        await jobs.reopen()
    requests = await reopened(monitor)
    assert {one.item_id for one in requests} == {f"auto-{n}" for n in range(320, 430)}
    assert {one.cause for one in requests} == {ev.RelabelCause.DRIFT}
    assert len(requests) == 110
    # accepted before it was known there that nothing is certified; and a label from before the doubt that was delayed
    await monitor.handle(LABELS, [accepted(n, first[-1]) for n in (500, 501)])
    await monitor.handle(LABELS, [accepted(n, first[-1]) for n in (-900, -901)])
    assert {one.item_id for one in await reopened(monitor)} - {one.item_id for one in requests} == {
        "auto-500",
        "auto-501",
    }


def of_class(number: int, name: str, *, right: bool = True) -> ev.Label:
    """People's label of an audit whose proposal is of that class."""
    other = NAMES[NAMES.index(name) - 1]
    shares = {name: 0.998 if right else 0.001, other: 0.002 if right else 0.999}
    evidence = ev.Evidence(proposal=make.proposal(name, confidence=0.97))
    return audit(number, value=name if right else other, distribution=shares, evidence=evidence)


async def test_a_class_that_becomes_bad_is_withdrawn_alone(monitor: Monitor) -> None:
    jobs = certifying(monitor)
    await monitor.handle(LABELS, [of_class(n, NAMES[n % 3]) for n in range(300)])
    await jobs.certify()
    given = (await told(monitor))[-1]
    await monitor.handle(
        LABELS,
        [
            make.auto_label(
                f"auto-{n}",
                value=NAMES[n % 3],
                evidence=ev.Evidence(proposal=make.proposal("positive"), certificate=given.event_id),
                labelled_at=make.at(n),
            )
            for n in range(320, 360)
        ],
    )
    await monitor.handle(LABELS, [of_class(n, "negative", right=False) for n in range(340, 352)])
    await jobs.certify()
    last = (await told(monitor))[-1].measurement
    assert (last.state, last.rest.threshold) == ("withdrawn", 0.9)  # who knows no classes accepts nothing
    assert [(one.symbol, one.threshold) for one in last.classes] == [("negative", None)]
    assert last.broken == ("negative",)
    assert last.breaches
    for _ in range(3):
        await jobs.reopen()
    assert {one.item_id for one in await reopened(monitor)} == {f"auto-{n}" for n in range(320, 360) if n % 3 == 1}
    async with monitor.unit() as unit:
        assert await unit.connection.fetchval("SELECT count(*) FROM reopenings") == 0
        await unit.connection.execute("TRUNCATE certificates, audits, outbox, items")
    await monitor.handle(QUALITY, [make_quality(last)], "rebuild_quality")
    async with monitor.unit() as unit:
        ledger = json.loads(await unit.connection.fetchval("SELECT ledger::text FROM certificates"))
        kept = await CertificateStore(unit.connection).claim_ledger(make.PROJECT)
    assert ledger["classes"]["negative"]["place"] == "excluded"
    assert ledger["evidence"]["certified"] is None  # nor does a process that knows none take it up
    assert kept is not None
    assert kept.evidence.certified == 0.9
    assert kept.classes["negative"].own.breached == last.classes[0].breached_since


def make_quality(certificate: ev.Certificate) -> ev.Quality:
    return ev.Quality(
        project_id=make.PROJECT,
        subject="certificate",
        sequence=str(certificate.number),
        measurement=certificate,
        measured_at=make.at(900),
    )


async def test_another_model_begins_anew_and_an_older_one_says_nothing(monitor: Monitor) -> None:
    jobs = certifying(monitor)
    await monitor.handle(LABELS, [audit(n, generation=2) for n in range(80)])
    await jobs.certify()
    await monitor.handle(LABELS, [audit(n, generation=1) for n in range(100, 400)])
    await jobs.certify()
    assert not await told(monitor)
    await monitor.handle(LABELS, [audit(n, generation=3) for n in range(500, 800)])
    await jobs.certify()
    assert {event.measurement.generation for event in await told(monitor)} == {3}


async def test_what_is_not_a_blind_audit_of_the_lane_is_no_evidence(monitor: Monitor) -> None:
    jobs = certifying(monitor)
    await monitor.handle(
        LABELS,
        [
            *(audit(n, would_auto=False) for n in range(300)),
            *(audit(n, version=2, supersedes=1) for n in range(300, 600)),
            *(audit(n, evidence=ev.Evidence()) for n in range(600, 900)),
        ],
    )
    await jobs.certify()
    assert not await told(monitor)


async def test_a_rebuilt_monitor_gives_no_certificate_again_and_still_watches(monitor: Monitor) -> None:
    jobs = certifying(monitor)
    await monitor.handle(LABELS, [audit(n) for n in range(300)])
    await jobs.certify()
    before = await told(monitor)
    async with monitor.unit() as unit:
        await unit.connection.execute("TRUNCATE certificates, audits, outbox, items")
    await monitor.handle(QUALITY, before, "rebuild_quality")
    await jobs.certify()
    assert not await told(monitor)
    await monitor.handle(LABELS, [audit(n, right=False) for n in range(400, 450)])
    await jobs.certify()
    assert states(await told(monitor))[-1][::2] == ("withdrawn", len(before) + 1)


async def test_erased_items_leave_nothing_behind(monitor: Monitor) -> None:
    jobs = certifying(monitor)
    await monitor.handle(LABELS, [audit(n) for n in range(300)])
    await jobs.certify()
    certificate = (await told(monitor))[-1]
    await monitor.handle(LABELS, [accepted(1, certificate), accepted(2, certificate)])
    await monitor.handle(ERASURES, [make.erasure("auto-1"), make.erasure("audit-5")])
    await monitor.handle(LABELS, [accepted(1, certificate)])
    async with monitor.unit() as unit:
        kept = await unit.connection.fetch("SELECT item_id FROM accepted")
        gone = await unit.connection.fetchval("SELECT count(*) FROM audits WHERE item_id = 'audit-5'")
    assert [row["item_id"] for row in kept] == ["auto-2"]
    assert gone == 0


async def test_a_second_breach_leaves_nothing_of_the_first_closed(monitor: Monitor) -> None:
    jobs = certifying(monitor, reopen_max_items=10)
    await monitor.handle(LABELS, [audit(n) for n in range(300)])
    await jobs.certify()
    await monitor.handle(LABELS, [accepted(n, (await told(monitor))[-1]) for n in range(320, 350)])
    await monitor.handle(LABELS, [audit(n, right=False) for n in range(400, 406)])
    await jobs.certify()
    await jobs.reopen()  # a third of them
    await monitor.handle(LABELS, [audit(n) for n in range(500, 1200)])
    await monitor.handle(LABELS, [audit(n, right=False) for n in range(1300, 1350)])
    await jobs.certify()
    said = [event.measurement for event in await told(monitor)]
    assert sum(one.doubtful_since is not None for one in (*said, *(each for one in said for each in one.classes))) == 2
    for _ in range(6):
        await jobs.reopen()
    requests = await reopened(monitor)
    assert {one.item_id for one in requests} == {f"auto-{n}" for n in range(320, 350)}


async def test_what_stands_is_watched_on_when_the_policy_changes(monitor: Monitor) -> None:
    jobs = certifying(monitor)
    await monitor.handle(LABELS, [audit(n) for n in range(300)])
    await jobs.certify()
    looser = make.policy(auto_accept=AUTO.model_copy(update={"threshold": 0.85}))
    monitor.projects = known_projects(make.project_spec(policy=looser))
    jobs._projects = monitor.projects
    await monitor.handle(LABELS, [audit(n, right=False) for n in range(400, 450)])
    await jobs.certify()
    assert states(await told(monitor))[-1][0] == "withdrawn"
