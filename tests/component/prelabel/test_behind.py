"""Loading gives way to serving, and what goes wrong in it is raised where it is awaited."""

import asyncio
import os
import sys
import threading

import pytest

from services.prelabel.jobs.behind import NICE, behind


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
async def test_only_that_thread_gives_way() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    assert await behind(niceness) == min(19, max(before, NICE))
    assert niceness() == await asyncio.to_thread(niceness) == before


async def test_errors_are_raised_here() -> None:
    def fails() -> None:
        raise ValueError("no model")

    with pytest.raises(ValueError, match="no model"):
        await behind(fails)


async def test_who_waits_no_longer_is_not_disturbed() -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await behind(release.wait)
    release.set()
    await asyncio.sleep(0.05)
