"""Annotators as cheap as they can be: a process of its own, raw HTTP/1.1 over one kept connection each.

`python -m tests.bench.load URL SECONDS RATE < tokens` works like the people of these tokens, RATE answers a second in
all (0: as many as possible), and prints one JSON object: answers, seconds, the latencies of next, of submit and of both
(milliseconds), and what was refused.
"""

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

NEXT = b'{"count":1}'
ANSWERS = [json.dumps({"value": {"kind": "choice", "choice": name}}).encode() for name in ("negative", "positive")]
IDLE_S = 0.2


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionError("the service closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lowered = head.lower()
        start = lowered.index(b"content-length:") + 15
        if len(body) >= int(lowered[start:].split(b"\r", 1)[0]) and self._waiting is not None:
            self._buffer = b""
            self._waiting.set_result((int(head[9:12]), body))

    async def post(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """Status and body of the response."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body))
        return await self._waiting


@dataclass(slots=True)
class Tally:
    """What all annotators of this process saw; times in milliseconds."""

    next_ms: list[float] = field(default_factory=list)
    submit_ms: list[float] = field(default_factory=list)
    both_ms: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


class Annotator:
    """Takes a task and answers it at once, again and again."""

    def __init__(self, address: tuple[str, int], token: str, tally: Tally, seed: int) -> None:
        self._address = address
        self._about = f"HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        self._take = f"POST /v1/next {self._about}".encode()
        self._tally = tally
        self._draw = random.Random(seed)

    async def work(self, until: float, every_s: float) -> None:
        """Until a time of the monotonic clock; a round that begins late counts from when it should have begun."""
        _, connection = await asyncio.get_running_loop().create_connection(Connection, *self._address)
        due = time.monotonic() + self._draw.random() * every_s
        while (now := time.monotonic()) < until:
            if every_s > 0.0 and now < due:
                await asyncio.sleep(due - now)
            began = due if every_s > 0.0 else now
            await self._once(connection, began)
            due += every_s

    async def _once(self, connection: Connection, began: float) -> None:
        status, body = await connection.post(self._take, NEXT)
        taken = time.monotonic()
        tasks = json.loads(body)["tasks"] if status == 200 else []
        if not tasks:
            self._tally.refused[f"next {status}"] += 1
            await asyncio.sleep(IDLE_S)
            return
        head = f"POST /v1/leases/{tasks[0]['lease_id']}/submit {self._about}".encode()
        ready = time.monotonic()
        status, body = await connection.post(head, self._draw.choice(ANSWERS))
        done = time.monotonic()
        if status != 200:
            self._tally.refused[f"submit {status} {json.loads(body).get('code')}"] += 1
            return
        self._tally.next_ms.append((taken - began) * 1000)
        self._tally.submit_ms.append((done - ready) * 1000)
        self._tally.both_ms.append((done - began) * 1000)


async def run(url: str, tokens: Sequence[str], seconds: float, rate: float) -> dict[str, Any]:
    """All annotators at work."""
    parts, tally = urlsplit(url), Tally()
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    every_s = len(tokens) / rate if rate > 0.0 else 0.0
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for seed, token in enumerate(tokens):
            group.create_task(Annotator(address, token, tally, seed).work(started + seconds, every_s))
    return {
        "seconds": time.monotonic() - started,
        "cpu_s": time.process_time(),
        "next_ms": sorted(tally.next_ms),
        "submit_ms": sorted(tally.submit_ms),
        "both_ms": sorted(tally.both_ms),
        "refused": dict(tally.refused),
    }


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        tokens = sys.stdin.read().split()
        print(json.dumps(uvloop.run(run(sys.argv[1], tokens, float(sys.argv[2]), float(sys.argv[3])))))
