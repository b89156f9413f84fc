"""A client that is in trouble stops all the same, and leaves nothing open."""

import asyncio
import gc
from contextlib import AsyncExitStack
from pathlib import Path

from cli.stack.tansu import Tansu
from shared.bus.admin import create_topics
from shared.bus.reader import open_reader
from shared.topics import ITEMS
from tests.support.servers import plaintext

READERS = 5


async def test_a_reader_without_a_broker_stops_like_any_other(tmp_path: Path) -> None:
    """Its fetches fail and pause; closing it must not look like a cancellation of whoever closes it."""
    async with Tansu(tmp_path) as broker:
        kafka = plaintext(broker.bootstrap, "x.", idempotence=False)
        await create_topics(kafka, partitions=1)
        readers = [AsyncExitStack() for _ in range(READERS)]
        opened = [await one.enter_async_context(open_reader(kafka, ITEMS.name, following=True)) for one in readers]
        await asyncio.sleep(0.2)
        await broker.stop()
        for one, consumer in zip(readers, opened, strict=True):
            await asyncio.sleep(0.07)
            await one.aclose()
            assert not [held for held in consumer._client._conns.values() if held.connected()]
    gc.collect()
