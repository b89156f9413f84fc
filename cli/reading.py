"""Reading topics for a person: every valid event of a topic, up to the end that it has now."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Never, TypeVar

from shared.bus.reader import open_reader, read_to_end
from shared.bus.records import Received, record_of
from shared.bus.references import Table
from shared.bus.validate import decode
from shared.events import Event
from shared.runtime.settings import KafkaSettings
from shared.topics import Topic

E = TypeVar("E", bound=Event)


async def read_events(kafka: KafkaSettings, topic: Topic[E]) -> AsyncGenerator[Received[E]]:
    """The valid events of a topic, in order per partition; tombstones and what is refused are left out."""
    async with aclosing(read_to_end(kafka, topic.name)) as chunks:
        async for chunk in chunks:
            for record in chunk:
                judged = decode(topic, record, max_bytes=kafka.max_record_bytes)
                if isinstance(judged, Received):
                    yield judged


async def follow(kafka: KafkaSettings, topic: Topic[E], take: Callable[[Received[E]], None]) -> Never:
    """Hand every valid event of a topic to `take`, from the first record on, until cancelled."""
    async with open_reader(kafka, topic.name, following=True) as consumer:
        while True:
            for raws in (await consumer.getmany(timeout_ms=200, max_records=500)).values():
                for raw in raws:
                    judged = decode(topic, record_of(raw, kafka.prefix), max_bytes=kafka.max_record_bytes)
                    if isinstance(judged, Received):
                        take(judged)


async def reference(kafka: KafkaSettings, topic: Topic[E]) -> list[E]:
    """The latest event of every key of a reference topic."""
    table = Table(topic)
    table.attach(kafka)
    await table.refresh()
    return list(table.latest.values())
