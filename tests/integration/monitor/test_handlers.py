"""The handlers on a real PostgreSQL."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from services.monitor.domain.cause.periods import BUCKET_S
from services.monitor.domain.counters import Counts, Key, Kind, time_bucket
from services.monitor.domain.observe import observe_all
from services.monitor.store import Store
from shared.events import (
    Agreement,
    Evidence,
    FeaturesContent,
    GoldPolicy,
    GoldResult,
    Label,
    Path,
    RelabelPolicy,
    RouteState,
)
from shared.topics import (
    ANNOTATIONS,
    ITEMS,
    LABELS,
    PREDICTIONS,
    QUALITY,
    RELABELS,
    ROUTES,
    SHADOW_PREDICTIONS,
    Topic,
)
from tests.support import events as make
from tests.support.monitor import Monitor, known_projects, received
from tests.support.wal import wal_of

WAL_PER_ITEM = 600
"""557 measured; 850 where updates find no room on their page and go to another one, with an entry in the index."""


def stream(n: int) -> dict[Topic[Any], list[Any]]:
    """n items on their way: labelled by the model, by people, sampled out, or still queued."""
    events: dict[Topic[Any], list[Any]] = {ITEMS: [], PREDICTIONS: [], ROUTES: [], LABELS: []}
    for i in range(n):
        name = f"i{i}"
        events[ITEMS].append(make.item(name))
        events[PREDICTIONS].append(make.prediction(name, value=make.CLASSES[i % 3]))
        if i % 4 == 0:
            events[LABELS].append(make.auto_label(name))
            continue
        state = RouteState.SAMPLED_OUT if i % 4 == 1 else RouteState.QUEUED
        events[ROUTES].append(make.route(name, state=state))
        if i % 4 == 2:
            events[LABELS].append(make.label(name, evidence=Evidence(proposal=make.proposal("positive"))))
    return events


def expected(events: dict[Topic[Any], list[Any]]) -> Counts:
    _, counts, _ = observe_all({}, [event for one in events.values() for event in one], bucket_s=60)
    return counts


async def facts(monitor: Monitor) -> Counts:
    """Without what was decided, which depends on what came first."""
    decided = (Kind.DOUBTED, Kind.RELABELS)
    return Counts({key: n for key, n in (await monitor.counts()).items() if key.kind not in decided})


async def test_every_count_is_exact_under_concurrent_batches_and_repeats(monitor: Monitor) -> None:
    events = stream(60)
    rng = random.Random(7)

    async def topic(name: Topic[Any]) -> None:
        """One consumer: batches of changing size, each batch twice now and then."""
        left = list(events[name])
        while left:
            size = rng.randint(1, 25)
            batch, left = left[:size], left[size:]
            for _ in range(rng.randint(1, 2)):
                await monitor.handle(name, batch)

    async with asyncio.TaskGroup() as group:
        for name in events:
            group.create_task(topic(name))
    assert await facts(monitor) == expected(events)


async def test_two_replicas_on_one_topic_count_once(monitor: Monitor) -> None:
    events = stream(80)
    for _ in range(2):
        async with asyncio.TaskGroup() as group:
            for name, all_events in events.items():
                for half in (all_events[::2], all_events[1::2]):
                    group.create_task(monitor.handle(name, random.Random(1).sample(half, len(half))))
    assert await facts(monitor) == expected(events)


async def test_an_accepted_item_costs_little_log(monitor: Monitor) -> None:
    """Bytes of write-ahead log per item: its row, made once and changed by its prediction and its label.

    The least of three runs: what else the server logs meanwhile, as by a vacuum, only ever adds to it.
    """
    await monitor.handle(ITEMS, [make.item("first")])
    found = []
    async with monitor.pool.acquire() as watching:
        for run in range(3):
            names = [f"item-{run}-{n:07}" for n in range(500)]
            async with wal_of(watching) as wal:
                await monitor.handle(ITEMS, [make.item(name) for name in names])
                await monitor.handle(PREDICTIONS, [make.prediction(name) for name in names])
                await monitor.handle(LABELS, [make.auto_label(name) for name in names])
            found.append(wal.written / len(names))
    assert min(found) <= WAL_PER_ITEM, found


@pytest.mark.parametrize("size", [1, 200])
async def test_statements_per_batch_do_not_grow(monitor: Monitor, size: int) -> None:
    audited: dict[str, Any] = {"would_auto": True, "inclusion_probability": 0.05}
    proposed = Evidence(proposal=make.proposal("positive"))
    events = [make.label(f"i{n}", evidence=proposed, **audited) for n in range(size)]
    async with monitor.unit() as unit:
        seen: list[str] = []
        unit.connection.add_query_logger(lambda query: seen.append(query.query))
        await monitor.handlers.on_labels([received(LABELS, event) for event in events], unit)
    ours = [query for query in seen if "unnest(" in query]  # the driver asks for types, once per connection
    assert len(ours) == 6, ours


async def test_annotations_gold_and_shadow_count_once(monitor: Monitor) -> None:
    answers = [make.annotation("i1", by="a"), make.annotation("i1", by="b"), make.skip("i1", by="c")]
    answers += [make.annotation("g1", by="a", gold=True), make.annotation("i2", by="a", late=True)]
    gold = make.quality(
        GoldResult(
            annotator_id="a", annotation_id=make.uid("x"), gold_item_id="g1", correct=True, expected="a", answered="a"
        )
    )
    for _ in range(2):
        await monitor.handle(ANNOTATIONS, answers + answers)
        await monitor.handle(SHADOW_PREDICTIONS, [make.shadow_prediction()])
        await monitor.handle(QUALITY, [gold])
    project = make.PROJECT
    assert await monitor.counts() == {
        Key(project, Kind.ANNOTATIONS, "answered", "round"): 2,
        Key(project, Kind.ANNOTATIONS, "skipped", "round"): 1,
        Key(project, Kind.ANNOTATIONS, "answered", "gold"): 1,
        Key(project, Kind.ANNOTATIONS, "answered", "late"): 1,
        Key(project, Kind.SHADOW_PREDICTIONS, "proposed"): 1,
        Key(project, Kind.GOLD, "correct"): 1,
        Key(project, Kind.GOLDEN, "a", "yes", time_bucket(gold.measured_at, BUCKET_S)): 1,
    }


async def test_the_newest_measurement_stands(monitor: Monitor) -> None:
    new, old = (
        make.quality(
            Agreement(percent=p, rounds=1, opinions=2), subject="project", sequence=str(p), measured_at=make.at(t)
        )
        for p, t in ((0.9, 20), (0.5, 10))
    )
    await monitor.handle(QUALITY, [new])
    await monitor.handle(QUALITY, [old])
    async with monitor.unit() as unit:
        [(project, subject, text)] = await Store(unit.connection).list_measurements("agreement")
    assert (project, subject) == (make.PROJECT, "project")
    assert Agreement.model_validate_json(text).percent == 0.9


async def test_unknown_projects_and_impossible_versions_are_refused(monitor: Monitor) -> None:
    await monitor.handle(LABELS, [make.label(project_id="nobody"), make.label(version=63), make.label("i2")])
    assert sorted(monitor.refused) == [("labels.v1", "unknown_project"), ("labels.v1", "unprocessable")]
    assert [record.topic for record in await monitor.published()] == ["labels.v1.dlq"] * 2
    assert (await monitor.counts())[Key(make.PROJECT, Kind.LABELS, "consensus")] == 1


async def test_content_of_another_kind_is_no_item(monitor: Monitor) -> None:
    await monitor.handle(ITEMS, [make.item("i1", content=FeaturesContent(features=(1.0,))), make.item("i2")])
    await monitor.handle(PREDICTIONS, [make.abstention("i1"), make.abstention("i2")])
    assert monitor.refused == [("items.v1", "content_kind")]
    assert (await monitor.counts())[Key(make.PROJECT, Kind.ITEMS, "awaiting_route")] == 1


def doubtful(item_id: str, model: float, version: int = 1) -> Label:
    """A single person's `positive`, to which the model gives the probability `model`."""
    mix = {"positive": model, "negative": 0.55, "neutral": 0.45 - model}
    evidence = Evidence(proposal=make.proposal("negative", confidence=0.55, distribution=mix))
    return make.label(item_id, path=Path.SINGLE, posterior=None, version=version, evidence=evidence)


def with_budget(n: int) -> Any:
    spec = make.project_spec(policy=make.policy(relabel=RelabelPolicy(budget_per_day=n), gold=GoldPolicy(share=0)))
    return known_projects(spec)


async def test_relabels_keep_to_the_rolling_budget(monitor: Monitor) -> None:
    monitor.projects = with_budget(2)
    labels = [doubtful(f"i{n}", n / 100) for n in (30, 10, 20)]
    await monitor.handle(LABELS, labels)
    await monitor.handle(LABELS, labels)
    await monitor.handle(LABELS, [doubtful("i99", 0.01)])
    asked = [record for record in await monitor.published() if record.topic == RELABELS.name]
    assert [record.key for record in asked] == [b"sentiment/i10", b"sentiment/i20"]
    monitor.now = make.at(1000 + 24 * 3600 + 1)
    await monitor.handle(LABELS, [doubtful("i7", 0.2), doubtful("i10", 0.1, version=2)])
    asked = [record for record in await monitor.published() if record.topic == RELABELS.name]
    assert {record.key for record in asked[2:]} == {b"sentiment/i99"}, "an hour's part of two is one"
    monitor.now += timedelta(hours=1)
    await monitor.handle(LABELS, [doubtful("i8", 0.25)])
    asked = [record for record in await monitor.published() if record.topic == RELABELS.name]
    assert [record.key for record in asked[3:]] == [b"sentiment/i7"], "i10 is not asked for again for the same cause"
    assert (await monitor.counts())[Key(make.PROJECT, Kind.RELABELS, "disagreement")] == 4


async def test_replicas_together_keep_to_the_budget(monitor: Monitor) -> None:
    monitor.projects = with_budget(5)
    async with asyncio.TaskGroup() as group:
        for r in range(4):
            group.create_task(monitor.handle(LABELS, [doubtful(f"i{r}-{n}", 0.2) for n in range(4)]))
    assert Counter(record.topic for record in await monitor.published()) == {RELABELS.name: 5}


async def test_a_rebuilt_monitor_never_asks_twice(monitor: Monitor) -> None:
    monitor.projects = with_budget(10)
    earlier = [make.relabel("i1", requested_at=make.at(60)), make.relabel("i2", requested_by="qc")]
    for _ in range(2):
        await monitor.handle(RELABELS, [*earlier, *earlier], "rebuild_relabels")
    await monitor.handle(LABELS, [doubtful("i1", 0.1), doubtful("i3", 0.1)])  # labelled before make.at(60)
    assert not await monitor.published()
    assert (await monitor.counts())[Key(make.PROJECT, Kind.RELABELS, "disagreement")] == 1
    late = doubtful("i4", 0.1).model_copy(update={"labelled_at": make.at(61)})
    await monitor.handle(LABELS, [late])
    assert [record.key for record in await monitor.published()] == [b"sentiment/i4"]
