"""A service's database is lost, and an older one takes its place, or none: the topics are ahead of it.

It reads its own output first, then what it had read since the backup, and decides nothing again: not one event that
was not there before.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest

from shared.bus.reader import read_all
from shared.bus.records import Received
from shared.bus.validate import decode
from shared.topics import ANNOTATIONS, ASSIGNMENT, ESCALATIONS, LABELS, MONITOR, QC, RELABELS, ROUTES, Topic
from tests.e2e.world.backup import dump, empty, people, restore
from tests.e2e.world.proof import prove
from tests.e2e.world.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

DATABASES = (ASSIGNMENT, QC, MONITOR)
DECISIONS: tuple[Topic[Any], ...] = (ROUTES, ANNOTATIONS, LABELS, ESCALATIONS, RELABELS)
Decided = Mapping[str, set[tuple[str, bytes]]]


async def decided(world: World) -> Decided:
    """Topic -> key and body of every decision that it holds. What is decided again has another time in its body."""
    found: dict[str, set[tuple[str, bytes]]] = defaultdict(set)
    for topic in DECISIONS:
        for record in await read_all(world.stack.kafka, topic.name):
            judged = decode(topic, record, max_bytes=2**31)
            if isinstance(judged, Received):
                found[topic.name].add((judged.event.key, record.value or b""))
    return found


@asynccontextmanager
async def stopped(world: World, *services: str) -> AsyncGenerator[None]:
    """Services are down; afterwards they start, and read until everything is at rest."""
    with ExitStack() as down:
        processes = [down.enter_context(world.expected_down(service)) for service in services]
        assert [await process.drain() for process in processes] == [0] * len(services)
        yield
        async with asyncio.TaskGroup() as group:
            for process in processes:
                group.create_task(process.start())
    await world._settle()


async def nothing_new(world: World, before: Decided, what: str) -> None:
    after = await decided(world)
    for topic, known in before.items():
        new = sorted(after[topic] - known)
        assert not new, f"{what}: {len(new)} decisions of {topic} were made again, such as {new[0]}"


async def test_a_restored_database_decides_nothing_again(world: World) -> None:
    async with world.load():
        await asyncio.sleep(3)
        backups = {service: await dump(world, service) for service in DATABASES}
        await asyncio.sleep(4)
    await prove(world)
    before = await decided(world)
    assert all(before[topic.name] for topic in DECISIONS)
    for service in DATABASES:
        async with stopped(world, service):
            await restore(world, service, backups[service])
        await nothing_new(world, before, f"{service} restored")
    await prove(world)

    async with stopped(world, *DATABASES):
        for service in DATABASES:
            await empty(world, service)
        await people(world, backups[ASSIGNMENT])
    await nothing_new(world, before, "all of them empty")
    await prove(world)
    async with world.load():
        await asyncio.sleep(2)
    await prove(world)
