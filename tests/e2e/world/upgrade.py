"""The story of a rolling upgrade and its rollback, whatever the two versions are."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from shared.bus.reader import read_all
from shared.topics import ANNOTATIONS, LABELS, PREDICTIONS, ROUTES, SERVICES
from tests.e2e.world import versions
from tests.e2e.world.proof import prove
from tests.e2e.world.world import World

BEGIN_S = 2.0
RATE = 10.0
WRITTEN = (PREDICTIONS, ROUTES, ANNOTATIONS, LABELS)


async def roll(world: World, new: Path, *, marker: str = "") -> dict[str, tuple[int, int]]:
    """Upgrade every service under load, and roll back; then prove everything.

    The services of the world run the old version. The schema is migrated first; then a replica of the new version joins
    each service, and both work; the old ones leave; then they come back, on the new schema, and the new ones leave.

    Args:
        world: at rest.
        new: directory of the other version's code.
        marker: a field that only the new version writes.

    Returns:
        Topic -> (records with the marker, records without).

    Raises:
        Broken: a promise did not hold.
    """
    variables = versions.environment(new)
    async with world.load(items_per_second=RATE):
        await asyncio.sleep(BEGIN_S)
        await migrate(world, new)
        async with asyncio.TaskGroup() as group:
            joining = [group.create_task(world.add_replica(name, variables)) for name in SERVICES]
        await _all_work(world, "while both versions ran")
        with ExitStack() as down:
            processes = [down.enter_context(world.expected_down(name)) for name in SERVICES]
            async with asyncio.TaskGroup() as group:
                leaving = [group.create_task(process.drain()) for process in processes]
            if any(task.result() not in (0, -9) for task in leaving):
                world.ledger.breach(f"a service did not drain: {[process.tail(3) for process in processes]}")
            await asyncio.sleep(BEGIN_S)
            async with asyncio.TaskGroup() as group:
                for process in processes:
                    group.create_task(process.start())
        await _all_work(world, "after the old version came back")
        async with asyncio.TaskGroup() as group:
            for task in joining:
                group.create_task(world.remove_replica(task.result(), kill=False))
        await asyncio.sleep(BEGIN_S)
    await prove(world)
    return {topic.name: await _marked(world, topic.name, marker) for topic in WRITTEN}


async def migrate(world: World, code: Path) -> None:
    """`labelstream migrate` of that code, while the services run."""
    urls = {f"LABELSTREAM_{name.upper()}_DATABASE_URL": url for name, url in world.stack.database_urls.items()}
    insecure = {f"LABELSTREAM_{name.upper()}_DATABASE_ALLOW_INSECURE": "true" for name in world.stack.database_urls}
    await asyncio.to_thread(versions.command, code, "migrate", **urls, **insecure)


async def _all_work(world: World, when: str) -> None:
    """Every process takes records in."""
    before = {name: await processed(url) for name, url in world.urls.items()}
    await asyncio.sleep(2 * BEGIN_S)
    idle = [name for name, url in world.urls.items() if await processed(url) <= before[name]]
    if idle:
        world.ledger.breach(f"{when}, these did nothing: {', '.join(idle)}")


async def processed(url: str) -> float:
    """Records that a process has taken in."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{url}/metrics")).text
    families = text_string_to_metric_families(text)
    samples = [one for family in families if family.name == "labelstream_records" for one in family.samples]
    return sum(one.value for one in samples if one.name == "labelstream_records_total")


async def _marked(world: World, topic: str, marker: str) -> tuple[int, int]:
    records = await read_all(world.stack.kafka, topic)
    marked = sum(f'"{marker}"'.encode() in (record.value or b"") for record in records) if marker else 0
    return marked, len(records) - marked
