"""Chaos: `python -m tests.e2e.chaos --seeds 1-3 --seconds 45` prints one row per seed, and fails if a promise broke."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import structlog

from tests.e2e.world.faults import WEIGHTS, schedule
from tests.e2e.world.plan import Plan
from tests.e2e.world.proof import examine
from tests.e2e.world.world import Broken, World
from tests.support.poison import KINDS

HEADINGS = (
    "seed", "items", "records", "submits", "poison", "kill9", "term", "pause", "broker", "crash", "terminate", "storm",
    "swap", "lost", "doubled", "violations", "deadlocks", "seconds",
)  # fmt: skip
REST_WITHIN_S = 120.0


async def one_seed(seed: int, seconds: float, rate: float, directory: Path) -> tuple[dict[str, int], str]:
    """Run one seed.

    Returns:
        The row of the table, and the story of the first violation, empty where every promise held.
    """
    started = time.monotonic()
    plan = Plan(seed=seed, items_per_second=rate, poison=tuple(KINDS), rest_within_s=REST_WITHIN_S)
    async with World(plan, directory) as world:
        story = ""
        try:
            async with world.load():
                await world.injector.play(schedule(seed, seconds))
        except Broken as broken:
            story = str(broken)
        proof = await examine(world)
        if proof.findings and not story:
            first = proof.findings[0]
            story = world.story("\n".join([f"{first.check}: {first.detail}", *first.history]))
        ledger = world.ledger
        row = {
            "seed": seed, "items": proof.items, "records": len(ledger.sent), "submits": proof.submits,
            "poison": proof.poison, **dict.fromkeys(WEIGHTS, 0), **Counter(one.kind for one in ledger.faults),
            "lost": proof.lost, "doubled": proof.doubled, "violations": proof.by_check.total(),
            "deadlocks": world.deadlocks(), "seconds": round(time.monotonic() - started),
        }  # fmt: skip
        return row, story


def table(rows: Sequence[dict[str, int]]) -> str:
    """The rows under their headings."""
    return "\n".join(" ".join(f"{cell:>10}" for cell in line) for line in (
        HEADINGS, *([str(row[name]) for name in HEADINGS] for row in rows)
    ))  # fmt: skip


def seeds(text: str) -> list[int]:
    """`1-3,7` as numbers."""
    parts = [part.split("-") for part in text.split(",")]
    return [seed for part in parts for seed in range(int(part[0]), int(part[-1]) + 1)]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=seeds, default=[1], help="such as 1-3 or 4,7")
    parser.add_argument("--seconds", type=float, default=45.0, help="of load, per seed")
    parser.add_argument("--rate", type=float, default=30.0, help="new items per second")
    parser.add_argument("--faults", action="store_true", help="print the schedule of each seed, run nothing")
    chosen = parser.parse_args()
    if chosen.faults:
        for seed in chosen.seeds:
            print(seed, *schedule(seed, chosen.seconds), sep="\n  ")  # noqa: T201
        return 0
    logging.disable(logging.CRITICAL)  # the clients of this process say at length that a killed broker is away
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rows = []
    for seed in chosen.seeds:
        directory = Path(tempfile.mkdtemp(prefix=f"labelstream-chaos-{seed}-"))
        row, story = asyncio.run(one_seed(seed, chosen.seconds, chosen.rate, directory))
        rows.append(row)
        print(table(rows[-1:]) if len(rows) > 1 else table(rows), flush=True)  # noqa: T201
        if story:
            print(story, file=sys.stderr, flush=True)  # noqa: T201
    print("\n" + table(rows))  # noqa: T201
    return int(any(row["violations"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
