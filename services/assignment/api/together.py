"""Calls that come while a transaction runs are done together by the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.db.database import INFRASTRUCTURE
from shared.errors import RetryLater

C = TypeVar("C")
R = TypeVar("R")

LANES = 2
"""Transactions at once: while one waits for PostgreSQL, the other's calls are prepared."""
MOST = 100


@dataclass(slots=True, eq=False)
class _Waiting(Generic[C, R]):
    call: C
    names: frozenset[Hashable]
    future: "asyncio.Future[R]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Together(Generic[C, R]):
    """Gathers calls; whoever comes while every lane is busy waits for the next batch. A lone call waits for nobody.

    Args:
        handle: does several calls in one transaction; one result per call, in order. An error is an error of all.
        names_of: what a call touches alone: calls with a name in common are neither in one batch nor at work at once.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[C]], Awaitable[Sequence[R]]],
        names_of: Callable[[C], frozenset[Hashable]],
        *,
        lanes: int = LANES,
        most: int = MOST,
    ) -> None:
        self._handle = handle
        self._names_of = names_of
        self._free = lanes
        self._most = most
        self._queue: deque[_Waiting[C, R]] = deque()
        self._busy: set[Hashable] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def do(self, call: C) -> R:
        """The result of one call.

        Raises:
            Exception: whatever doing the call raised.
        """
        waiting: _Waiting[C, R] = _Waiting(call, self._names_of(call))
        self._queue.append(waiting)
        self._start()
        return await asyncio.shield(waiting.future)  # a client that hangs up does not undo what others wait for

    def _start(self) -> None:
        while self._free and (batch := self._next()):
            self._free -= 1
            task = asyncio.create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next(self) -> list[_Waiting[C, R]]:
        """The calls that may go now, in order; those that share a name with one at work stay."""
        batch: list[_Waiting[C, R]] = []
        left: list[_Waiting[C, R]] = []
        while self._queue and len(batch) < self._most:
            one = self._queue.popleft()
            if self._busy.isdisjoint(one.names):
                self._busy |= one.names
                batch.append(one)
            else:
                left.append(one)
        self._queue.extendleft(reversed(left))
        return batch

    async def _run(self, batch: Sequence[_Waiting[C, R]]) -> None:
        try:
            await self._settle(batch)
        finally:
            for one in batch:
                self._busy -= one.names
            self._free += 1
            self._start()

    async def _settle(self, batch: Sequence[_Waiting[C, R]]) -> None:
        try:
            results = await self._handle([one.call for one in batch])
        except Exception as error:  # noqa: BLE001  # it is told to the callers
            if len(batch) > 1 and not isinstance(error, (*INFRASTRUCTURE, RetryLater)):
                for one in batch:  # one call's fault is not its neighbours'
                    await self._settle([one])
                return
            for one in batch:
                _tell(one.future, error)
        except BaseException:
            for one in batch:
                one.future.cancel()
            raise
        else:
            for one, result in zip(batch, results, strict=True):
                if not one.future.done():
                    one.future.set_result(result)


def _tell(future: "asyncio.Future[R]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # taken note of, also where the client has gone
