"""Item to prediction, and on to its label, at a steady rate: from the moment of sending to that of reading."""

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from cli.stack.embedded import Stack, StackOptions
from shared.bus.client import make_reader
from shared.bus.publisher import Publisher
from shared.bus.reader import _partitions
from shared.bus.records import outgoing
from shared.topics import ITEMS, LABELS, PREDICTIONS
from tests.bench.auto_path import items, prepare, show

RATE, SECONDS, EVERY_S = 500, 12.0, 0.02
SETTLED_S = 2.0
"""The first items meet cold caches and are left out."""
WITHIN_S = 60.0
TOPICS = {PREDICTIONS.name: "item_to_prediction", LABELS.name: "item_to_label"}
Seen = dict[tuple[str, bytes], float]


async def _send(publisher: Publisher, base: int, number: int, each: int, sent: dict[bytes, float]) -> None:
    """`each` items every EVERY_S, whether or not the broker has answered about those before."""
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for place in range(0, number, each):
            await asyncio.sleep(max(0.0, started + place / each * EVERY_S - time.perf_counter()))
            records = [outgoing(ITEMS, one, source="bench") for one in items(base + place, base + place + each)]
            sent |= dict.fromkeys((record.key or b"" for record in records), time.perf_counter())
            group.create_task(publisher.publish(records))


async def _read(consumer: AIOKafkaConsumer, names: Mapping[str, str], wanted: int, seen: Seen) -> None:
    """Until each topic has shown every item."""
    while len(seen) < wanted:
        chunk = await consumer.getmany(timeout_ms=200)
        now = time.perf_counter()
        for place, records in chunk.items():
            for record in records:
                seen.setdefault((names[place.topic], record.key), now)


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def steady(stack: Stack, *, rate: int = RATE, seconds: float = SECONDS) -> dict[str, float]:
    """Send `rate` new items a second. The project is applied, its model is live.

    Returns:
        item_to_prediction_p50_ms, item_to_prediction_p99_ms, and the same of item_to_label.
    """
    each = max(1, round(rate * EVERY_S))
    number = int(seconds / EVERY_S) * each
    consumer = make_reader(stack.kafka, wait_ms=500)
    await consumer.start()
    try:
        names = {stack.kafka.physical(name): name for name in TOPICS}
        places = [place for name in names for place in await _partitions(consumer, name)]
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        for place in places:
            await consumer.position(place)
        sent: dict[bytes, float] = {}
        seen: Seen = {}
        async with (
            asyncio.timeout(seconds + WITHIN_S),
            Publisher(stack.kafka) as publisher,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(_read(consumer, names, number * len(TOPICS), seen))
            group.create_task(_send(publisher, time.time_ns() // 1_000_000, number, each, sent))
    finally:
        await consumer.stop()
    from_when = min(sent.values()) + SETTLED_S
    found = {}
    for topic, what in TOPICS.items():
        took = [seen[topic, key] - at for key, at in sent.items() if at >= from_when]
        found[f"{what}_p50_ms"] = _quantile(took, 0.5) * 1000
        found[f"{what}_p99_ms"] = _quantile(took, 0.99) * 1000
    return found


async def measure() -> dict[str, float]:
    """The same on a fresh stack of its own."""
    with tempfile.TemporaryDirectory() as directory:
        models = Path(directory) / "models"
        async with Stack(StackOptions(broker="kafka", model_dir=models)) as stack:
            await prepare(stack, models)
            return await steady(stack)


if __name__ == "__main__":
    show(asyncio.run(measure()))
