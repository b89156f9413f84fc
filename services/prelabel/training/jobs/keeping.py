"""Taking the directory, obeying erasures, forgetting by age."""

import asyncio
from datetime import timedelta

import structlog

from services.prelabel.training.settings import TrainerSettings
from services.prelabel.training.store.files import drop_before, drop_jobs
from services.prelabel.training.store.intake import erase, get_last_erasure, list_erased, prune
from services.prelabel.training.store.kept import Kept, claim_cluster
from shared.bus.client import make_admin
from shared.bus.references import References
from shared.clock import Clock

log = structlog.get_logger(__name__)
AT_ONCE = 5000


class Keeping:
    """The housekeeping of the directory."""

    def __init__(self, kept: Kept, references: References, settings: TrainerSettings, clock: Clock) -> None:
        self._kept = kept
        self._references = references
        self._settings = settings
        self._clock = clock

    async def start(self) -> None:
        """Take the directory, and obey what was erased before anything is read.

        Raises:
            RetryLater: another trainer holds it, or Kafka does not answer.
            ConfigurationError: it belongs to another cluster.
        """
        await asyncio.to_thread(self._kept.open)
        cluster_id = await self._cluster_id()
        await self._kept.run(lambda connection: claim_cluster(connection, cluster_id))
        await asyncio.to_thread(drop_jobs, self._kept.jobs)
        await self.erase()
        await self._drop_sets()

    async def close(self) -> None:
        """Give the directory back to the next one."""
        self._kept.close()

    async def _cluster_id(self) -> str:
        admin = make_admin(self._settings.kafka)
        try:
            async with asyncio.timeout(self._settings.kafka.request_timeout_ms / 1000):
                await admin.start()
                described = await admin.describe_cluster()
        finally:
            await admin.close()
        return str(described.get("cluster_id") or "unnamed")

    async def erase(self) -> None:
        """Obey the erasures that were not obeyed yet. Training sets that hold what goes are deleted whole."""
        asked = dict(self._references.erasures.table.latest)
        done = await self._kept.run(list_erased)
        for key in sorted(asked.keys() - done):
            event, at = asked[key], self._clock()
            removed = await self._kept.run(lambda connection, event=event, at=at: erase(connection, event, at))  # type: ignore[misc]
            if removed:
                self._kept.erasures += 1
                await self._drop_sets()
            await self._kept.truncate()
            log.info("erased", subject=event.subject, removed=dict(removed))

    async def _drop_sets(self) -> None:
        moment = await self._kept.run(get_last_erasure)
        if moment is not None:
            await asyncio.to_thread(drop_before, self._kept.sets, moment)

    async def prune(self) -> None:
        """Forget contents that nobody will label."""
        now = self._clock()
        unlabelled = now - timedelta(days=self._settings.unlabelled_kept_days)
        settled = now - timedelta(hours=self._settings.automatic_kept_hours)
        gone = AT_ONCE
        while gone == AT_ONCE:
            gone = await self._kept.run(
                lambda connection: prune(connection, unlabelled=unlabelled, settled=settled, limit=AT_ONCE)
            )
