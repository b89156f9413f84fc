"""Doubts that wait: released on monitor's clock, once, whatever crashes; bounded; forgotten with their item."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.monitor.domain.budget import LEAST_KEPT
from services.monitor.domain.counters import Key, Kind
from services.monitor.domain.relabel import Beliefs
from services.monitor.handlers import Handlers
from services.monitor.jobs import Relabelling, release
from services.monitor.settings import MonitorSettings
from shared.events import Audience, Evidence, GoldPolicy, Label, Path, Relabel, RelabelCause, RelabelPolicy
from shared.runtime.settings import KafkaSettings
from shared.topics import ERASURES, LABELS, QUALITY, RELABELS
from tests.support import events as make
from tests.support.monitor import Monitor, known_projects, received


def doubtful(item_id: str, p: float, version: int = 1, **more: Any) -> Label:
    """A single person's `positive`, to which an unsure model gives the probability p."""
    mix = {"positive": p, "negative": 0.55, "neutral": 0.45 - p}
    evidence = Evidence(proposal=make.proposal("negative", confidence=0.55, distribution=mix))
    return make.label(item_id, path=Path.SINGLE, posterior=None, version=version, evidence=evidence, **more)


def jobs(monitor: Monitor, beliefs: Beliefs | None = None) -> Relabelling:
    kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
    return Relabelling(monitor.unit, monitor.projects, MonitorSettings(kafka=kafka), beliefs or Beliefs())


def budget(n: int) -> Any:
    relabel = RelabelPolicy(budget_per_day=n)
    return known_projects(make.project_spec(policy=make.policy(relabel=relabel, gold=GoldPolicy(share=0))))


async def asked(monitor: Monitor) -> list[str]:
    records = [record for record in await monitor.published() if record.topic == RELABELS.name]
    return [record.key.decode().split("/")[1] for record in records if record.key]


async def test_what_waits_is_released_as_budget_comes_free_by_one_replica(monitor: Monitor) -> None:
    monitor.projects = budget(2)
    await monitor.handle(LABELS, [doubtful(f"i{n}", n / 100) for n in (2, 4, 6, 8)])
    assert await asked(monitor) == ["i2", "i4"]
    await jobs(monitor).release()
    assert len(await asked(monitor)) == 2
    monitor.now += timedelta(hours=25)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(jobs(monitor).release())
    assert await asked(monitor) == ["i2", "i4", "i6"]


async def test_a_crash_between_taking_and_asking_takes_nothing(monitor: Monitor) -> None:
    monitor.projects = budget(1)
    await monitor.handle(LABELS, [doubtful("i1", 0.01), doubtful("i2", 0.02)])
    monitor.now += timedelta(hours=25)

    async def killed() -> None:
        async with monitor.unit() as unit:
            policies = {project.project_id: project.spec.policy.relabel for project in monitor.projects.all()}
            assert await release(policies, unit, experts=()) == {make.PROJECT}
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await killed()
    assert await asked(monitor) == ["i1"]
    await jobs(monitor).release()
    assert await asked(monitor) == ["i1", "i2"]


async def test_only_the_best_wait_and_only_while_they_are_young(monitor: Monitor) -> None:
    monitor.projects = budget(0)
    await monitor.handle(LABELS, [doubtful(f"i{n}", 0.01 + n / 10_000) for n in range(LEAST_KEPT + 30)])
    beliefs = Beliefs()
    await jobs(monitor, beliefs).release()
    async with monitor.unit() as unit:
        assert await unit.connection.fetchval("SELECT count(*) FROM doubts") == LEAST_KEPT
        assert await unit.connection.fetchval("SELECT min(item_id) FROM doubts WHERE item_id = 'i0'") == "i0"
    assert beliefs.spent == {make.PROJECT}
    assert beliefs.bars[make.PROJECT] > 0.2
    monitor.now += timedelta(days=4)
    await jobs(monitor).release()
    async with monitor.unit() as unit:
        assert await unit.connection.fetchval("SELECT count(*) FROM doubts") == 0


async def test_a_newer_label_or_an_erasure_ends_the_wait_and_a_rename_does_not(monitor: Monitor) -> None:
    monitor.projects = budget(0)
    await monitor.handle(LABELS, [doubtful("i1", 0.01), doubtful("i2", 0.01)])
    renamed = doubtful("i2", 0.01).model_copy(update={"version": 2, "renames": 1, "opinions": 0})
    await monitor.handle(LABELS, [make.label("i1", version=2, path=Path.EXPERT), renamed])
    async with monitor.unit() as unit:
        assert await unit.connection.fetchval("SELECT string_agg(item_id, ' ') FROM doubts") == "i2"
    await monitor.handle(ERASURES, [make.erasure("i2")])
    async with monitor.unit() as unit:
        assert await unit.connection.fetchval("SELECT count(*) FROM doubts") == 0


async def test_models_and_people_are_believed_by_what_is_measured(monitor: Monitor) -> None:
    await monitor.handle(LABELS, [doubtful(f"i{n}", 0.1) for n in range(30)])
    await monitor.handle(QUALITY, [make.quality()])
    beliefs = Beliefs()
    await jobs(monitor, beliefs).believe()
    assert beliefs.accuracies == {(make.PROJECT, "ann"): 0.9}
    assert beliefs.temperatures[make.PROJECT, "m1"] > 1.2, "people keep saying what the model thinks unlikely"
    assert sum(n for key, n in (await monitor.counts()).items() if key.kind == Kind.DOUBTED) == 30
    assert Key(make.PROJECT, Kind.RELABELS, "disagreement") in await monitor.counts()


@pytest.mark.parametrize("size", [1, 200])
async def test_what_doubts_cost_does_not_grow_with_them(monitor: Monitor, size: int) -> None:
    """Statements of a batch: as any labels, two for drift, and the doubts' own; few of those without a budget."""
    beliefs = Beliefs()
    for budgeted, expected in ((1000, 14), (0, 9)):
        monitor.projects = budget(budgeted)
        handlers = Handlers(monitor.projects, bucket_s=60, beliefs=beliefs)
        labels = [doubtful(f"i{n}-{budgeted}", 0.01) for n in range(size)]
        seen: list[str] = []
        async with monitor.unit() as unit:
            unit.connection.add_query_logger(lambda query, seen=seen: seen.append(query.query))
            await handlers.on_labels([received(LABELS, label) for label in labels], unit)
        assert len([query for query in seen if "unnest(" in query]) <= expected
        beliefs.spent = {make.PROJECT}


async def test_hard_items_are_for_experts_where_there_are_some_and_suspect_labels_for_others(monitor: Monitor) -> None:
    for project, experts in (("with", True), ("without", False)):
        policy = make.policy(experts=experts, gold=GoldPolicy(share=0))
        monitor.projects = known_projects(make.project_spec(project, policy=policy))
        sure = Evidence(proposal=make.proposal("negative", confidence=0.98))
        hard = doubtful(f"{project}-hard", 0.02, project_id=project)
        suspect = make.label(f"{project}-suspect", path=Path.SINGLE, posterior=None, evidence=sure, project_id=project)
        await monitor.handle(LABELS, [hard, suspect])
    records = [record for record in await monitor.published() if record.topic == RELABELS.name]
    told = {one.item_id: one for one in (Relabel.model_validate_json(record.value or b"") for record in records)}
    assert {name: (one.cause, one.audience) for name, one in told.items()} == {
        "with-hard": (RelabelCause.DISAGREEMENT, Audience.EXPERT),
        "with-suspect": (RelabelCause.LABEL_ERROR, None),
        "without-hard": (RelabelCause.DISAGREEMENT, None),
        "without-suspect": (RelabelCause.LABEL_ERROR, None),
    }
