"""Faults: what can be done to a running deployment, and a schedule of them that a seed decides."""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from cli.stack.children import ChildFailed
from cli.stack.kafka import Kafka
from cli.stack.postgres import ROLES
from shared.errors import RetryLater
from shared.topics import SERVICES
from tests.e2e.world.plan import SESSION_MS

if TYPE_CHECKING:
    from tests.e2e.world.world import World

BROKER, DATABASE, MODEL = "broker", "postgres", "model"
SESSION_S = SESSION_MS / 1000
READY_WITHIN_S = 90.0
WEIGHTS = {"kill9": 6, "term": 3, "pause": 2, "broker": 1, "crash": 1, "terminate": 2, "storm": 2, "swap": 2}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, `at` seconds into the load; `length` is how long it lasts, `times` how often it is repeated."""

    at: float
    kind: str
    target: str
    length: float = 0.5
    times: int = 1


def schedule(
    seed: int, seconds: float, *, kinds: Sequence[str] = tuple(WEIGHTS), apart: tuple[float, float] = (1.5, 4.0)
) -> list[Fault]:
    """Faults at random moments; the same arguments give the same faults."""
    draw = random.Random(f"{seed} faults")
    weights = [WEIGHTS[kind] for kind in kinds]
    at = draw.uniform(1.0, apart[1])
    faults = []
    while at < seconds:
        (kind,) = draw.choices(kinds, weights)
        faults.append(_fault(draw, at, kind))
        at += draw.uniform(*apart)
    return faults


def _fault(draw: random.Random, at: float, kind: str) -> Fault:
    match kind:
        case "broker":
            return Fault(at, kind, BROKER, draw.uniform(0.2, 2.0))
        case "crash":
            return Fault(at, kind, DATABASE, draw.uniform(0.1, 2.0))
        case "terminate":
            return Fault(at, kind, DATABASE, draw.uniform(0.1, 0.5), draw.randint(1, 4))
        case "swap":
            return Fault(at, kind, MODEL)
        case "storm":
            return Fault(at, kind, draw.choice(SERVICES), draw.uniform(1.0, SESSION_S), draw.randint(1, 3))
        case "pause":
            return Fault(at, kind, draw.choice(SERVICES), draw.uniform(1.1, 2.0) * SESSION_S)
        case _:
            return Fault(at, kind, draw.choice(SERVICES), draw.uniform(0.0, 1.5))


class Injector:
    """Does it. Faults of one target wait for each other, those of different targets overlap."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def play(self, faults: Sequence[Fault]) -> None:
        """All of them, each at its time by the ledger's clock; returns when the last one is over."""
        ledger = self._world.ledger
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, fault.at - ledger.clock))
                group.create_task(self.inject(fault))

    async def inject(self, fault: Fault) -> float:
        """One fault, until what it harmed serves again.

        Returns:
            Seconds that took, from its begin.
        """
        async with self._locks[fault.target]:
            happened = self._world.ledger.fault(fault.kind, fault.target)
            try:
                happened.note = await getattr(self, f"_{fault.kind}")(fault) or ""
            except ChildFailed as error:
                self._world.ledger.breach(f"{fault.target} did not recover from {fault.kind}: {error}")
            happened.ended = self._world.ledger.clock
            return happened.ended - happened.began

    async def _kill9(self, fault: Fault) -> None:
        with self._world.expected_down(fault.target) as service:
            service.kill9()
            await asyncio.sleep(fault.length)
            await service.start(READY_WITHIN_S)

    async def _term(self, fault: Fault) -> str:
        """A rolling restart: it drains and ends with 0."""
        with self._world.expected_down(fault.target) as service:
            code = await service.drain()
            if code not in (0, -9):
                self._world.ledger.breach(f"{fault.target} ended with {code} at SIGTERM: {service.tail(5)}")
            await asyncio.sleep(fault.length)
            await service.start(READY_WITHIN_S)
            return "" if code == 0 else "had to be killed"

    async def _pause(self, fault: Fault) -> None:
        """Longer than a session: its partitions go to nobody or somebody, and it does not know."""
        service = self._world.stack.services[fault.target]
        service.pause()
        try:
            await asyncio.sleep(fault.length)
        finally:
            service.resume()
        await service.wait_ready(READY_WITHIN_S)

    async def _broker(self, fault: Fault) -> None:
        broker = self._world.stack.broker
        if not isinstance(broker, Kafka):
            raise TypeError("a shared broker is not to be killed; give the world one of its own")
        broker.kill9()
        await asyncio.sleep(fault.length)
        await broker.restart()

    async def _crash(self, fault: Fault) -> None:
        await self._world.postgres.crash()
        await asyncio.sleep(fault.length)
        await self._world.postgres.restart()

    async def _terminate(self, fault: Fault) -> str:
        """Cut every connection of the services, some times in a row."""
        cut = 0
        for _ in range(fault.times):
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                cut += await self._world.fetch(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = ANY($1)", list(ROLES)
                )
            await asyncio.sleep(fault.length)
        return f"{cut} connections"

    async def _storm(self, fault: Fault) -> str:
        """A second replica joins and leaves, by turns killed and drained."""
        draw = random.Random(f"{fault}")
        ends = []
        for _ in range(fault.times):
            replica = await self._world.add_replica(fault.target)
            await asyncio.sleep(fault.length)
            kill = draw.random() < 0.5
            await self._world.remove_replica(replica, kill=kill)
            ends.append("killed" if kill else "drained")
        return ", ".join(ends)

    async def _swap(self, _: Fault) -> str:
        while True:
            try:
                return (await self._world.promote()).version
            except RetryLater:  # Kafka is away; the operator tries again
                await asyncio.sleep(0.5)
