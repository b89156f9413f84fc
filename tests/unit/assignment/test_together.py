"""Calls that share a transaction."""

import asyncio
from collections.abc import Sequence

import pytest

from services.assignment.api.together import Together
from shared.errors import RetryLater


class Desk:
    """Does calls and remembers which went together; a call "bad" fails everything that it is part of."""

    def __init__(self, *, lanes: int = 1) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.at_work = 0
        self.most_at_work = 0
        self.together: Together[str, str] = Together(self.handle, lambda call: frozenset(call.split("+")), lanes=lanes)

    async def handle(self, calls: Sequence[str]) -> list[str]:
        self.batches.append(list(calls))
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await self.gate.wait()
            if "bad" in calls:
                raise ValueError("bad")
            if "cut" in calls:
                raise RetryLater("cut")
            return [call.upper() for call in calls]
        finally:
            self.at_work -= 1


async def started(desk: Desk, *calls: str) -> list["asyncio.Task[str]"]:
    tasks = []
    for call in calls:
        tasks.append(asyncio.create_task(desk.together.do(call)))
        await asyncio.sleep(0)
    return tasks


async def test_a_lone_call_waits_for_nobody_and_those_behind_it_go_together() -> None:
    desk = Desk()
    tasks = await started(desk, "a", "b", "c", "d")
    assert desk.batches == [["a"]]
    desk.gate.set()
    assert [await task for task in tasks] == ["A", "B", "C", "D"]
    assert desk.batches == [["a"], ["b", "c", "d"]]


async def test_calls_with_a_name_in_common_go_one_after_the_other_in_order() -> None:
    desk = Desk(lanes=3)
    tasks = await started(desk, "a+k", "b+k", "c", "k")
    assert desk.batches == [["a+k"], ["c"]]
    desk.gate.set()
    assert [await task for task in tasks] == ["A+K", "B+K", "C", "K"]
    assert desk.batches == [["a+k"], ["c"], ["b+k"], ["k"]]
    assert desk.most_at_work == 2


async def test_one_calls_fault_is_not_its_neighbours() -> None:
    desk = Desk()
    tasks = await started(desk, "a", "b", "bad", "c")
    desk.gate.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert done[:2] == ["A", "B"]
    assert isinstance(done[2], ValueError)
    assert done[3] == "C"
    assert desk.batches == [["a"], ["b", "bad", "c"], ["b"], ["bad"], ["c"]]


async def test_trouble_of_the_database_is_everybodys_and_is_not_tried_call_by_call() -> None:
    desk = Desk()
    tasks = await started(desk, "a", "b", "cut", "c")
    desk.gate.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in done] == [str, RetryLater, RetryLater, RetryLater]
    assert len(desk.batches) == 2


async def test_a_client_that_hangs_up_changes_nothing_for_the_others() -> None:
    desk = Desk()
    tasks = await started(desk, "a", "b", "c")
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    desk.gate.set()
    assert [await tasks[0], await tasks[2]] == ["A", "C"]
    assert desk.batches == [["a"], ["b", "c"]]
