"""`python -m tests.e2e.upgrade REF`: from the code of a commit to this one and back, under load, with proof."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.e2e.world import versions
from tests.e2e.world.plan import Plan
from tests.e2e.world.upgrade import roll
from tests.e2e.world.world import World


async def upgrade(reference: str, directory: Path) -> dict[str, tuple[int, int]]:
    """The old version runs on this version's schema from the start."""
    old = versions.environment(versions.at(reference, directory / "old"))
    async with World(Plan(seed=21, settings=old), directory) as world:
        return await roll(world, versions.REPOSITORY)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference", help="commit, tag or branch of the old version")
    chosen = parser.parse_args()
    written = asyncio.run(upgrade(chosen.reference, Path(tempfile.mkdtemp(prefix="upgrade-labelstream-"))))
    print(f"from {chosen.reference} to this version and back: every promise held")  # noqa: T201
    print(*(f"  {topic}: {marked + plain} records" for topic, (marked, plain) in written.items()), sep="\n")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
