"""From answers to what is said of the people who gave them; real PostgreSQL."""

import random
from collections import Counter
from typing import Any

from services.qc.domain.conduct import Conduct
from services.qc.domain.pace import bin_of
from services.qc.store import Store
from shared.events import Skill, SkillDrift
from shared.topics import ANNOTATIONS, ERASURES, GOLD_ANSWERS, LABELS, QUALITY
from tests.support import events as make
from tests.support.qc import Qc, Reference
from tests.support.qc_domain import policy

RULES = policy(3, 3, target=0.9)


def round_of(item: str, values: dict[str, str], seconds: float = 4.0) -> list[Any]:
    return [
        make.annotation(item, by=who, value=value, policy=RULES, duration_ms=int(seconds * 1000))
        for who, value in values.items()
    ]


def falling(rounds: int) -> list[Any]:
    """Cat is right 120 times, then wrong; the others always are right."""
    names = [("positive" if n < 120 else "negative", n) for n in range(rounds)]
    return [e for cat, n in names for e in round_of(f"i{n}", {"ann": "positive", "ben": "positive", "cat": cat})]


async def conduct(qc: Qc, *people: str) -> dict[str, Conduct]:
    async with qc.unit() as unit:
        found = await Store(unit.connection).claim_conduct((make.PROJECT, who) for who in people)
    return {who: known for (_, who), known in found.items()}


async def drifts(qc: Qc) -> list[SkillDrift]:
    return [e.measurement for e in await qc.published(QUALITY) if isinstance(e.measurement, SkillDrift)]


async def recomputed(qc: Qc) -> dict[str, Counter[int]]:
    found: dict[str, Counter[int]] = {}
    async with qc.pool.acquire() as connection:
        rows = await connection.fetch("SELECT * FROM annotations WHERE outcome = 'answered' AND annotator_id <> ''")
    for row in rows:
        found.setdefault(row["annotator_id"], Counter())[bin_of(row["duration_ms"])] += 1
    return found


async def test_skill_is_told_with_confusions_and_speed(qc: Qc) -> None:
    for n in range(6):
        await qc.handle(ANNOTATIONS, round_of(f"i{n}", {"ann": "positive", "ben": "positive", "cat": "neutral"}, 2.0))
    qc.reference.publish(GOLD_ANSWERS, make.gold_answer())
    await qc.handle(ANNOTATIONS, [make.annotation("gold-1", by="cat", gold=True, duration_ms=2000)])
    for _ in range(2):
        await qc.people.publish_skills()
    events = [e for e in await qc.published(QUALITY) if isinstance(e.measurement, Skill)]
    skills = {e.measurement.annotator_id: e.measurement for e in events}
    assert (len(events), set(skills)) == (3, {"ann", "ben", "cat"})
    cat = skills["cat"]
    cells = {(cell.truth, cell.answered): cell.answers for cell in cat.confusion}
    assert (cells["positive", "neutral"], cells["positive", "positive"]) == (6, 1)
    assert cat.low < cat.accuracy < cat.high
    assert cat.speed is not None
    assert abs(cat.speed.median_s - 2.0) < 0.1
    assert (cat.speed.answers, cat.speed.spread) == (7, 0.0)
    assert cat.recent is not None
    assert cat.recent < 0.2


async def test_a_fall_is_said_once_in_any_batches_and_not_again_after_a_rebuild(qc: Qc, qc_empty: Qc) -> None:
    events, dice = falling(160), random.Random(3)
    while events:
        size = dice.randrange(1, 60)
        batch, events = events[:size], events[size:]
        for _ in range(2):
            await qc.handle(ANNOTATIONS, batch)
    [alarm] = await drifts(qc)
    assert (alarm.annotator_id, alarm.number, alarm.before) == ("cat", 1, 1.0)
    assert alarm.judged <= 30
    assert {who: known.pace for who, known in (await conduct(qc, "ann", "cat")).items()} == {
        who: counts for who, counts in (await recomputed(qc)).items() if who != "ben"
    }
    qc_empty.reference = Reference()
    await qc_empty.handle(QUALITY, await qc.published(QUALITY), "rebuild_quality")
    await qc_empty.handle(LABELS, await qc.published(LABELS), "rebuild_labels")
    await qc_empty.handle(ANNOTATIONS, falling(160))
    assert await drifts(qc_empty) == []
    assert (await conduct(qc_empty, "cat"))["cat"].drift.alarms == 1


async def test_erasing_takes_pace_back_and_forgets_the_person(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, falling(10))
    await qc.handle(ANNOTATIONS, [make.annotation("gold-1", by="ann", gold=True)])
    await qc.handle(ERASURES, [make.erasure("i3"), make.erasure("gold-1")])
    known = await conduct(qc, "ann", "ben")
    assert {who: +one.pace for who, one in known.items()} == {
        who: counts for who, counts in (await recomputed(qc)).items() if who != "cat"
    }
    assert known["ann"].pace.total() == 9
    async with qc.pool.acquire() as connection:
        await connection.execute("DELETE FROM outbox")
    await qc.handle(ERASURES, [make.erasure(subject="annotator", annotator_id="ann")])
    async with qc.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM conduct WHERE annotator_id = 'ann'") == 0
