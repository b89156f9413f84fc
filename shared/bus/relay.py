"""From the outbox to Kafka: one relay per service at a time, in the order of commits."""

import asyncio
import contextlib
from typing import Any

import structlog

from shared.bus.publisher import Publisher
from shared.db.database import INFRASTRUCTURE, Database
from shared.db.store import finish_outbox, list_outbox
from shared.errors import RetryLater

log = structlog.get_logger(__name__)

ROWS = 20
PACE_S = 0.02
"""Pause after fewer rows than that, by default: what many small transactions commit meanwhile goes out together."""
STANDBY_S = 1.0
STILL_S = 120.0
"""A leader whose session says nothing for so long has stopped, or is cut off: PostgreSQL ends it, another one leads."""
STILL = "SELECT set_config('idle_session_timeout', $1, false)"
LOCK = "SELECT pg_try_advisory_lock(hashtext('labelstream.relay'), hashtext($1))"


class Relay:
    """Publishes outbox rows and deletes them once acknowledged.

    Every replica runs one; the one that holds an advisory lock of the service works, so that the order of a key is
    kept. A crash between publish and delete publishes again: consumers absorb that by natural keys.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        *,
        poll_s: float,
        pace_s: float = PACE_S,
        still_s: float = STILL_S,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._poll_s = poll_s
        self._pace_s = pace_s
        self._still_s = still_s
        self._wake = asyncio.Event()
        self.leading = False
        self.failure: str | None = None

    def wake(self) -> None:
        """Something was committed; look now."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._lead()
            except (*INFRASTRUCTURE, RetryLater) as error:
                self.failure = type(error).__name__
                log.warning("relay_interrupted", error=type(error).__name__)
                await asyncio.sleep(STANDBY_S)
            finally:
                self.leading = False

    async def _lead(self) -> None:
        connection = await self._database.pool.acquire(timeout=10)
        try:
            await connection.execute(STILL, f"{self._still_s * 1000:.0f}ms")
            while not await connection.fetchval(LOCK, self._database.schema):
                self.failure = None  # another replica leads
                await asyncio.sleep(STANDBY_S)
            self.leading = True
            while True:
                self._wake.clear()
                rows = await self.drain(connection)
                if rows == ROWS:
                    continue
                if rows:
                    await asyncio.sleep(self._pace_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_s):  # wait_for forgets a cancel that comes with the wake
                        await self._wake.wait()
        finally:
            # A closed session gives the lock up at once, also where the server has already forgotten the connection.
            with contextlib.suppress(*INFRASTRUCTURE):
                await asyncio.shield(self._release(connection))

    async def _release(self, connection: Any) -> None:
        with contextlib.suppress(*INFRASTRUCTURE):
            await connection.close(timeout=2)
        await self._database.pool.release(connection)

    async def drain(self, connection: Any) -> int:
        """Publish the oldest rows; how many there were.

        Raises:
            RetryLater: Kafka did not acknowledge all of them; they stay and are published again.
        """
        rows = await list_outbox(connection, ROWS)
        if not rows:
            self.failure = None
            return 0
        published = await self._publisher.publish([record for _, records in rows for record in records])
        await finish_outbox(connection, [row for row, _ in rows], published)
        self.failure = None
        return len(rows)

    async def flush(self, timeout_s: float) -> None:
        """Publish what is left, at shutdown; another replica does it where this one does not lead.

        A relay that was interrupted just now is waited for: it may be the only one.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while (self.leading or self.failure is not None) and asyncio.get_running_loop().time() < deadline:
            async with self._database.pool.acquire(timeout=5) as connection:
                if not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
                    return
            self.wake()
            await asyncio.sleep(0.02)
