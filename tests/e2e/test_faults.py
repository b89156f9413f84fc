"""Faults under load, one kind at a time: nothing acknowledged is lost, nothing counted twice (DESIGN section 4).

Each test loads the shared deployment, harms it, lets it come to rest, and proves everything since its start.
`python -m tests.e2e.chaos` mixes the same faults by seed.
"""

import asyncio

import pytest

from shared.bus.deadletter import REASON
from shared.bus.records import header
from shared.events import Abstention
from shared.topics import ASSIGNMENT, PRELABEL, QC, SERVICES
from tests.e2e.world.faults import BROKER, DATABASE, SESSION_S, Fault
from tests.e2e.world.proof import prove
from tests.e2e.world.upgrade import processed
from tests.e2e.world.world import World
from tests.support.poison import KINDS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

BEGIN_S = 1.5


def now(world: World, kind: str, target: str, length: float = 0.3, times: int = 1) -> Fault:
    return Fault(world.ledger.clock, kind, target, length, times)


async def test_poison_of_every_kind_stops_nothing(world: World) -> None:
    async with world.load(poison=tuple(KINDS), poison_every_s=0.1):
        await asyncio.sleep(5)
    proof = await prove(world)
    assert proof.poison >= len(KINDS)
    assert proof.report.duplicates > 0
    letters = proof.topics.letters.values()
    found = {header(letter.headers, REASON) for same in letters for letter in same}
    assert found == {sent.poison.reason.value.encode() for sent in world.ledger.sent if sent.poison is not None}


async def test_kill_9_of_each_service_in_turn(world: World) -> None:
    """Each dies while the one before is still coming back."""
    async with world.load(), asyncio.TaskGroup() as group:
        for service in SERVICES:
            await asyncio.sleep(BEGIN_S)
            group.create_task(world.injector.inject(now(world, "kill9", service)))
    await prove(world)


async def test_sigterm_drains_each_service(world: World) -> None:
    async with world.load():
        await asyncio.sleep(BEGIN_S)
        async with asyncio.TaskGroup() as group:
            for service in SERVICES:
                group.create_task(world.injector.inject(now(world, "term", service)))
        assert [one.note for one in world.ledger.faults[-len(SERVICES) :]] == [""] * len(SERVICES)
    await prove(world)


async def test_services_that_stand_still_longer_than_their_session(world: World) -> None:
    async with world.load():
        await asyncio.sleep(BEGIN_S)
        async with asyncio.TaskGroup() as group:
            for service in (PRELABEL, ASSIGNMENT, QC):
                group.create_task(world.injector.inject(now(world, "pause", service, SESSION_S * 1.3)))
    await prove(world)


async def test_a_model_swap_under_load(world: World) -> None:
    async with world.load():
        for _ in range(3):
            await asyncio.sleep(BEGIN_S)
            await world.promote()
        await asyncio.sleep(BEGIN_S)
    predictions = [one for _, one in (await prove(world)).topics.predictions]
    used = {one.generation for one in predictions}
    assert {promotion.generation for promotion in world.ledger.promotions} <= used
    assert Abstention.NO_MODEL not in {one.abstention for one in predictions}
    fresh: dict[str, set[int]] = {}
    for one in predictions:
        fresh.setdefault(one.item_id, set()).add(one.generation)
    assert any(len(generations) > 1 for generations in fresh.values()), "nothing in the queue was predicted anew"


async def test_a_second_replica_of_each_service_joins_works_and_leaves(world: World) -> None:
    async with world.load():
        async with asyncio.TaskGroup() as group:
            joining = [group.create_task(world.add_replica(service)) for service in SERVICES]
        replicas = [one.result() for one in joining]
        await asyncio.sleep(2 * BEGIN_S)
        worked = {replica.name: await processed(replica.url) for replica in replicas}
        assert all(worked.values()), worked
        async with asyncio.TaskGroup() as group:
            for replica in replicas:
                group.create_task(world.remove_replica(replica, kill=replica.name in (PRELABEL, QC)))
    await prove(world)


async def test_kill_9_of_the_broker(world: World) -> None:
    async with world.load():
        await asyncio.sleep(BEGIN_S)
        await world.injector.inject(now(world, "broker", BROKER, 0.5))
        await asyncio.sleep(BEGIN_S)
    await prove(world)


async def test_postgres_loses_its_connections_and_crashes(world: World) -> None:
    async with world.load():
        await asyncio.sleep(BEGIN_S)
        await world.injector.inject(now(world, "terminate", DATABASE, 0.3, 3))
        await world.injector.inject(now(world, "crash", DATABASE, 0.5))
        await asyncio.sleep(BEGIN_S)
    await prove(world)
