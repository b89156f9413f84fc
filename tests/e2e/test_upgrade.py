"""A rolling upgrade under load, and back: this version beside its successor, on the successor's schema.

`python -m tests.e2e.upgrade REF` does the same from an earlier commit to this one.
"""

import pytest

from tests.e2e.world import versions
from tests.e2e.world.upgrade import roll
from tests.e2e.world.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


async def test_two_versions_side_by_side_under_load(world: World) -> None:
    code = versions.tomorrow(world.directory / "tomorrow")
    written = await roll(world, code, marker=versions.WRITTEN_BY)
    for topic, (marked, plain) in written.items():
        assert marked, f"nothing of {topic} was written by tomorrow's version"
        assert plain, f"nothing of {topic} was written by this version"
