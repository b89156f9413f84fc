"""A consumer that lost its group's coordinator, and whose metadata task has ended, is woken and finds it."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError

from shared.bus import waking
from shared.bus.admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.support.probe import prepare, probe, running, until
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(60)


async def test_a_lost_coordinator_is_found_again(
    kafka_settings: KafkaSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "LOST_S", 1.0)
    await create_topics(kafka_settings, partitions=1)
    await prepare(database)
    service = probe(kafka_settings, database)
    async with running(service):
        consumer: Any = service.consumers[0].consumer
        coordinator, client = consumer._coordinator, consumer._client
        refusals, lookup = 1, client.coordinator_lookup

        async def refused_once(*arguments: Any) -> int:
            nonlocal refusals
            if refusals:
                refusals -= 1
                raise GroupCoordinatorNotAvailableError
            found: int = await lookup(*arguments)
            return found

        monkeypatch.setattr(client, "coordinator_lookup", refused_once)
        client._sync_task.cancel()
        coordinator.coordinator_dead()
        await asyncio.sleep(0.5)
        assert coordinator.coordinator_id is None

        async def known() -> bool:
            return coordinator.coordinator_id is not None

        await until(known)
        assert not client._sync_task.done()
