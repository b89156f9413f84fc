"""A snapshot that no longer believes a label asks for it again: once, in a budget, by one replica; real PostgreSQL."""

from collections.abc import Sequence
from itertools import count
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from services.qc.jobs import doubting
from services.qc.store import Store
from shared.events import Label, Relabel, RelabelCause, RelabelPolicy
from shared.topics import ANNOTATIONS, ESCALATIONS, LABELS, RELABELS
from tests.support import events as make
from tests.support.qc import Qc, Reference
from tests.support.qc_domain import CLASSES, policy

EARLY, FULL = policy(2, 4, target=0.7), policy(5, 5, target=0.7)
SPAMMERS, GOOD = ("sam", "sue"), ("ann", "bob", "cyd")
REOPENED = "labelstream_qc_reopened_labels_total"


def early(numbers: range, *people: str) -> list[Any]:
    """Items that nobody knows these people well enough yet to doubt."""
    return [make.annotation(f"x{n}", by=who, value="negative", policy=EARLY) for n in numbers for who in people]


def telling(numbers: range) -> list[Any]:
    """Items by which everybody shows what they are."""
    rng, found = Random(7), []
    for n in numbers:
        for who in (*GOOD, *SPAMMERS):
            value = CLASSES[n % 3] if who in GOOD else rng.choice(CLASSES)
            found.append(make.annotation(f"t{n}", by=who, value=value, policy=FULL))
    return found


async def asked(qc: Qc) -> Sequence[Relabel]:
    found: list[Relabel] = await qc.published(RELABELS)
    assert {(one.cause, one.round, one.requested_by, one.opinions) for one in found} <= {
        (RelabelCause.LABEL_ERROR, 1, "qc", 1)
    }
    return found


async def label(qc: Qc, item: str) -> Label:
    found: list[Label] = [one for one in await qc.published(LABELS) if one.item_id == item]
    return max(found, key=lambda one: one.version)


async def prepare(qc: Qc, doubtful: int = 4, **relabel: Any) -> None:
    """`doubtful` labels by spammers, one by good people, then enough to tell them apart, and a snapshot."""
    qc.reference = Reference(make.project_spec(policy=make.policy(relabel=RelabelPolicy(**relabel))))
    await qc.handle(ANNOTATIONS, [*early(range(doubtful), *SPAMMERS), *early(range(100, 101), "ann", "bob")])
    assert len(await qc.published(LABELS)) == doubtful + 1
    await qc.doubts.reconsider()
    await qc.handle(ANNOTATIONS, telling(range(40)))
    await qc.jobs.take_snapshots()


async def test_labels_by_spammers_are_asked_for_again_once_and_given_by_one_opinion_more(qc: Qc) -> None:
    await prepare(qc)
    for _ in range(3):
        await qc.doubts.reconsider()  # each time another replica
    found = await asked(qc)
    assert {one.item_id for one in found} == {f"x{n}" for n in range(4)}
    assert len(found) == 4
    assert all("under snapshot 0" in one.evidence and "under snapshot 1" in one.evidence for one in found)
    assert min(one.urgency for one in found) > 0.3
    again = [make.annotation("x0", by="ann", value="positive", round=2, policy=policy(2, 4, target=0.7))]
    await qc.handle(ANNOTATIONS, again)
    fresh = await label(qc, "x0")
    assert (fresh.version, fresh.value, fresh.opinions) == (2, make.choice("positive"), 1)
    assert len(fresh.evidence.votes) == 3
    await qc.handle(ANNOTATIONS, telling(range(40, 60)))
    await qc.jobs.take_snapshots()
    await qc.doubts.reconsider()
    assert len(await asked(qc)) == 4
    assert await qc.stored() == await qc.recomputed()


async def test_a_label_that_nobody_can_be_asked_about_is_given_anew_once_by_nobody(qc: Qc, qc_empty: Qc) -> None:
    qc.reference = Reference(make.project_spec(policy=make.policy(relabel=RelabelPolicy())))
    used_up, told = policy(3, 3), zip((*SPAMMERS, "ann"), ("negative", "negative", "positive"), strict=True)
    first = [make.annotation("u", by=who, value=value, policy=used_up) for who, value in told]
    await qc.handle(ANNOTATIONS, first)
    assert (await label(qc, "u")).value == make.choice("negative")
    await qc.handle(ANNOTATIONS, telling(range(40)))
    await qc.jobs.take_snapshots()
    for _ in range(3):
        await qc.doubts.reconsider()
    requests = [one for one in await qc.published(RELABELS) if one.item_id == "u"]
    assert [(one.cause, one.round, one.opinions) for one in requests] == [(RelabelCause.REVISION, 1, 0)]
    assert qc.registry.get_sample_value(REOPENED, {"project": make.PROJECT, "reason": "revision"}) == 1.0
    await qc.handle(ANNOTATIONS, [make.exhausted("u", round=2, policy=used_up)])
    fresh = await label(qc, "u")
    assert (fresh.version, fresh.value, fresh.opinions) == (2, make.choice("positive"), 0)
    qc.now = make.at(1100)
    await qc.handle(ANNOTATIONS, telling(range(40, 60)))
    await qc.jobs.take_snapshots()
    await qc.doubts.reconsider()
    assert len([one for one in await qc.published(RELABELS) if one.item_id == "u"]) == 1
    assert await qc.stored() == await qc.recomputed()
    await qc_empty.handle(RELABELS, requests, "rebuild_relabels")
    async with qc_empty.pool.acquire() as connection:
        assert await connection.fetchval("SELECT pooled FROM rounds WHERE item_id = 'u' AND round = 2")


async def test_the_budget_of_a_day_is_kept_and_the_rest_follows_on_the_next(qc: Qc) -> None:
    await prepare(qc, doubts_per_day=3)
    for _ in range(3):
        await qc.doubts.reconsider()
    first = await asked(qc)
    assert len(first) == 3
    qc.now = make.at(1000 + 86_400)
    for _ in range(3):
        await qc.doubts.reconsider()
    assert {one.item_id for one in await asked(qc)} == {f"x{n}" for n in range(4)}


async def test_a_pass_is_bounded_and_goes_on_where_it_stopped(qc: Qc) -> None:
    qc.settings = qc.settings.model_copy(update={"review_max_items": 3})
    await prepare(qc, 5)
    for number in (3, 5, 5):
        await qc.doubts.reconsider()
        assert len(await asked(qc)) == number


async def test_it_can_be_turned_off(qc: Qc) -> None:
    await prepare(qc, doubts_per_day=0)
    await qc.doubts.reconsider()
    assert await asked(qc) == []


def unweighed(qc: Qc) -> float | None:
    return qc.registry.get_sample_value("labelstream_qc_unweighed_answers", {"project": make.PROJECT})


async def test_it_tells_how_many_answers_no_label_was_held_against_at_rest_too(
    qc: Qc, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SimpleNamespace(monotonic=count(step=2).__next__)
    monkeypatch.setattr(doubting, "time", slow)  # a pass takes 2 s, and is followed by 6 of rest
    await prepare(qc)
    job = qc.doubts
    await job.reconsider()
    assert unweighed(qc) == 210.0  # a pass asked for labels; another finds that it was the last
    await qc.handle(ANNOTATIONS, telling(range(40, 42)))
    await job.reconsider()
    assert unweighed(qc) == 220.0
    for _ in range(3):
        await job.reconsider()
    assert unweighed(qc) == 10.0
    qc.now = make.at(1100)
    await qc.jobs.take_snapshots()
    for _ in range(5):
        await job.reconsider()
    assert unweighed(qc) == 0.0


async def test_a_snapshot_that_more_answers_leave_as_it_is_knows_them_too(qc: Qc) -> None:
    await prepare(qc)
    async with qc.unit() as unit:
        number, _ = await Store(unit.connection).get_newest(make.PROJECT)
        given = (await Store(unit.connection).list_growth())[make.PROJECT][0]
        await unit.connection.execute("UPDATE snapshots SET given = given - 5")
    qc.now = make.at(1100)
    await qc.jobs.take_snapshots()
    async with qc.unit() as unit:
        assert (await Store(unit.connection).list_growth())[make.PROJECT][:2] == (given, given)
        assert (await Store(unit.connection).get_newest(make.PROJECT))[0] == number


async def test_one_replica_at_a_time_looks_at_a_project(qc: Qc) -> None:
    await prepare(qc)
    async with qc.unit() as unit:
        assert await Store(unit.connection).lock_project(make.PROJECT, "doubts")
        await qc.doubts.reconsider()
    assert await asked(qc) == []
    job = qc.doubts
    await job.reconsider()
    assert len(await asked(qc)) == 4
    async with qc.pool.acquire() as connection:
        await connection.execute("UPDATE rounds SET pooled = false")  # would be asked for again, were it looked at
        await connection.execute("DELETE FROM rounds WHERE round = 2")
    await job.reconsider()
    assert len(await asked(qc)) == 4


async def test_a_rebuilt_database_asks_for_nothing_again(qc: Qc, qc_empty: Qc) -> None:
    await prepare(qc, doubts_per_day=3)
    await qc.doubts.reconsider()
    labels, doubts = await qc.published(LABELS), await asked(qc)
    qc_empty.reference = qc.reference
    await qc_empty.handle(LABELS, labels, "rebuild_labels")
    await qc_empty.handle(ESCALATIONS, await qc.published(ESCALATIONS), "rebuild_escalations")
    for _ in range(2):
        await qc_empty.handle(RELABELS, doubts, "rebuild_relabels")
    await qc_empty.handle(RELABELS, [make.relabel("x3", requested_by="monitor")], "rebuild_relabels")
    async with qc_empty.pool.acquire() as connection:
        assert await connection.fetchval("SELECT used FROM doubts") == 3
        flagged = await connection.fetch("SELECT item_id FROM rounds WHERE pooled AND round = 2")
    assert {row[0] for row in flagged} == {one.item_id for one in doubts}
    await qc_empty.handle(ANNOTATIONS, [*early(range(4), *SPAMMERS), *early(range(100, 101), "ann", "bob")])
    await qc_empty.handle(ANNOTATIONS, telling(range(40)))
    await qc_empty.jobs.take_snapshots()
    qc_empty.now = make.at(1000 + 86_400)
    await qc_empty.doubts.reconsider()
    assert await qc_empty.published() == []
    assert await qc_empty.stored() == await qc.stored()


async def test_after_a_loss_only_labels_given_since_are_doubted(qc: Qc, qc_empty: Qc) -> None:
    await prepare(qc)
    labels = await qc.published(LABELS)
    qc_empty.reference = qc.reference
    newest = max(labels, key=lambda one: one.evidence.snapshot)
    told = newest.evidence.model_copy(update={"snapshot": 7})
    await qc_empty.handle(LABELS, [*labels, newest.model_copy(update={"evidence": told})], "rebuild_labels")
    await qc_empty.handle(ANNOTATIONS, telling(range(40)))
    await qc_empty.handle(ANNOTATIONS, early(range(200, 203), *SPAMMERS))  # no snapshot of its own is there yet
    await qc_empty.jobs.take_snapshots()
    await qc_empty.doubts.reconsider()
    assert await asked(qc_empty) == []
    late = [make.annotation(f"y{n}", by=who, value="negative", policy=policy(2, 4, target=0.4))
            for n in range(3) for who in SPAMMERS]  # fmt: skip
    await qc_empty.handle(ANNOTATIONS, late)
    async with qc_empty.pool.acquire() as connection:
        assert await connection.fetchval("SELECT min(snapshot) FROM rounds WHERE item_id LIKE 'y%'") == 8
