"""From wrong answers to gold to a quarantine, and what becomes of the labels that stood on them; real PostgreSQL."""

from typing import Any

import pytest

from services.qc.domain.trust import Trust
from services.qc.store import Store
from shared.events import GoldPlan, GoldPolicy, Quality, Quarantine, Relabel, RelabelCause
from shared.topics import ANNOTATIONS, GOLD_ANSWERS, QUALITY, RELABELS
from tests.support import events as make
from tests.support.qc import Qc, Reference
from tests.support.qc_domain import policy

GOLD = 40
RULES = policy(2, 2, gold=GoldPolicy(acceptable=0.75, unacceptable=0.4, false_alarm=0.01))


@pytest.fixture
def taught(qc: Qc) -> Qc:
    """With gold whose answer is always positive."""
    qc.reference.publish(GOLD_ANSWERS, *(make.gold_answer(f"gold-{n}") for n in range(GOLD)))
    return qc


def gold(who: str, value: str, numbers: range) -> list[Any]:
    return [make.annotation(f"gold-{n}", by=who, value=value, gold=True, policy=RULES) for n in numbers]


def agreeing(numbers: range, *people: str) -> list[Any]:
    return [make.annotation(f"i{n}", by=who, value="positive", policy=RULES) for n in numbers for who in people]


async def marks(qc: Qc) -> list[Quarantine]:
    return [e.measurement for e in await qc.published(QUALITY) if isinstance(e.measurement, Quarantine)]


async def trust(qc: Qc, who: str) -> Trust:
    async with qc.unit() as unit:
        return (await Store(unit.connection).claim_trust([(make.PROJECT, who)]))[make.PROJECT, who]


def by_lead(who: str, second: int, *, active: bool) -> Quality:
    mark = Quarantine(annotator_id=who, active=active, reason="lead")
    return make.quality(subject=f"annotator#{who}", sequence=f"{second}", measurement=mark, measured_at=make.at(second))


async def test_a_spammer_is_quarantined_once_and_good_people_are_not(taught: Qc) -> None:
    for start in range(0, GOLD, 10):
        batch = [*gold("hal", "negative", range(start, start + 10)), *gold("ada", "positive", range(start, start + 10))]
        for _ in range(2):
            await taught.handle(ANNOTATIONS, batch)
    [mark] = await marks(taught)
    assert (mark.annotator_id, mark.active) == ("hal", True)
    assert "0 of 6 right" in mark.reason
    assert ((await trust(taught, "hal")).answers, (await trust(taught, "ada")).correct) == (GOLD, GOLD)


async def test_labels_that_stand_on_a_quarantined_person_are_reopened_and_no_others(taught: Qc) -> None:
    taught.settings = taught.settings.model_copy(update={"review_max_items": 4})
    await taught.handle(ANNOTATIONS, [*agreeing(range(6), "hal", "ada"), *agreeing(range(6, 9), "ada", "ben")])
    rules = policy(3, 3, target=0.9)
    confirmed = [make.annotation(f"c{n}", by=w, policy=rules) for n in range(6) for w in ("hal", "ada", "ben")]
    await taught.handle(ANNOTATIONS, confirmed)
    await taught.jobs.take_snapshots()
    await taught.handle(ANNOTATIONS, gold("hal", "negative", range(10)))
    for _ in range(5):
        await taught.jobs.review()
    found: list[Relabel] = await taught.published(RELABELS)
    assert {one.item_id for one in found} == {f"i{n}" for n in range(6)}
    assert len(found) == 6
    assert {(one.round, one.cause, one.excluded_annotators) for one in found} == {
        (1, RelabelCause.QUARANTINE, ("hal",))
    }
    assert (await trust(taught, "hal")).review is None


async def test_the_next_round_leaves_out_what_they_said(taught: Qc) -> None:
    await taught.handle(ANNOTATIONS, agreeing(range(1), "hal", "ada"))
    await taught.handle(ANNOTATIONS, gold("hal", "negative", range(10)))
    again = make.annotation("i0", by="ben", value="negative", round=2, policy=policy(1, 1))
    await taught.handle(ANNOTATIONS, [again])
    label = (await taught.published())[-1]
    assert {vote.annotator_id for vote in label.evidence.votes} == {"ada", "ben"}


async def test_a_lead_reinstates_and_old_gold_is_forgiven(taught: Qc) -> None:
    await taught.handle(ANNOTATIONS, gold("hal", "negative", range(10)))
    for _ in range(2):
        await taught.handle(QUALITY, [by_lead("hal", 2000, active=False)])
    known = await trust(taught, "hal")
    assert (known.quarantined, known.answers, known.review) == (False, 0, None)
    await taught.handle(QUALITY, [by_lead("hal", 1500, active=True)])
    assert not (await trust(taught, "hal")).quarantined
    taught.now = make.at(3000)
    await taught.handle(ANNOTATIONS, gold("hal", "negative", range(10, 20)))
    assert [mark.active for mark in await marks(taught)] == [True, True]


async def test_a_quarantine_by_a_lead_is_reviewed_too(taught: Qc) -> None:
    await taught.handle(ANNOTATIONS, agreeing(range(3), "gus", "ada"))
    await taught.handle(QUALITY, [by_lead("gus", 2000, active=True)])
    await taught.jobs.review()
    assert len(await taught.published(RELABELS)) == 3


async def test_a_corrected_gold_answer_takes_the_evidence_back(taught: Qc) -> None:
    await taught.handle(ANNOTATIONS, gold("eve", "negative", range(5)))
    before = await trust(taught, "eve")
    assert (before.answers, before.correct) == (5, 0)
    taught.reference.publish(GOLD_ANSWERS, *(make.gold_answer(f"gold-{n}", value="negative") for n in range(5)))
    await taught.jobs.score_gold()
    after = await trust(taught, "eve")
    assert (after.answers, after.correct) == (5, 5)
    assert after.evidence < before.evidence / 100


async def test_a_rebuilt_database_quarantines_nobody_again(taught: Qc, qc_empty: Qc) -> None:
    said = gold("hal", "negative", range(10))
    await taught.handle(ANNOTATIONS, said)
    events = await taught.published(QUALITY)
    qc_empty.reference = Reference()
    qc_empty.reference.publish(GOLD_ANSWERS, *(make.gold_answer(f"gold-{n}") for n in range(GOLD)))
    await qc_empty.handle(QUALITY, events, "rebuild_quality")
    await qc_empty.handle(ANNOTATIONS, said)
    assert await qc_empty.published(QUALITY) == []
    assert (await trust(qc_empty, "hal")).quarantined


async def plans(qc: Qc) -> list[GoldPlan]:
    return [e.measurement for e in await qc.published(QUALITY) if isinstance(e.measurement, GoldPlan)]


async def test_gold_is_planned_anew_after_new_results_and_only_then(taught: Qc) -> None:
    job = taught.plans
    for _ in range(2):
        await job.plan()
    [usual] = await plans(taught)
    assert (usual.annotator_id, len(usual.items)) == (None, GOLD)
    assert usual.share == pytest.approx(0.05)
    await taught.handle(ANNOTATIONS, [*gold("ada", "positive", range(12)), *gold("hal", "negative", range(3))])
    for _ in range(2):
        await job.plan()
    found = {one.annotator_id: one for one in (await plans(taught))[1:]}
    assert len(await plans(taught)) == 3
    assert found["ada"].share < 0.02 < found["hal"].share <= 0.05
    assert not {f"gold-{n}" for n in range(12)} & set(found["ada"].items)
    assert len(found["hal"].items) == GOLD - 3
    await taught.handle(ANNOTATIONS, gold("hal", "positive", range(3, 4)))
    await job.plan()
    assert [one.annotator_id for one in (await plans(taught))[3:]] == ["hal"]
