"""A steady producer: new items, earlier ones again, odd ones, and poison; it knows what was acknowledged."""

import asyncio
import random

from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.errors import RetryLater
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS
from tests.e2e.world.ledger import Ledger, Sent
from tests.e2e.world.plan import ROWS, UNREADABLE_ROW, Plan, item_of
from tests.support.poison import KINDS, ODD
from tests.support.raw import slow_producers

TICK_S = 0.1
UNREADABLE_SHARE = 0.02
UNANSWERED_S = 15.0
UNKEYED = "no key"


class Producer:
    """Sends until told to stop; what Kafka did not acknowledge is sent again."""

    def __init__(self, kafka: KafkaSettings, plan: Plan, ledger: Ledger) -> None:
        self._kafka = kafka
        self._plan = plan
        self._ledger = ledger
        before = [one for one in ledger.sent if one.kind == "item"]
        self._draw = random.Random(f"{plan.seed} producer {len(before)}")
        self._stop = asyncio.Event()
        self._settled = [one.item for one in before if one.item is not None and one.record.key is not None]
        self._again = [one.record for one in before]
        self._due = self._poison_due = ledger.clock
        self._first = len(ledger.sent)
        self._kinds: list[str] = []
        self._number = len(before)

    def stop(self) -> None:
        """Send no more new items; the kinds of poison that are still missing are sent before `run` returns."""
        self._stop.set()

    async def run(self) -> None:
        """Until stopped, and then until everything is acknowledged."""
        with slow_producers():
            await self._run()

    async def _run(self) -> None:
        async with Publisher(self._kafka, timeout_s=UNANSWERED_S) as publisher:
            while not self._stop.is_set():
                await self._send(publisher, self._batch())
                await asyncio.sleep(TICK_S)
            missing = set(self._plan.poison) - {one.kind for one in self._ledger.sent[self._first :]}
            await self._send(publisher, [self._bad(kind) for kind in sorted(missing)])

    async def _send(self, publisher: Publisher, batch: list[Sent]) -> None:
        while batch:
            try:
                await publisher.publish([one.record for one in batch])
            except RetryLater:
                await asyncio.sleep(TICK_S)
                continue
            for one in batch:
                one.acknowledged = True
                if one.kind == "item" and one.item is not None and one.record.key is not None:
                    self._settled.append(one.item)
            return

    def _batch(self) -> list[Sent]:
        """What is due by the clock: a producer that was held up catches up, so that load does not fall under faults."""
        clock = self._ledger.clock
        batch = []
        self._due = max(self._due, clock - 1.0)
        while self._due < clock:
            self._due += 1 / self._plan.items_per_second
            batch.append(self._new())
            if self._again and self._draw.random() < self._plan.repeats:
                batch.append(self._repeat())
        if self._poison_due <= clock and self._settled and self._plan.poison:
            self._poison_due = clock + self._plan.poison_every_s
            batch.append(self._bad(self._next_kind()))
        return batch

    def _new(self) -> Sent:
        draw = self._draw
        row = UNREADABLE_ROW if draw.random() < UNREADABLE_SHARE else draw.randrange(ROWS)
        item = item_of(self._number, row)
        self._number += 1
        odd = draw.choice(tuple(ODD)) if draw.random() < self._plan.odd else None
        record = ODD[odd](item) if odd is not None else outgoing(ITEMS, item, source="tests/e2e")
        self._again.append(record)
        return self._ledger.add("item", record, item=item)

    def _repeat(self) -> Sent:
        """Any earlier record again, whatever came in between."""
        return self._ledger.add("repeat", self._draw.choice(self._again))

    def _next_kind(self) -> str:
        if not self._kinds:
            self._kinds = list(self._plan.poison)
            self._draw.shuffle(self._kinds)
        return self._kinds.pop()

    def _bad(self, kind: str) -> Sent:
        """Poison made of an item that is acknowledged already, so that it comes second where that matters."""
        poison = KINDS[kind](self._draw.choice(self._settled))
        return self._ledger.add(kind, poison.outgoing(), poison=poison)
