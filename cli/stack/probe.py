"""Asks a broker whether it serves yet."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

_TIMEOUT_MS = 2000


async def cluster_id(bootstrap: str) -> str | None:
    """The broker's cluster id, or None while it does not answer or knows no live broker."""
    host, port = bootstrap.rsplit(":", 1)
    try:
        async with asyncio.timeout(_TIMEOUT_MS / 1000):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return None
    writer.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_TIMEOUT_MS)
    try:
        with _quiet():
            await admin.start()
            found = await admin.describe_cluster()
    except (OSError, KafkaError, TimeoutError):
        return None
    finally:
        await admin.close()
    return str(found["cluster_id"]) if found["brokers"] else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The client logs an error for every attempt; not being ready yet is none."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
