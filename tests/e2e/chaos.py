"""Chaos: `make chaos SEEDS=20` loads four services, harms everything by seed, and proves I1 to I11 once it is at rest.

One row per seed; after the first violation the story of it: seed, faults, the item's history. The seeds that once broke
a promise are run by name: `python -m tests.e2e.chaos --regressions`.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from tests.e2e.world import trace
from tests.e2e.world.faults import WEIGHTS, Fault, schedule
from tests.e2e.world.plan import Plan
from tests.e2e.world.proof import INVARIANTS, examine
from tests.e2e.world.world import Broken, World
from tests.support.poison import KINDS

HEADINGS = (
    "seed", "items", "records", "echoed", "submits", "poison", "kill9", "term", "pause", "broker", "crash",
    "terminate", "storm", "swap", "vanish", "late", "twice", "lost", "doubled", "violations", "deadlocks", "seconds",
)  # fmt: skip
REGRESSIONS = (5, 9)
REST_WITHIN_S = 300.0
Row = dict[str, int]


@dataclass(frozen=True, slots=True)
class Result:
    """The row of the table, the invariants that do not hold, and the story of the first violation."""

    row: Row
    broken: Sequence[str]
    story: str


async def one_seed(seed: int, directory: Path, *, seconds: float, rate: float, faults: Sequence[Fault]) -> Result:
    """Run one seed: load with faults, rest, proof.

    Args:
        seed: of the load and the people.
        directory: for logs and models, kept.
        seconds: of load.
        rate: new items per second.
        faults: what happens meanwhile.
    """
    started = time.monotonic()
    plan = Plan(seed=seed, items_per_second=rate, poison=tuple(KINDS), rest_within_s=REST_WITHIN_S).with_doubts()
    async with World(plan, directory) as world:
        story = ""
        await trace.install(world)
        try:
            async with world.load():
                await world.injector.play(faults)
                await asyncio.sleep(max(0.0, seconds - world.ledger.clock))
        except Broken as broken:
            story = str(broken)
        (directory / "logs" / "trace.txt").write_text(await trace.told(world))
        proof = await examine(world, replayed=not story)
        (directory / "logs" / "metrics.txt").write_text(world.scraper.told())
        if proof.findings and not story:
            story = world.story(proof.story())
        ledger = world.ledger
        row = {
            "seed": seed, "items": proof.items, "records": len(ledger.sent), "submits": proof.submits,
            "poison": proof.poison, **dict.fromkeys(WEIGHTS, 0), **Counter(one.kind for one in ledger.faults),
            "lost": proof.lost, "doubled": proof.doubled, "violations": proof.by_check.total() or int(bool(story)),
            "deadlocks": world.deadlocks(), "seconds": round(time.monotonic() - started),
            **{name: ledger.behaviour[name] for name in ("echoed", "vanish", "late", "twice")},
        }  # fmt: skip
        return Result(row, sorted({one.invariant for one in proof.findings}), story)


def table(rows: Sequence[Row]) -> str:
    """The rows under their headings."""
    lines = [HEADINGS, *([str(row[name]) for name in HEADINGS] for row in rows)]
    return "\n".join(" ".join(f"{cell:>10}" for cell in line) for line in lines)


def seeds(text: str) -> list[int]:
    """`1-3,7` as numbers."""
    parts = [part.split("-") for part in text.split(",")]
    return [seed for part in parts for seed in range(int(part[0]), int(part[-1]) + 1)]


def apart(text: str) -> tuple[float, float]:
    """`1.5-4` as seconds."""
    least, most = text.split("-")
    return float(least), float(most)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=seeds, default=[1], help="such as 1-3 or 4,7")
    parser.add_argument("--from", type=int, default=1, dest="first", help="instead: the first of --count seeds")
    parser.add_argument("--count", type=int, help="how many seeds, from --from on")
    parser.add_argument("--seconds", type=float, default=45.0, help="of load, per seed")
    parser.add_argument("--rate", type=float, default=30.0, help="new items per second")
    parser.add_argument("--kinds", nargs="+", choices=tuple(WEIGHTS), default=tuple(WEIGHTS), help="of faults")
    parser.add_argument("--apart", type=apart, default=(1.5, 4.0), help="seconds between two faults, such as 1.5-4")
    parser.add_argument("--regressions", action="store_true", help="the seeds that once found something")
    parser.add_argument("--faults", action="store_true", help="print the schedule of each seed, run nothing")
    chosen = parser.parse_args()
    if chosen.count is not None:
        chosen.seeds = list(range(chosen.first, chosen.first + chosen.count))
    if chosen.regressions:
        chosen.seeds = list(REGRESSIONS)
    return chosen


def main() -> int:
    """The command."""
    chosen = arguments()
    planned = {seed: schedule(seed, chosen.seconds, kinds=chosen.kinds, apart=chosen.apart) for seed in chosen.seeds}
    if chosen.faults:
        for seed, faults in planned.items():
            print(seed, *faults, sep="\n  ")  # noqa: T201
        return 0
    logging.disable(logging.CRITICAL)  # the clients of this process say at length that a killed broker is away
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rows = []
    for seed, faults in planned.items():
        directory = Path(tempfile.mkdtemp(prefix=f"chaos-of-labelstream-{seed}-"))
        run = one_seed(seed, directory, seconds=chosen.seconds, rate=chosen.rate, faults=faults)
        result = asyncio.run(run)
        rows.append(result.row)
        print(table(rows[-1:]), flush=True)  # noqa: T201
        if result.story:
            print(result.story, file=sys.stderr, flush=True)  # noqa: T201
        else:
            print(f"seed {seed}: {', '.join(INVARIANTS)} hold", flush=True)  # noqa: T201
    print("\n" + table(rows))  # noqa: T201
    return int(any(row["violations"] for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing is proven of the seed that was running")
