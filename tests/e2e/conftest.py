"""One deployment for all tests of a module: each puts its own load and faults on it, and proves all that happened."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.e2e.world.plan import Plan
from tests.e2e.world.world import World

SEED = 20


class Shared:
    """The deployment; made anew once a promise was broken, so that one failure is not everybody's."""

    def __init__(self, directories: pytest.TempPathFactory) -> None:
        self._directories = directories
        self._world: World | None = None

    async def get(self) -> World:
        """A deployment in which every promise held so far."""
        if self._world is not None and self._world.broken:
            await self.close()
        if self._world is None:
            self._world = await World(Plan(seed=SEED), self._directories.mktemp("world")).__aenter__()
        return self._world

    async def close(self) -> None:
        world, self._world = self._world, None
        if world is not None:
            await world.__aexit__()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Shared]:
    holder = Shared(tmp_path_factory)
    yield holder
    await holder.close()


@pytest_asyncio.fixture(loop_scope="module")
async def world(shared: Shared) -> World:
    """Four services, real Apache Kafka, PostgreSQL, people: at rest, until the test asks for load."""
    return await shared.get()
