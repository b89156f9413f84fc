"""Waking a consumer that lost its group's coordinator and no longer finds it.

After a broker was killed, a consumer of aiokafka now and then stays out of its group for long while it still fetches:
its lookup waits for a response, or for a metadata task that has ended (aio-libs/aiokafka#1154). Nothing public tells.
"""

import asyncio
import time
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer

log = structlog.get_logger(__name__)
LOST_S = 15.0
"""How long a consumer looks for its group's coordinator before it is woken, and between two wakings."""


class Waker:
    """Watches one consumer; `watch` is called every second."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._known_at = time.monotonic()

    def watch(self, consumer: AIOKafkaConsumer) -> bool:
        """Whether the consumer was woken: it does not know its coordinator since LOST_S."""
        coordinator = getattr(consumer, "_coordinator", None)
        if getattr(coordinator, "coordinator_id", 0) is not None:
            self._known_at = time.monotonic()
            return False
        if time.monotonic() - self._known_at < LOST_S:
            return False
        self._known_at = time.monotonic()
        log.warning("coordinator_lookup_woken", topic=self._topic, **_wake(consumer))
        return True


def _wake(consumer: AIOKafkaConsumer) -> dict[str, Any]:
    """Have metadata looked up now, by new connections; returns what was found, for the log."""
    client: Any = consumer._client  # noqa: SLF001  # there is no public way
    task, waiter = client._sync_task, client._md_update_waiter  # noqa: SLF001
    ended = task is not None and task.done()
    found = {"ended": ended, "asked": client._md_update_fut is not None, "woken": waiter.done()}  # noqa: SLF001
    if ended:
        if not task.cancelled() and task.exception() is not None:
            found["error"] = type(task.exception()).__name__
        client._sync_task = asyncio.create_task(client._md_synchronizer())  # noqa: SLF001
    if not waiter.done():
        waiter.set_result(None)
    for connection in list(client._conns.values()):  # noqa: SLF001
        connection.close()  # what waits for a response gets an error, and asks again
    return found
