"""Scale out: `python -m tests.e2e.scale` puts the same load on 1, 2 and 4 replicas of prelabel and qc.

Counters show it, not the clock. Each replica takes in exactly the records of its partitions; then one replica of each
of the four services joins under load, and one of each leaves, by turns drained and killed; then every promise is
proven, the order of each key in the outputs among them. Sessions are as in production.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shared.bus.reader import read_all
from shared.bus.records import Received
from shared.bus.validate import decode
from shared.runtime.settings import KafkaSettings
from shared.topics import ESCALATIONS, LABELS, PRELABEL, QC, ROUTES, SERVICES, Topic
from tests.e2e.world.plan import Plan
from tests.e2e.world.proof import prove
from tests.e2e.world.shares import Share, Watch, read, uneven
from tests.e2e.world.world import World

SCALED = (PRELABEL, QC)
PARTITIONS = 4
DEFAULTS = KafkaSettings.model_fields
SESSION = {
    f"LABELSTREAM_KAFKA_{name.upper()}": str(DEFAULTS[name].default)
    for name in ("session_timeout_ms", "heartbeat_interval_ms")
}
STATIC = "LABELSTREAM_KAFKA_GROUP_INSTANCE_ID"
ORDERS: dict[Topic[Any], Callable[[Any], tuple[int, ...]]] = {
    LABELS: lambda label: (label.version,),
    ROUTES: lambda route: (route.round, route.step),
    ESCALATIONS: lambda asked: (asked.round, int(asked.escalated_at.timestamp() * 1e6)),
}


async def run(replicas: int, seconds: float, rate: float, directory: Path) -> list[Share]:
    """One size.

    Raises:
        AssertionError: work does not divide, a key's order is broken, or a promise is.
    """
    plan = Plan(seed=30, partitions=PARTITIONS, items_per_second=rate, settings=SESSION)
    async with World(plan, directory) as world:
        for name in SCALED:
            for _ in range(replicas - 1):
                await world.add_replica(name)
        await asyncio.sleep(2)
        watch = Watch(world, SCALED)
        await watch.begin()
        async with world.load():
            await asyncio.sleep(seconds)
        shares = await watch.end()
        assert not (wrong := uneven(shares, replicas)), "\n".join(wrong)
        async with world.load():
            async with asyncio.TaskGroup() as group:
                joining = [group.create_task(world.add_replica(name)) for name in SERVICES]
            await asyncio.sleep(3)
            for number, task in enumerate(joining):
                await world.remove_replica(task.result(), kill=number % 2 == 0)
            await asyncio.sleep(3)
        await prove(world)
        assert not (wrong := await out_of_order(world)), "\n".join(wrong)
        return shares


async def out_of_order(world: World) -> list[str]:
    """Keys whose outputs do not stand in the order in which they were decided; a repeat may come later."""
    found = []
    for topic, position in ORDERS.items():
        last: dict[str, tuple[tuple[int, ...], set[str]]] = {}
        for record in await read_all(world.stack.kafka, topic.name):
            judged = decode(topic, record, max_bytes=2**31)
            if not isinstance(judged, Received):
                continue
            event, now = judged.event, position(judged.event)
            before, seen = last.get(event.key, ((), set()))
            if str(event.event_id) not in seen and now < before:
                found.append(f"{topic.name}/{record.partition}/{record.offset}: {event.key} {now} after {before}")
            last[event.key] = (max(now, before), {*seen, str(event.event_id)})
    return found


async def restart(directory: Path) -> dict[str, tuple[int, float]]:
    """What a restart of one of two replicas of qc costs the other one, without and with static membership.

    Returns:
        How -> (assignments that the other had anew, seconds from SIGTERM to ready).
    """
    found = {}
    async with World(Plan(seed=31, partitions=PARTITIONS, settings=SESSION), directory) as world:
        for how, variables in (("dynamic", {}), ("static", {STATIC: "qc-2"})):
            replica = await world.add_replica(QC, variables)
            await asyncio.sleep(4)
            async with world.load():
                await asyncio.sleep(2)
                before, began = await read(world.stack.urls[QC]), time.monotonic()
                await replica.drain()
                await replica.start()
                took = time.monotonic() - began
                await asyncio.sleep(4)
                after = await read(world.stack.urls[QC])
            found[how] = (sum(after.rebalances.values()) - sum(before.rebalances.values()), took)
            await world.remove_replica(replica, kill=False)
            await asyncio.sleep(12)
        await prove(world)
    return {how: (int(times), took) for how, (times, took) in found.items()}


def table(replicas: int, shares: Sequence[Share]) -> str:
    """A row per replica and topic."""
    return "\n".join(
        f"{replicas:>8} {one.service:>9} {one.replica:>7} {one.topic:>15} {','.join(map(str, one.partitions)):>10}"
        f" {one.held:>8} {one.done:>8} {one.part:>7.1%}"
        for one in shares
    )


HEAD = "replicas   service replica           topic partitions     came taken in   share"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="The same load on 1, 2 and 4 replicas.")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=15.0, help="of load, per size")
    parser.add_argument("--rate", type=float, default=40.0, help="new items per second")
    parser.add_argument(
        "--restart", action="store_true", help="only compare a restart with and without static membership"
    )
    chosen = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="scale-labelstream-"))
    if chosen.restart:
        for how, (times, took) in asyncio.run(restart(directory)).items():
            print(f"{how}: the other replica was assigned anew {times} times, the restart took {took:.1f} s")  # noqa: T201
        return 0
    print(HEAD)  # noqa: T201
    for replicas in chosen.replicas:
        shares = asyncio.run(run(replicas, chosen.seconds, chosen.rate, directory / str(replicas)))
        print(table(replicas, shares), flush=True)  # noqa: T201
    print("every effect once, every key in its order, also while a replica of each service joined and left")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
