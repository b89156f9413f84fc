"""Small batches that come one after the other are spaced out; time is a number here."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from shared.bus import consumer as module
from shared.bus.consumer import Consumer
from shared.bus.records import Received
from shared.bus.validate import Rejected
from shared.events import Item
from shared.runtime.metrics import BusMetrics
from shared.runtime.settings import KafkaSettings, ServiceSettings
from shared.topics import ITEMS


class Paced(Consumer[Item]):
    """Takes 2 ms for a batch."""

    def __init__(self, clock: "Clock", pace_ms: int | None = None) -> None:
        kafka = KafkaSettings(allow_insecure=True, security_protocol="PLAINTEXT")
        settings = ServiceSettings(kafka=kafka, batch_pace_ms=25, max_records=500)
        super().__init__("qc", ITEMS, settings, BusMetrics(CollectorRegistry()), pace_ms=pace_ms)
        self.clock = clock
        self.begun: list[float] = []

    async def _take(self, _: Any) -> None:
        self.begun.append(round(self.clock.now, 3))
        self.clock.now += 0.002

    async def _positions(self, _: set[int]) -> dict[int, int]:
        return {}

    async def _apply(self, _: list[Received[Item]], __: list[Rejected], ___: dict[int, int]) -> int:
        return 0

    async def tick(self) -> None: ...

    async def batch(self, records: int) -> None:
        await self._on_message(SimpleNamespace(raw_message=[None] * records))  # type: ignore[arg-type]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(**(vars(asyncio) | {"sleep": found.sleep})))
    return found


async def test_small_batches_are_spaced_out_and_a_lone_one_waits_for_nothing(clock: Clock) -> None:
    paced = Paced(clock)
    for _ in range(3):
        await paced.batch(3)
    clock.now += 10
    await paced.batch(3)
    assert paced.begun == [100.0, 100.025, 100.05, 110.052]


async def test_full_batches_never_wait(clock: Clock) -> None:
    paced = Paced(clock)
    for records in (500, 500, 3):
        await paced.batch(records)
    assert paced.begun == [100.0, 100.002, 100.027]


async def test_a_topic_may_have_a_pace_of_its_own(clock: Clock) -> None:
    paced = Paced(clock, pace_ms=100)
    for _ in range(3):
        await paced.batch(3)
    assert paced.begun == [100.0, 100.1, 100.2]
