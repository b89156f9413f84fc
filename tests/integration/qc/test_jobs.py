"""Snapshots, quality events and late gold answers on a real PostgreSQL."""

from datetime import timedelta
from typing import Any

import pytest

from services.qc.domain.consensus import Opinion, posterior
from services.qc.domain.counts import build
from services.qc.domain.models import ONE_COIN
from services.qc.store import Store
from shared.events import Agreement, Audience, GoldResult, Label, Overlap, Skill, Worth
from shared.topics import ANNOTATIONS, GOLD_ANSWERS, LABELS, PROJECTS, QUALITY
from tests.support import events as make
from tests.support.qc import Qc
from tests.support.qc_domain import CLOSED, policy


def agreeing(items: range, *people: str, value: str = "positive", rules: Any = None) -> list[Any]:
    chosen = rules or policy(len(people), len(people))
    return [make.annotation(f"i{n}", by=who, value=value, policy=chosen) for n in items for who in people]


async def snapshots(qc: Qc) -> list[Any]:
    async with qc.pool.acquire() as connection:
        rows: list[Any] = await connection.fetch("SELECT * FROM snapshots ORDER BY number")
    return rows


async def test_a_snapshot_is_numbered_when_counts_grew_and_decisions_name_it(qc: Qc) -> None:
    await qc.jobs.take_snapshots()
    assert await snapshots(qc) == []
    await qc.handle(ANNOTATIONS, agreeing(range(5), "a", "b", "c"))
    for _ in range(3):
        await qc.jobs.take_snapshots()
    [one] = await snapshots(qc)
    assert (one["number"], one["judged"], one["given"]) == (1, 15, 15)
    await qc.handle(ANNOTATIONS, agreeing(range(5, 6), "a", "b"))
    labels = await qc.published(LABELS)
    assert [label.evidence.snapshot for label in labels] == [0] * 5 + [1]
    await qc.jobs.take_snapshots()
    assert [row["number"] for row in await snapshots(qc)] == [1, 2]


async def test_what_opinions_tell_is_told_where_people_are_asked_by_it(qc: Qc) -> None:
    def told(events: list[Any]) -> list[tuple[str, int]]:
        return [(e.measurement.annotator_id, e.snapshot) for e in events if isinstance(e.measurement, Worth)]

    await qc.handle(ANNOTATIONS, agreeing(range(5), "a", "b", "c"))
    await qc.jobs.take_snapshots()
    assert told(await qc.published(QUALITY)) == []
    spec = make.project_spec(policy=policy(overlap=Overlap(min=2, max=3, regret=0.01, prefer=2.0)))
    qc.reference.publish(PROJECTS, make.project_version(2, spec=spec), make.project_pointer(2))
    await qc.handle(ANNOTATIONS, agreeing(range(5, 9), "a", "b", "c"))
    await qc.jobs.take_snapshots()
    assert told(await qc.published(QUALITY)) == [("a", 2), ("b", 2), ("c", 2)]
    await qc.handle(ANNOTATIONS, agreeing(range(9, 30), "a", "b") + agreeing(range(9, 30), "c", value="negative"))
    await qc.jobs.take_snapshots()
    assert ("c", 3) in told(await qc.published(QUALITY))


async def test_a_label_can_be_computed_again_from_the_snapshot_it_names(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, agreeing(range(30), "a", "b", "c"))
    await qc.jobs.take_snapshots()
    await qc.handle(ANNOTATIONS, agreeing(range(30, 31), "a", "new"))
    label = (await qc.published(LABELS))[-1]
    async with qc.unit() as unit:
        parameters = (await qc.parameters.latest([make.PROJECT], Store(unit.connection)))[make.PROJECT]
    assert label.evidence.snapshot == parameters.snapshot == 1
    shares = posterior([Opinion(v.annotator_id, v.value.choice) for v in label.evidence.votes], CLOSED, parameters)
    assert label.posterior == pytest.approx(shares["positive"], abs=1e-6)
    assert label.posterior > posterior([Opinion("a", "positive")] * 2, CLOSED, build(0, ()))["positive"]


async def test_a_batch_is_not_decided_by_a_snapshot_that_knows_less_than_half(qc: Qc) -> None:
    qc.settings = qc.settings.model_copy(update={"snapshot_min_answers": 20})
    qc.catches_up = True
    await qc.handle(ANNOTATIONS, agreeing(range(9), "a", "b"))
    await qc.handle(ANNOTATIONS, agreeing(range(9, 10), "a", "b"))
    assert await snapshots(qc) == []  # 18 are too few
    await qc.handle(ANNOTATIONS, agreeing(range(10, 11), "a", "b"))
    assert [row["given"] for row in await snapshots(qc)] == [20]
    await qc.handle(ANNOTATIONS, agreeing(range(11, 20), "a", "b"))
    await qc.handle(ANNOTATIONS, agreeing(range(20, 21), "a", "b"))
    assert [row["given"] for row in await snapshots(qc)] == [20, 40]
    named = [label.evidence.snapshot for label in await qc.published(LABELS)]
    assert named == [0] * 10 + [1] * 10 + [2]
    assert await qc.stored() == await qc.recomputed()


async def test_old_snapshots_keep_their_digest_only(qc: Qc) -> None:
    qc.settings = qc.settings.model_copy(update={"snapshots_kept": 2})
    for n in range(5):
        await qc.handle(ANNOTATIONS, agreeing(range(n, n + 1), "a", "b"))
        await qc.jobs.take_snapshots()
    kept = [(row["number"], row["body"] is not None) for row in await snapshots(qc)]
    assert kept == [(1, False), (2, False), (3, False), (4, True), (5, True)]
    assert len({row["digest"] for row in await snapshots(qc)}) == 5


async def test_what_is_left_of_very_old_snapshots_goes_but_for_the_newest(qc: Qc) -> None:
    qc.settings = qc.settings.model_copy(update={"snapshots_kept": 1})
    for n in range(4):
        await qc.handle(ANNOTATIONS, agreeing(range(n, n + 1), "a", "b"))
        await qc.jobs.take_snapshots()
    await qc.jobs.forget_snapshots()
    assert [row["number"] for row in await snapshots(qc)] == [1, 2, 3, 4]
    qc.now += timedelta(days=91)
    await qc.jobs.forget_snapshots()
    assert [row["number"] for row in await snapshots(qc)] == [4]
    async with qc.pool.acquire() as connection:
        await connection.execute("UPDATE snapshots SET body = NULL")
    await qc.jobs.forget_snapshots()
    assert [row["number"] for row in await snapshots(qc)] == [4]  # its number is never given again


async def test_open_rounds_weigh_in_the_snapshot_but_not_in_the_counts(qc: Qc) -> None:
    rules = policy(2, 5)
    for n in range(4):
        await qc.handle(ANNOTATIONS, agreeing(range(n, n + 1), "a", rules=rules))
        await qc.handle(ANNOTATIONS, agreeing(range(n, n + 1), "b", value="negative", rules=rules))
    await qc.jobs.take_snapshots()
    [one] = await snapshots(qc)
    assert one["judged"] == 8
    async with qc.unit() as unit:
        parameters = (await qc.parameters.latest([make.PROJECT], Store(unit.connection)))[make.PROJECT]
    assert parameters.crowd.total == pytest.approx(8, abs=0.1)
    assert parameters.crowd.correct < 0.6 * parameters.crowd.total
    assert (await qc.stored()).answers == {}


async def test_the_window_holds_the_newest_answers_and_is_read_in_pages(qc: Qc, monkeypatch: Any) -> None:
    monkeypatch.setattr("services.qc.store.snapshots.GIVEN_ROWS", 7)
    rules = policy(2, 2, experts=True)
    await qc.handle(ANNOTATIONS, agreeing(range(10), "a", "b", rules=rules))
    expert = make.annotation("i3", by="expert", role=Audience.EXPERT, value="neutral", round=2, policy=rules)
    await qc.handle(ANNOTATIONS, [expert, make.annotation("gold-1", by="a", gold=True)])
    async with qc.unit() as unit:
        whole = await Store(unit.connection).list_given(make.PROJECT, 1000)
        newest = await Store(unit.connection).list_given(make.PROJECT, 11)
    assert sorted((one.item_id, one.annotator_id) for one in whole) == [(f"i{n}", w) for n in range(10) for w in "ab"]
    assert {one.item_id: one.known for one in whole if one.known} == {"i3": "neutral"}
    assert newest == whole[:11]
    assert [one.seq for one in whole] == sorted((one.seq for one in whole), reverse=True)


async def test_confusions_that_have_no_room_leave_the_counted_accuracies(qc: Qc, monkeypatch: Any) -> None:
    monkeypatch.setattr("services.qc.domain.refresh.CELLS_AT_MOST", 1)
    await qc.handle(ANNOTATIONS, agreeing(range(8), "a", "b", "c"))
    await qc.jobs.take_snapshots()
    async with qc.unit() as unit:
        parameters = (await qc.parameters.latest([make.PROJECT], Store(unit.connection)))[make.PROJECT]
    assert parameters.learned.model == ONE_COIN
    assert posterior([Opinion("a", "neutral")], CLOSED, parameters)["neutral"] > 0.5


async def test_skill_and_agreement_are_published_where_they_changed(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, agreeing(range(6), "a", "b", "c"))
    agreement_jobs = qc.agreement
    for _ in range(2):
        await agreement_jobs.publish_agreement()
        await qc.people.publish_skills()
    events = await qc.published(QUALITY)
    skills = [e.measurement for e in events if isinstance(e.measurement, Skill)]
    assert {s.annotator_id: s.judged for s in skills} == {"a": 6, "b": 6, "c": 6}
    assert all(0.5 < s.low < s.accuracy < s.high for s in skills)
    found = [e.measurement for e in events if isinstance(e.measurement, Agreement)]
    assert len(found) == len({(one.scope, one.name) for one in found})
    [agreement] = [one for one in found if one.scope == "project"]
    assert (agreement.percent, agreement.rounds, agreement.opinions) == (1.0, 6, 18)
    await qc.handle(ANNOTATIONS, agreeing(range(6, 7), "a", "b"))
    await agreement_jobs.publish_agreement()
    await qc.people.publish_skills()
    later = (await qc.published(QUALITY))[len(events) :]
    subjects = {e.subject for e in later}
    assert {"agreement", "agreement#class:positive", "annotator#a", "annotator#b"} <= subjects
    assert "agreement#pairs" not in subjects  # nobody has enough in common, before and after


async def test_skill_events_are_bounded_per_run(qc: Qc) -> None:
    qc.settings = qc.settings.model_copy(update={"quality_max_events": 2})
    await qc.handle(ANNOTATIONS, agreeing(range(3), "a", "b", "c"))
    await qc.people.publish_skills()
    assert len([e for e in await qc.published(QUALITY) if isinstance(e.measurement, Skill)]) == 2
    await qc.people.publish_skills()
    assert len([e for e in await qc.published(QUALITY) if isinstance(e.measurement, Skill)]) == 3


async def test_gold_answered_before_its_answer_is_known_is_scored_when_it_comes(qc: Qc) -> None:
    early = [make.annotation("gold-1", by=f"p{n}", value=v, gold=True) for n, v in enumerate(("positive", "neutral"))]
    await qc.handle(ANNOTATIONS, early)
    assert await qc.published(QUALITY) == []
    await qc.jobs.score_gold()
    assert await qc.published(QUALITY) == []
    qc.reference.publish(GOLD_ANSWERS, make.gold_answer())
    for _ in range(2):
        await qc.jobs.score_gold()
    found = {e.measurement.annotator_id: e.measurement for e in await qc.published(QUALITY)}
    assert {who: result.correct for who, result in found.items()} == {"p0": True, "p1": False}
    assert await qc.stored() == await qc.recomputed()


async def test_a_corrected_gold_answer_moves_the_scores(qc: Qc) -> None:
    qc.reference.publish(GOLD_ANSWERS, make.gold_answer())
    await qc.handle(ANNOTATIONS, [make.annotation("gold-1", by="p", value="neutral", gold=True)])
    qc.reference.publish(GOLD_ANSWERS, make.gold_answer(value="neutral"))
    for _ in range(2):
        await qc.jobs.score_gold()
    results = [e.measurement for e in await qc.published(QUALITY)]
    assert [(r.expected, r.correct) for r in results if isinstance(r, GoldResult)] == [
        ("positive", False),
        ("neutral", True),
    ]
    assert (await qc.stored()).answers == {("p", "neutral", "neutral", "gold"): 1}
    assert await qc.stored() == await qc.recomputed()


async def test_a_new_label_version_moves_the_counts(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, agreeing(range(3), "a", "b"))
    labels = await qc.published(LABELS)
    assert all(isinstance(label, Label) for label in labels)
    await qc.handle(LABELS, [*labels, make.label("i0", version=2, value="negative")])
    stored = await qc.stored()
    assert stored.answers[("a", "negative", "positive", "consensus")] == 1
    assert stored == await qc.recomputed()
