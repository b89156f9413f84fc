"""What one `next` and one `submit` cost, each alone: round trips, processor time of the service and of PostgreSQL.

No HTTP, no Kafka: the ASGI application on a database of its own, one call after the other. Processor time depends
little on what else runs, so two versions can be compared on a busy machine.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from cli.stack.postgres import Postgres
from services.assignment.app import MIGRATIONS
from shared import events as ev
from shared.db.migrate import migrate
from tests.support import events as make
from tests.support.assignment import Replica

ITEMS, WARM, CALLS, LOT = 4_000, 500, 2_000, 50
VALUE = {"value": {"kind": "choice", "choice": "positive"}}
QUICK = {"calls_per_s": 1e6, "calls_burst": 1_000_000, "token_cache_s": 600.0}
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user"


@asynccontextmanager
async def desk(items: int) -> AsyncGenerator[Replica]:
    """A replica with open items, one opinion each and no gold."""
    async with Postgres() as server:
        connection = await asyncpg.connect(server.url("assignment"))
        await migrate(connection, "assignment", MIGRATIONS)
        await connection.close()
        replica = Replica(server.url("assignment"), QUICK)
        await replica.service.database.connect()
        policy = make.policy(auto_accept=None, gold=ev.GoldPolicy(share=0.0), overlap=ev.Overlap(min=1, max=3))
        replica.project(make.project_spec(policy=policy))
        for first in range(0, items, 500):
            await replica.seed(500, first=first)
        await replica.sql("ANALYZE")
        try:
            yield replica
        finally:
            await replica.service.database.close()


class Caller:
    """One person."""

    def __init__(self, api: Any, authorization: str) -> None:
        self._api = api
        self._headers = [(b"authorization", authorization.encode()), (b"content-type", b"application/json")]

    async def post(self, path: str, body: bytes) -> bytes:
        """The response's body."""
        sent: list[bytes] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))

        await self._api({"type": "http", "method": "POST", "path": path, "headers": self._headers}, receive, send)
        return b"".join(sent)


class Meter:
    """Round trips, and seconds of processor time here and in PostgreSQL's sessions."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._pids: list[int] = []
        self.trips = 0

    def _count(self, _: Any) -> None:
        self.trips += 1

    async def watch(self) -> None:
        """Begin to count, on every session that there is."""
        pool = self._replica.service.database.pool
        sessions = [await pool.acquire() for _ in range(pool.get_size())]
        for session in sessions:
            session._con.add_query_logger(self._count)  # loggers of the proxy go with its release
            await pool.release(session)
        self._pids = [row["pid"] for row in await self._replica.sql(BACKENDS)]
        self.trips = 0

    def read(self) -> tuple[float, float, int]:
        """All three, since some time."""
        spent = [int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in self._pids]
        return time.process_time(), sum(spent) / 1e9, self.trips


async def measure(calls: int = CALLS) -> dict[str, float]:
    """Of each request: `<name>_trips`, `<name>_service_us`, `<name>_postgres_us`."""
    async with desk(ITEMS) as replica:
        caller, meter = Caller(replica.api, (await replica.person("ann")).headers["authorization"]), Meter(replica)
        await _rounds(caller, meter, WARM)
        await meter.watch()
        spent = await _rounds(caller, meter, calls)
    names = ("service_us", "postgres_us", "trips")
    return {
        f"{call}_{name}": value / calls * (1 if name == "trips" else 1e6)
        for call, values in spent.items()
        for name, value in zip(names, values, strict=True)
    }


async def _rounds(caller: Caller, meter: Meter, calls: int) -> dict[str, list[float]]:
    spent = {"next": [0.0, 0.0, 0.0], "submit": [0.0, 0.0, 0.0]}
    body = json.dumps(VALUE).encode()
    for _ in range(calls // LOT):
        before = meter.read()
        taken = [await caller.post("/v1/next", b"{}") for _ in range(LOT)]
        between = meter.read()
        paths = [f"/v1/leases/{json.loads(one)['tasks'][0]['lease_id']}/submit" for one in taken]
        start = meter.read()
        answers = [await caller.post(path, body) for path in paths]
        after = meter.read()
        if any(b'"outcome":"answered"' not in one for one in answers):
            raise ValueError(f"an answer was refused: {answers}")
        for name, first, last in (("next", before, between), ("submit", start, after)):
            spent[name] = [had + b - a for had, a, b in zip(spent[name], first, last, strict=True)]
    return spent


if __name__ == "__main__":
    for name, value in asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else CALLS)).items():
        print(f"{name:24} {value:8.2f}")
