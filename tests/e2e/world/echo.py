"""Old records of the services come again: what a relay does that died between publishing and forgetting, only later."""

import asyncio
import random
from collections import defaultdict

from aiokafka.errors import KafkaError

from shared.bus.publisher import Publisher
from shared.bus.reader import open_reader
from shared.bus.records import Outgoing, header, record_of
from shared.errors import RetryLater
from shared.runtime.settings import KafkaSettings
from shared.topics import ANNOTATIONS, ESCALATIONS, LABELS, PREDICTIONS, REFRESHES, RELABELS, ROUTES
from tests.e2e.world.ledger import SEQUENCE, Ledger

ECHOED = (PREDICTIONS, ROUTES, ANNOTATIONS, ESCALATIONS, LABELS, RELABELS, REFRESHES)
AGAIN_S = 1.0
UNANSWERED_S = 15.0


class Echo:
    """Publishes any earlier record of the services' own topics again, byte for byte, until it is cancelled."""

    def __init__(self, kafka: KafkaSettings, ledger: Ledger, draw: random.Random, *, every_s: float) -> None:
        self._kafka = kafka
        self._ledger = ledger
        self._draw = draw
        self._every_s = every_s
        self._heard: defaultdict[str, list[Outgoing]] = defaultdict(list)

    async def run(self) -> None:
        """Listen and repeat."""
        async with asyncio.TaskGroup() as group:
            for topic in ECHOED:
                group.create_task(self._listen(topic.name))
            group.create_task(self._repeat())

    async def _listen(self, topic: str) -> None:
        while True:
            try:
                async with open_reader(self._kafka, topic, following=True) as consumer:
                    self._heard[topic].clear()
                    while True:
                        for raws in (await consumer.getmany(timeout_ms=1000)).values():
                            self._hear(raws)
            except (KafkaError, RetryLater, OSError):
                await asyncio.sleep(AGAIN_S)

    def _hear(self, raws: object) -> None:
        for raw in raws:  # type: ignore[attr-defined]
            record = record_of(raw, self._kafka.prefix)
            if header(record.headers, SEQUENCE) is None:
                self._heard[record.topic].append(Outgoing(record.topic, record.key, record.value, record.headers))  # type: ignore[arg-type]

    async def _repeat(self) -> None:
        publisher = Publisher(self._kafka, timeout_s=UNANSWERED_S)
        try:
            while True:
                await asyncio.sleep(self._every_s)
                heard = [records for _, records in sorted(self._heard.items()) if records]
                if not heard:
                    continue
                try:
                    await publisher.publish([self._draw.choice(self._draw.choice(heard))])
                except RetryLater:
                    continue
                self._ledger.behaviour["echoed"] += 1
        finally:
            await publisher.close()
