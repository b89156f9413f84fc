"""Stopping a consumer whose last fetch has failed.

aiokafka's fetcher cancels its requests and waits for them one by one. A request that is cancelled in its pause after
an error ends as cancelled, so that waiting for it raises CancelledError in whoever stops the consumer: the connections
stay open, and the task that only meant to close a reader is gone as if somebody had cancelled it.
"""

import asyncio
from typing import Any

from aiokafka.consumer.fetcher import Fetcher

_close_of_aiokafka = Fetcher.close


async def _close(self: Any) -> None:
    self._closed = True
    self._fetch_task.cancel()
    for task in self._pending_tasks:
        task.cancel()
    await asyncio.wait([self._fetch_task, *self._pending_tasks])
    self._pending_tasks.clear()
    await _close_of_aiokafka(self)


def install() -> None:
    """Make every consumer of this process stop so; again is harmless."""
    Fetcher.close = _close
