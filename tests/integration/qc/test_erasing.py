"""Forgetting items and people: the counts are those of what is left, wherever the erasure comes."""

import random
import zlib
from typing import Any

import pytest

from services.qc.domain.counts import unpack
from services.qc.store import Store
from shared import events as ev
from shared.topics import ANNOTATIONS, ERASURES, ESCALATIONS, GOLD_ANSWERS, LABELS, QUALITY
from tests.support import events as make
from tests.support.qc import Qc
from tests.support.qc_domain import policy

RULES = policy(2, 3)
GONE = make.erasure("gone")
ANN = make.erasure(subject="annotator", annotator_id="ann")


def said(item: str, by: str, value: str = "positive", **more: Any) -> ev.Annotation:
    return make.annotation(item, by=by, value=value, policy=RULES, **more)


ANSWERS = (
    said("gone", "ann"), said("gone", "bob"), said("kept", "ann"), said("kept", "bob"), said("third", "ann"),
    make.skip("third", by="cat", policy=RULES), said("gone", "cat", "negative", late=True),
    said("gold-1", "ann", gold=True, annotation_id=make.uid("g1")),
    make.skip("gold-1", by="bob", gold=True, annotation_id=make.uid("g2"), policy=RULES),
)  # fmt: skip
TOLD = (make.label("gone", value="negative"), make.label("kept"), make.auto_label("auto"))


async def everything(qc: Qc) -> str:
    rows = []
    async with qc.pool.acquire() as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'qc'")
        for (table,) in tables:
            if table not in ("erasures", "outbox"):
                rows += [row[0] for row in await connection.fetch(f"SELECT t::text FROM {table} AS t")]  # noqa: S608
    return "\n".join(rows)


async def of_item(qc: Qc, item: str) -> list[int]:
    async with qc.pool.acquire() as connection:
        return [
            await connection.fetchval(f"SELECT count(*) FROM {table} WHERE item_id = $1", item)  # noqa: S608  # ours
            for table in ("annotations", "rounds", "gold_results")
        ]


@pytest.mark.parametrize("seed", range(8))
async def test_counts_converge_wherever_the_erasure_comes(qc: Qc, seed: int) -> None:
    """Two topics and the erasures mixed, each in its order; then all of it once more, as after a rebuild."""
    dice = random.Random(seed)
    qc.reference.publish(GOLD_ANSWERS, make.gold_answer("gold-1"))
    streams: list[tuple[Any, list[Any]]] = [
        (ANNOTATIONS, list(ANSWERS)), (LABELS, list(TOLD)), (ERASURES, [GONE, make.erasure("gold-1"), ANN]),
    ]  # fmt: skip
    left = [(topic, list(events)) for topic, events in streams]
    while left:
        topic, events = dice.choice(left)
        if topic is ERASURES:
            await forget_outbox(qc)
        await qc.handle(topic, [events.pop(0)])
        left = [(topic, events) for topic, events in left if events]
    for topic, events in dice.sample(streams, len(streams)):
        await forget_outbox(qc)
        await qc.handle(topic, events)
    assert (await of_item(qc, "gone"), await of_item(qc, "gold-1")) == ([0, 0, 0], [0, 0, 0])
    await forget_outbox(qc)
    await qc.erasing.again()  # a person's late answers are found by the job
    stored = await qc.stored()
    assert stored == await qc.recomputed()
    assert stored.given == {"": 2, "bob": 1}  # "kept" by ann and bob, "third" by ann
    assert stored.skipped == {"cat": 1}
    assert stored.answered == {"positive": 3}
    assert '"ann"' not in (text := await everything(qc))
    assert ",ann," not in text
    assert qc.refused == []


async def forget_outbox(qc: Qc) -> None:
    async with qc.pool.acquire() as connection:
        await connection.execute("DELETE FROM outbox")


async def test_what_an_erasure_removed_is_noted(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, ANSWERS)
    await qc.handle(ERASURES, [GONE])
    async with qc.pool.acquire() as connection:
        rows = await connection.fetch("SELECT subject, removed::text FROM erasures")
    assert [row["subject"] for row in rows] == ["sentiment/gone"]
    assert rows[0]["removed"] == '{"outbox": 1, "rounds": 1, "annotations": 3}'
    assert "gone" not in [event.item_id for event in await qc.published(ESCALATIONS)]


async def test_an_erased_person_is_nobody_in_counts_snapshots_and_votes(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, ANSWERS)
    await qc.jobs.take_snapshots()
    before = await qc.stored()
    await forget_outbox(qc)
    await qc.handle(ERASURES, [ANN])
    stored = await qc.stored()
    assert stored == await qc.recomputed()
    assert stored.given == {"": before.given["ann"], "bob": before.given["bob"], "cat": before.given["cat"]}
    assert stored.labelled == before.labelled
    async with qc.pool.acquire() as connection:
        (body,) = (await Store(connection).get_bodies({make.PROJECT: 1})).values()
    assert '"ann"' not in body
    assert '"bob"' in body
    await qc.handle(ANNOTATIONS, [ANSWERS[2]])  # redelivered: it is known, and no contradiction
    assert qc.refused == []
    again = [said("kept", who, "negative", round=2) for who in ("dan", "eve")]
    await qc.handle(ANNOTATIONS, [*again, make.exhausted("kept", round=2, policy=RULES)])
    (label,) = await qc.published(LABELS)
    assert {vote.annotator_id for vote in label.evidence.votes} == {"erased", "bob", "dan", "eve"}
    await qc.people.publish_skills()
    assert "ann" not in {getattr(q.measurement, "annotator_id", None) for q in await qc.published(QUALITY)}


async def test_answers_of_somebody_in_quarantine_never_count_again(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, [said("kept", "ann", "negative"), said("kept", "bob")])
    async with qc.pool.acquire() as connection:
        await connection.execute("INSERT INTO trust VALUES ($1, 'ann', 9, 0, 9, true, 'spam')", make.PROJECT)
    await forget_outbox(qc)
    await qc.handle(ERASURES, [ANN])
    assert await qc.stored() == await qc.recomputed()
    await qc.handle(ANNOTATIONS, [said("kept", "ann", "negative")])  # redelivered
    assert qc.refused == []
    await qc.handle(ANNOTATIONS, [said("kept", "cat"), make.exhausted("kept", policy=RULES)])
    (label,) = await qc.published(LABELS)
    assert {vote.annotator_id for vote in label.evidence.votes} == {"bob", "cat"}


async def test_a_gold_answer_that_comes_late_says_nothing_of_who_was_erased(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, [ANSWERS[7]])
    await qc.handle(ERASURES, [ANN])
    qc.reference.publish(GOLD_ANSWERS, make.gold_answer("gold-1"))
    await qc.jobs.score_gold()
    assert await qc.published(QUALITY) == []
    assert await qc.stored() == await qc.recomputed()


async def test_a_rebuild_brings_back_no_answer_of_an_erased_gold_item(qc: Qc) -> None:
    result = ev.GoldResult(
        annotator_id="ann", annotation_id=make.uid("g1"), gold_item_id="gold-1", correct=True, expected="positive",
        answered="positive",
    )  # fmt: skip
    await qc.handle(ERASURES, [make.erasure("gold-1")])
    await qc.handle(QUALITY, [make.quality(result)], "rebuild_quality")
    async with qc.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM gold_published") == 0
    other = result.model_copy(update={"gold_item_id": "gold-2"})
    await qc.handle(QUALITY, [make.quality(other)], "rebuild_quality")
    async with qc.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM gold_published") == 1


async def test_a_snapshot_forgets_a_person_whose_items_were_erased_before(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, [make.annotation("gone", by="ann"), make.annotation("stays", by="bob")])
    await qc.jobs.take_snapshots()
    await forget_outbox(qc)
    await qc.handle(ERASURES, [make.erasure("gone")])
    await qc.handle(ERASURES, [ANN])
    async with qc.pool.acquire() as connection:
        [body] = await connection.fetch("SELECT body FROM snapshots")
    cells, _ = unpack(zlib.decompress(body["body"]).decode())
    assert {one.annotator_id for one in cells} == {"", "bob"}
