"""The handlers on a real PostgreSQL."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from shared.errors import RetryLater
from shared.events import (
    Annotation,
    Ask,
    Audience,
    Escalation,
    GoldResult,
    Label,
    Outcome,
    Path,
    SkipReason,
)
from shared.labels import Choices, ChoicesSchema, Rating, RatingSchema
from shared.topics import ANNOTATIONS, ESCALATIONS, GOLD_ANSWERS, LABELS, QUALITY
from tests.support import events as make
from tests.support.qc import Qc, Reference, received
from tests.support.qc_domain import policy

RULES = policy(2, 3)


def crowd(items: int, people: int = 3, *, rng: random.Random | None = None) -> list[Annotation]:
    """Three opinions on each item, in the order of the items, some disagreeing, one late, one skipping."""
    dice = rng or random.Random(3)
    events = []
    for n in range(items):
        truth = make.CLASSES[n % 3]
        for k in range(people):
            value = truth if dice.random() < 0.8 else dice.choice(make.CLASSES)
            events.append(make.annotation(f"i{n}", by=f"ann{(n + k) % 7}", value=value, policy=RULES))
        events.append(make.annotation(f"i{n}", by="late", value=truth, late=True, policy=RULES))
        if n % 5 == 0:
            events.append(make.skip(f"i{n}", by="skipper", policy=RULES))
        events.append(make.exhausted(f"i{n}", policy=RULES))
    return events


def batches(events: list[Any], rng: random.Random) -> list[list[Any]]:
    left, found = list(events), []
    while left:
        size = rng.randint(1, 40)
        found.append(left[:size])
        left = left[size:]
    return found


async def test_every_round_ends_in_one_label_and_the_counts_are_the_raw_ones(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, crowd(40))
    labels = await qc.published(LABELS)
    assert Counter(label.item_id for label in labels) == {f"i{n}": 1 for n in range(40)}
    assert {label.path for label in labels} == {Path.CONSENSUS}
    assert all(label.opinions == len(label.evidence.votes) in (2, 3) for label in labels)
    assert all(label.cost == pytest.approx(label.opinions * 0.08) for label in labels)
    stored = await qc.stored()
    assert stored == await qc.recomputed()
    assert stored.given.total() == 160
    assert stored.skipped == {"skipper": 8}
    assert stored.labelled.total() == 40


async def test_repeats_of_any_batch_change_nothing(qc: Qc) -> None:
    events = crowd(20)
    for batch in batches(events, random.Random(1)):
        for _ in range(2):
            await qc.handle(ANNOTATIONS, batch + batch)
    once, published = await qc.stored(), await qc.published()
    assert len({event.event_id for event in published}) == len(published)
    await qc.handle(ANNOTATIONS, events)
    assert await qc.stored() == once == await qc.recomputed()
    assert len(await qc.published()) == len(published)


async def test_two_topics_and_replicas_at_once_lose_and_double_nothing(qc: Qc) -> None:
    """Two partitions of annotations, and both halves of the labels topic twice, all at once."""
    events = crowd(60)
    first = Qc(qc.pool)
    await first.handle(ANNOTATIONS, events[:30])
    made = await qc.published(LABELS)
    auto = [make.auto_label(f"auto{n}") for n in range(40)]
    rng = random.Random(5)

    async def consume(name: Any, mine: list[Any]) -> None:
        for batch in batches(mine, rng):
            await Qc(qc.pool).handle(name, batch)

    async with asyncio.TaskGroup() as group:
        even = {f"i{n}" for n in range(0, 60, 2)}
        group.create_task(consume(ANNOTATIONS, [e for e in events if e.item_id in even]))
        group.create_task(consume(ANNOTATIONS, [e for e in events if e.item_id not in even]))
        group.create_task(consume(LABELS, [*made, *auto]))
        group.create_task(consume(LABELS, [*auto, *made]))
    assert await qc.stored() == await qc.recomputed()
    labels = Counter(label.item_id for label in await qc.published(LABELS))
    assert labels == {f"i{n}": 1 for n in range(60)}


async def statements(qc: Qc, topic: Any, events: list[Any]) -> set[str]:
    """Our statements for one batch, each once: asyncpg logs preparation, execution, and its own look-ups of types."""
    async with qc.unit() as unit:
        seen: list[str] = []
        unit.connection.add_query_logger(lambda query: seen.append(query.query))
        handler = getattr(qc.handlers, f"on_{topic.name.removesuffix('.v1')}")
        await handler([received(topic, event) for event in events], unit)
        assert len(seen) <= 60, seen
    ours = ("SELECT", "INSERT", "UPDATE", "WITH")
    return {query for query in seen if query.startswith(ours) and "pg_" not in query}


async def test_statements_per_batch_do_not_grow(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, crowd(3))
    await qc.jobs.take_snapshots()
    sizes = []
    for size in (1, 300):
        events = [make.annotation(f"{size}/{n}", by=f"p{k}", policy=RULES) for n in range(size) for k in range(3)]
        gold = make.annotation(f"gold-{size}", by="g", gold=True)
        sizes.append(await statements(qc, ANNOTATIONS, [*events, gold]))
    assert sizes[0] >= sizes[1]
    assert len(sizes[0]) <= 23, sorted(sizes[0])
    labels = [await statements(qc, LABELS, [make.label(f"{size}/l{n}") for n in range(size)]) for size in (1, 300)]
    assert labels[0] == labels[1]
    assert len(labels[0]) <= 7, sorted(labels[0])


async def test_it_asks_for_one_more_then_for_an_expert_whose_word_is_final(qc: Qc) -> None:
    rules = policy(1, 3, experts=True)
    values = ("positive", "negative", "neutral")
    for n, value in enumerate(values):
        await qc.handle(ANNOTATIONS, [make.annotation(by=f"p{n}", value=value, policy=rules)])
    asks = [(e.ask, e.opinions_wanted) for e in await qc.published(ESCALATIONS)]
    assert asks == [(Ask.OPINION, 2), (Ask.OPINION, 3), (Ask.EXPERT, 4)]
    assert await qc.published(LABELS) == []
    word = make.annotation(by="expert", value="neutral", role=Audience.EXPERT, policy=rules)
    await qc.handle(ANNOTATIONS, [word])
    [label] = await qc.published(LABELS)
    assert (label.path, label.value, label.opinions) == (Path.EXPERT, make.choice("neutral"), 4)
    assert label.cost == pytest.approx(3 * 0.08 + 0.60)
    assert label.evidence.agreement == 0.5


async def test_skips_end_a_round_without_a_label(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, [make.skip(by=f"p{n}", why=SkipReason.OFFENSIVE, policy=RULES) for n in range(2)])
    [escalation] = await qc.published(ESCALATIONS)
    assert escalation.ask is Ask.UNLABELABLE
    await qc.handle(ANNOTATIONS, [make.annotation(by="after", policy=policy(1, 1))])
    assert await qc.published(LABELS) == []


async def test_a_relabelled_item_pools_its_answers_and_supersedes(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, [make.annotation(by=f"p{n}", policy=policy(2, 2)) for n in range(2)])
    again = [make.annotation(by=f"q{n}", value="neutral", policy=policy(2, 2), round=2) for n in range(2)]
    await qc.handle(ANNOTATIONS, again)
    first, second = await qc.published(LABELS)
    assert (second.version, second.supersedes, second.opinions) == (2, 1, 2)
    assert len(second.evidence.votes) == 4
    assert first.supersedes is None
    assert await qc.stored() == await qc.recomputed()
    assert (await qc.stored()).labelled.total() == 1


async def test_bad_values_unknown_projects_and_contradictions_go_to_the_dead_letters_alone(qc: Qc) -> None:
    good = make.annotation(by="good", policy=policy(1, 1))
    bad = [
        make.annotation("i2", by="bad", value="purple"),
        make.annotation("i3", by="bad", value=Rating(rating=3)),
        make.annotation("i4", by="bad", project_id="nobody-knows"),
        make.annotation("i5", by="bad", project_version=9),
        make.annotation("i1", by="good", value="negative", annotation_id=make.uid("second answer")),
        make.annotation("i1", by="good", value="negative"),
        make.annotation("i6", by="x", annotation_id=good.annotation_id),
    ]
    await qc.handle(ANNOTATIONS, [good, *bad])
    assert Counter(reason for _, reason in qc.refused) == {"unknown_label": 2, "unknown_project": 2, "id_conflict": 3}
    [label] = await qc.published(LABELS)
    assert label.item_id == "i1"
    await qc.handle(ANNOTATIONS, [make.annotation("i6", by="x", annotation_id=good.annotation_id)])
    assert qc.refused[-1] == (ANNOTATIONS.name, "id_conflict")
    assert await qc.stored() == await qc.recomputed()


async def test_one_id_stored_by_two_consumers_at_once_is_tried_again_and_then_refused(qc: Qc) -> None:
    twin = make.annotation("i2", by="b", annotation_id=make.uid("annotation", "i1", "a"))
    async with qc.unit() as unit:
        await qc.handlers.on_annotations([received(ANNOTATIONS, make.annotation("i1", by="a"))], unit)
        other = asyncio.create_task(qc.handle(ANNOTATIONS, [twin]))
        await asyncio.sleep(0.2)
    with pytest.raises(RetryLater):
        await other
    await qc.handle(ANNOTATIONS, [twin])
    assert qc.refused == [(ANNOTATIONS.name, "id_conflict")]


async def test_gold_is_scored_at_once_and_never_decides_anything(qc: Qc) -> None:
    qc.reference.publish(GOLD_ANSWERS, make.gold_answer())
    answers = [
        make.annotation("gold-1", by=f"p{n}", value=value, gold=True)
        for n, value in enumerate(("positive", "negative", "positive"))
    ]
    for _ in range(2):
        await qc.handle(ANNOTATIONS, [*answers, make.skip("gold-1", by="p9", gold=True)])
    results = [event.measurement for event in await qc.published(QUALITY)]
    assert all(isinstance(result, GoldResult) for result in results)
    assert [(r.annotator_id, r.correct) for r in results] == [("p0", True), ("p1", False), ("p2", True)]
    assert await qc.published(LABELS) == []
    stored = await qc.stored()
    assert stored == await qc.recomputed()
    assert stored.skipped == {"p9": 1}


async def test_ratings_and_sets_of_classes_are_labelled_too(qc: Qc) -> None:
    stars = make.project_spec("stars", label=RatingSchema(min=1, max=5, step=1))
    tags = make.project_spec("tags", label=ChoicesSchema(classes=("a", "b", "c")))
    qc.reference = Reference(stars, tags)
    rules = policy(2, 3)
    events = [
        make.annotation("r", by=f"p{n}", value=Rating(rating=v), project_id="stars", policy=rules)
        for n, v in enumerate((4, 5))
    ]
    events += [
        make.annotation("s", by=f"p{n}", value=Choices(choices=("b", "a")), project_id="tags", policy=rules)
        for n in range(2)
    ]
    await qc.handle(ANNOTATIONS, events)
    by_project = {label.project_id: label for label in await qc.published(LABELS)}
    assert by_project["stars"].value == Rating(rating=4)
    assert (by_project["stars"].posterior, by_project["stars"].evidence.agreement) == (None, 1.0)
    assert by_project["tags"].value == Choices(choices=("a", "b"))
    assert by_project["tags"].posterior > 0.95
    assert await qc.stored() == await qc.recomputed()


async def test_a_rebuilt_database_reads_its_output_first_and_says_nothing_again(qc: Qc, qc_empty: Qc) -> None:
    qc.reference.publish(GOLD_ANSWERS, make.gold_answer())
    qc_empty.reference = qc.reference
    events = [*crowd(25)[:-2], make.annotation("gold-1", by="ann0", gold=True)]
    for n, batch in enumerate(batches(events, random.Random(2))):
        await qc.handle(ANNOTATIONS, batch)
        if n == 1:
            await qc.jobs.take_snapshots()
    said = await qc.published()
    assert {event.evidence.snapshot for event in said if isinstance(event, Label)} == {0, 1}
    await qc_empty.handle(LABELS, [e for e in said if isinstance(e, Label)], "rebuild_labels")
    await qc_empty.handle(ESCALATIONS, [e for e in said if isinstance(e, Escalation)], "rebuild_escalations")
    await qc_empty.handle(QUALITY, [e for e in said if e.ce_type == "labelstream.quality.v1"], "rebuild_quality")
    for batch in batches(events, random.Random(9)):
        await qc_empty.handle(ANNOTATIONS, batch)
    assert await qc_empty.published() == []
    assert await qc_empty.stored() == await qc.stored() == await qc_empty.recomputed()
    await qc_empty.jobs.take_snapshots()
    async with qc_empty.pool.acquire() as connection:
        assert await connection.fetchval("SELECT max(number) FROM snapshots") == 2


async def test_outcomes_are_stored_as_they_came(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, crowd(5))
    async with qc.pool.acquire() as connection:
        rows = await connection.fetch("SELECT outcome, count(*) AS n FROM annotations GROUP BY 1")
    assert {row["outcome"]: row["n"] for row in rows} == {
        Outcome.ANSWERED.value: 20,
        Outcome.EXHAUSTED.value: 5,
        Outcome.SKIPPED.value: 1,
    }
