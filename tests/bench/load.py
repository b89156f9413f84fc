"""Annotators as cheap as they can be: a process of its own, raw HTTP/1.1 over one kept connection each.

`python -m tests.bench.load URL SECONDS RATE COUNT FILE < tokens` works like the people of these tokens, RATE answers a
second in all (0: as many as possible), each taking COUNT tasks at once and answering them with one call. FILE is one
JSON object: answers, seconds, the latencies of next, of submit and of both (milliseconds), and refusals by reason.
"""

import asyncio
import contextlib
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

VALUES = [{"kind": "choice", "choice": name} for name in ("negative", "neutral", "positive")]
ANSWERS = [json.dumps({"value": value}).encode() for value in VALUES]
NUMBER = re.compile(r"the (\d+)\. guest")
CARELESS = 0.1
"""Answers given at random; otherwise qc would soon stop asking these people, as it did."""
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
    answers: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Annotator:
    """Takes tasks and answers them at once, again and again."""

    def __init__(self, address: tuple[str, int], token: str, tally: Tally, seed: int, count: int = 1) -> None:
        self._address = address
        self._about = f"HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        self._take = f"POST /v1/next {self._about}".encode()
        self._wanted = json.dumps({"count": count}).encode()
        self._many = count > 1
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
        status, body = await connection.post(self._take, self._wanted)
        taken = time.monotonic()
        tasks = json.loads(body)["tasks"] if status == 200 else []
        if not tasks:
            self._tally.refused[f"next {await self._why(connection, status, body)}"] += 1
            await asyncio.sleep(IDLE_S)
            return
        head, answers = self._answer(tasks)
        ready = time.monotonic()
        status, body = await connection.post(head, answers)
        done = time.monotonic()
        if status != 200:
            self._tally.refused[f"submit {_reason(status, body)}"] += 1
            return
        self._tally.answers += self._accepted(body)
        self._tally.next_ms.append((taken - began) * 1000)
        self._tally.submit_ms.append((done - ready) * 1000)
        self._tally.both_ms.append((done - began) * 1000)

    def _answer(self, tasks: Sequence[Mapping[str, Any]]) -> tuple[bytes, bytes]:
        """Head and body of the request."""
        if not self._many:
            head = f"POST /v1/leases/{tasks[0]['lease_id']}/submit {self._about}".encode()
            return head, ANSWERS[self._opinion(tasks[0])]
        answers = [{"lease_id": task["lease_id"], "value": VALUES[self._opinion(task)]} for task in tasks]
        return f"POST /v1/submit {self._about}".encode(), json.dumps({"submissions": answers}).encode()

    def _opinion(self, task: Mapping[str, Any]) -> int:
        """The place of the answer: mostly what the gold items of `annotators` hold to be right."""
        found = NUMBER.match(task["content"]["text"])
        if found is None or self._draw.random() < CARELESS:
            return self._draw.randrange(len(VALUES))
        return int(found[1]) % len(VALUES)

    async def _why(self, connection: Connection, status: int, body: bytes) -> str:
        """Why there is no task."""
        if status != 200:
            return _reason(status, body)
        _, about = await connection.post(f"GET /v1/me {self._about}".encode(), b"")
        return "200 in quarantine" if json.loads(about)["quarantined"] else "200 no task"

    def _accepted(self, body: bytes) -> int:
        if not self._many:
            return 1
        results = json.loads(body)["results"]
        for one in results:
            if one["problem"] is not None:
                self._tally.refused[f"submit {one['problem']['status']} {one['problem']['code']}"] += 1
        return sum(one["problem"] is None for one in results)


def _reason(status: int, body: bytes) -> str:
    return f"{status} {json.loads(body).get('code')}"


async def run(url: str, tokens: Sequence[str], seconds: float, rate: float, count: int) -> dict[str, Any]:
    """All annotators at work."""
    parts, tally = urlsplit(url), Tally()
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    every_s = count * len(tokens) / rate if rate > 0.0 else 0.0
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for seed, token in enumerate(tokens):
            group.create_task(Annotator(address, token, tally, seed, count).work(started + seconds, every_s))
    return {
        "seconds": time.monotonic() - started,
        "cpu_s": time.process_time(),
        "next_ms": sorted(tally.next_ms),
        "submit_ms": sorted(tally.submit_ms),
        "both_ms": sorted(tally.both_ms),
        "answers": tally.answers,
        "refused": dict(tally.refused),
    }


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        tokens = sys.stdin.read().split()
        url, seconds, rate, count, output = sys.argv[1:]
        found = uvloop.run(run(url, tokens, float(seconds), float(rate), int(count)))
        Path(output).write_text(json.dumps(found))
