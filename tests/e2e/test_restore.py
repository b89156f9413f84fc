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
READ_BACK: Mapping[str, tuple[Topic[Any], ...]] = {
    ASSIGNMENT: (ROUTES, LABELS, ANNOTATIONS),
    QC: (LABELS, ESCALATIONS, RELABELS),
    MONITOR: (RELABELS,),
}
"""What each service publishes and knows its decisions by."""
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


async def read_back(world: World, service: str) -> None:
    """Nothing but reading its own output takes a service to its end: what it made known is there already."""
    rows = await world.rows(f"SELECT topic, partition, next_offset FROM {service}.published_offsets")  # noqa: S608
    known = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    for topic in READ_BACK[service]:
        ends: dict[int, int] = {}
        for record in await read_all(world.stack.kafka, topic.name):
            ends[record.partition] = max(record.offset + 1, ends.get(record.partition, 0))
        for partition, end in ends.items():
            at = known.get((topic.name, partition), 0)
            assert at >= end, f"{service} read {topic.name}/{partition} back to {at} of {end}"


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
        await read_back(world, service)
        await nothing_new(world, before, f"{service} restored")
    await prove(world)

    async with stopped(world, *DATABASES):
        for service in DATABASES:
            await empty(world, service)
        await people(world, backups[ASSIGNMENT])
    for service in DATABASES:
        await read_back(world, service)
    await nothing_new(world, before, "all of them empty")
    await prove(world)
    async with world.load():
        await asyncio.sleep(2)
    await prove(world)
