"""When the relay looks: at once after a pause, later where rows come one by one, again at once where many wait."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from shared.bus import relay as module
from shared.bus.relay import ROWS, Relay


class Connection:
    """Leads at once."""

    async def execute(self, *_: Any) -> None: ...

    async def fetchval(self, *_: Any) -> bool:
        return True

    async def close(self, **_: Any) -> None: ...


class Paced(Relay):
    """Finds rows as told; a row that is there was committed, and so has woken it, unless it came from elsewhere."""

    def __init__(self, found: list[int]) -> None:
        async def acquire(**_: Any) -> Connection:
            return Connection()

        async def release(_: Any) -> None: ...

        database: Any = SimpleNamespace(schema="qc", pool=SimpleNamespace(acquire=acquire, release=release))
        super().__init__(database, SimpleNamespace(), poll_s=60.0, pace_s=0.02)  # type: ignore[arg-type]
        self.found = found
        self.log: list[str] = []

    async def drain(self, _: Any) -> int:
        rows = self.found.pop(0)
        self.log.append(f"{rows} rows")
        return rows


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    sleep = asyncio.sleep

    async def nap(seconds: float) -> None:
        taken.append(seconds)
        await sleep(0)

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(**(vars(asyncio) | {"sleep": nap})))
    return taken


async def run_for_a_moment(relay: Relay) -> asyncio.Task[None]:
    task = asyncio.create_task(relay.run())
    for _ in range(20):
        await asyncio.sleep(0)
    return task


async def test_few_rows_are_followed_by_one_pause_and_by_no_look_for_nothing(naps: list[float]) -> None:
    relay = Paced([3, 1, 0])
    task = await run_for_a_moment(relay)
    assert (relay.log, naps) == (["3 rows"], [0.02])
    relay.wake()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (relay.log, naps) == (["3 rows", "1 rows"], [0.02, 0.02])
    task.cancel()


async def test_while_many_wait_there_is_no_pause(naps: list[float]) -> None:
    relay = Paced([ROWS, ROWS, 1, 0])
    task = await run_for_a_moment(relay)
    assert (relay.log, naps) == ([f"{ROWS} rows", f"{ROWS} rows", "1 rows"], [0.02])
    task.cancel()


async def test_what_commits_during_the_pause_goes_out_after_it(
    naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Paced([1, 5, 0])
    drain = relay.drain

    async def draining(connection: Any) -> int:
        rows = await drain(connection)
        if rows == 1:
            relay.wake()
        return rows

    monkeypatch.setattr(relay, "drain", draining)
    task = await run_for_a_moment(relay)
    assert relay.log == ["1 rows", "5 rows"]
    assert naps == [0.02, 0.02]
    task.cancel()
