"""Resident memory of the services when ten times as many items are stored, with people at work on both."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg

from cli.stack.embedded import Stack
from shared.topics import ASSIGNMENT
from tests.bench.annotators import desk, hire, no_news, work
from tests.bench.stock import copy_items

SMALL, LARGE = 100_000, 1_000_000
PEOPLE, WARM_S, WORK_S = 50, 20.0, 20.0
KIB = 1024
WINDOW = {"LABELSTREAM_QC_SNAPSHOT_ANSWERS": "10000"}
"""So small that it is full from the start: what is measured is the number of items, not the filling of qc's window."""


def resident(stack: Stack) -> dict[str, int]:
    """Bytes of resident memory by service."""
    found = {}
    for name, service in stack.services.items():
        lines = Path(f"/proc/{service.pid}/status").read_text().splitlines()
        found[name] = next(int(line.split()[1]) * KIB for line in lines if line.startswith("VmRSS:"))
    return found


async def measure(news: Callable[[str], None] = no_news, *, small: int = SMALL, large: int = LARGE) -> dict[str, float]:
    """Memory after some work at the small size, after as much again, and after as much again at the large one.

    Returns:
        `<service>_memory_growth` of the last, `<service>_memory_again` of the one before (what work alone adds), and
        `<service>_memory_mib` in the end.
    """
    async with desk(small, news, WINDOW) as (stack, token):
        url = stack.urls[ASSIGNMENT]
        tokens = await hire(url, token, [f"ann{n:03d}" for n in range(PEOPLE)])
        await work(url, tokens, WARM_S, 0.0)
        news(f"{small:,} items")
        await work(url, tokens, WORK_S, 0.0)
        first = resident(stack)
        await work(url, tokens, WORK_S, 0.0)
        before = resident(stack)
        if stack.postgres is None:
            raise ValueError("the bench needs the embedded PostgreSQL")
        connection = await asyncpg.connect(stack.postgres.admin_url())
        try:
            await copy_items(connection, small, large)
        finally:
            await connection.close()
        news(f"{large:,} items")
        await work(url, tokens, WORK_S, 0.0)
        after = resident(stack)
    figures = {f"{name}_memory_growth": after[name] / before[name] for name in before}
    figures |= {f"{name}_memory_again": before[name] / first[name] for name in before}
    return figures | {f"{name}_memory_mib": after[name] / KIB**2 for name in after}


if __name__ == "__main__":
    for name, value in asyncio.run(measure(print)).items():
        print(f"{name:28} {value:10.2f}")
