"""What an item costs when ten times as many are stored: statements, buffers, WAL. Real handlers, real PostgreSQL.

The services' handlers and the API run in this process, what one publishes is given to the next; so every statement is
counted, and no clock matters. Every table that grows with items, answers or events grows with the stock.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from pydantic import SecretStr

from cli.migrate import migrate_all
from cli.stack.postgres import ROLES, Postgres
from shared import events as ev
from shared.db.database import Database
from shared.db.store import finish_outbox, list_outbox
from shared.runtime.settings import DatabaseServiceSettings, KafkaSettings
from shared.topics import ANNOTATIONS, BY_NAME, ESCALATIONS, ITEMS, LABELS, PREDICTIONS, ROUTES
from tests.bench.annotators import no_news
from tests.bench.stock import ORIGINAL, copy_items
from tests.support import events as make
from tests.support.assignment import Replica
from tests.support.monitor import Monitor, known_projects
from tests.support.qc import Qc, Reference

SMALL, LARGE = 100_000, 1_000_000
BATCH, ORIGINALS, ANSWERED = 500, 800, 200
WARM_BATCHES, BATCHES = 12, 4
WARM_PAIRS, PAIRS = 60, 200
SURE, UNSURE = 0.99, 0.7
SPEC = make.project_spec(
    policy=make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.0), gold=ev.GoldPolicy(share=0.0))
)
CHOICE = {"kind": "choice", "choice": "positive"}


@dataclass(slots=True)
class Cost:
    """Of some work, on the whole server."""

    statements: float
    buffers: float
    wal_bytes: float

    def per(self, number: int) -> "Cost":
        return Cost(self.statements / number, self.buffers / number, self.wal_bytes / number)

    def over(self, other: "Cost") -> dict[str, float]:
        """How many times the other one it is."""
        return {
            "statements": self.statements / other.statements,
            "buffers": self.buffers / other.buffers,
            "wal": self.wal_bytes / other.wal_bytes,
        }


class Circuit:
    """assignment, qc and monitor around one database."""

    def __init__(self, admin: Any, replica: Replica, monitor: Monitor, qc: Qc) -> None:
        self.admin = admin
        self.replica = replica
        self.monitor = monitor
        self.qc = qc
        self.people: list[httpx.AsyncClient] = []
        self._pools = (replica.service.database.pool, monitor.pool, qc.pool)

    async def _flow(self, pool: Any) -> dict[str, list[Any]]:
        """Do as the relay does; what was published, by topic."""
        told: dict[str, list[Any]] = {}
        async with pool.acquire() as connection:
            while rows := await list_outbox(connection, 20):
                for record in (one for _, several in rows for one in several):
                    event = BY_NAME[record.topic].event.validate_json(record.value or b"")
                    told.setdefault(record.topic, []).append(event)
                await finish_outbox(connection, [row for row, _ in rows], {(topic, 0): 1 for topic in sorted(told)})
        return told

    async def auto(self, names: Sequence[str], *, confidence: float = SURE) -> None:
        """One batch of items, all the way."""
        items = [make.item(name) for name in names]
        predictions = [make.prediction(name, confidence=confidence) for name in names]
        await self.replica.handle(ITEMS, *items)
        await self.monitor.handle(ITEMS, items)
        await self.replica.handle(PREDICTIONS, *predictions)
        await self.monitor.handle(PREDICTIONS, predictions)
        await self._spread()

    async def _spread(self) -> None:
        """Give everybody what assignment and qc have published, until nothing more comes."""
        while True:
            told = await self._flow(self._pools[0])
            accepted = told.pop(LABELS.name, [])  # by the model: assignment and qc pass over those unread
            for topic, events in (await self._flow(self.qc.pool)).items():
                told.setdefault(topic, []).extend(events)
            await self._flow(self.monitor.pool)
            if not told and not accepted:
                return
            if accepted:
                await self.monitor.handle(LABELS, accepted)
            for name in (ROUTES.name, ANNOTATIONS.name, ESCALATIONS.name, LABELS.name):
                if name in told:
                    await self._give(BY_NAME[name], told[name])

    async def _give(self, topic: Any, events: list[Any]) -> None:
        if topic in (ESCALATIONS, LABELS):
            await self.replica.handle(topic, *events)
        if topic in (ANNOTATIONS, LABELS):
            await self.qc.handle(topic, events)
        if topic is not ESCALATIONS:
            await self.monitor.handle(topic, events)

    async def answer(self, pairs: int) -> None:
        """next and submit, one person after the other; then what follows from the answers, in batches."""
        for number in range(pairs):
            person = self.people[number % len(self.people)]
            task = (await person.post("/v1/next", json={})).json()["tasks"][0]
            done = await person.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
            done.raise_for_status()
        await self._spread()

    @asynccontextmanager
    async def counting(self, cost: Cost) -> AsyncGenerator[None]:
        """What the block costs; nothing else may run on the server."""
        said = [0]

        def note(_: Any) -> None:
            said[0] += 1

        connections = await self._each(lambda connection: connection._con.add_query_logger(note))
        before = await self._totals()
        try:
            yield
        finally:
            after = await self._totals()
            await self._each(lambda connection: connection._con.remove_query_logger(note))
        cost.statements = said[0] - len(connections)  # asking for the totals is not the work
        cost.buffers, cost.wal_bytes = after[0] - before[0], after[1] - before[1]

    async def _each(self, do: Callable[[Any], None]) -> list[Any]:
        found = []
        for pool in self._pools:
            connections = [await pool.acquire() for _ in range(pool.get_size())]
            for connection in connections:
                do(connection)
                await pool.release(connection)
            found += connections
        return found

    async def _totals(self) -> tuple[int, int]:
        """Buffers touched and WAL written so far."""
        for pool in self._pools:
            connections = [await pool.acquire() for _ in range(pool.get_size())]
            for connection in connections:
                await connection.execute("SELECT pg_stat_force_next_flush()")
                await pool.release(connection)
        await self.admin.execute("SELECT pg_stat_force_next_flush()")  # else what it has copied counts a second later
        row = await self.admin.fetchrow(
            "SELECT (SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = 'labelstream')::bigint AS hit,"
            " pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal"
        )
        return row["hit"], row["wal"]


@asynccontextmanager
async def circuit() -> AsyncGenerator[Circuit]:
    """Services around an empty database, and some items of every fate as originals: accepted, answered, open."""
    async with Postgres() as server:
        urls = {role: server.url(role) for role in ROLES}
        await migrate_all(urls)
        async with contextlib.AsyncExitStack() as stack:
            admin = await asyncpg.connect(server.admin_url())
            stack.push_async_callback(admin.close)
            for setting in ("autovacuum = off", "checkpoint_timeout = '1h'", "max_wal_size = '20GB'"):
                await admin.execute(f"ALTER SYSTEM SET {setting}")
            await admin.execute("SELECT pg_reload_conf()")
            replica = Replica(urls["assignment"], {"token_cache_s": 3600.0})
            await replica.service.database.connect()
            stack.push_async_callback(replica.service.database.close)
            replica.project(SPEC)
            monitor, qc = Database("monitor", _settings(urls["monitor"])), Database("qc", _settings(urls["qc"]))
            for database in (monitor, qc):
                await database.connect()
                stack.push_async_callback(database.close)
            made = Circuit(admin, replica, Monitor(monitor.pool, known_projects(SPEC)), Qc(qc.pool, Reference(SPEC)))
            await _begin(made)
            yield made


def _settings(url: str) -> DatabaseServiceSettings:
    kafka = KafkaSettings(allow_insecure=True, security_protocol="PLAINTEXT")
    return DatabaseServiceSettings(kafka=kafka, database_url=SecretStr(url), database_allow_insecure=True)


async def _begin(made: Circuit) -> None:
    made.people = [await made.replica.person(f"ann{n:02d}") for n in range(10)]
    half = ORIGINALS // 2
    await made.auto([f"{ORIGINAL}{n:06d}" for n in range(half)])
    await made.auto([f"{ORIGINAL}{n:06d}" for n in range(half, ORIGINALS)], confidence=UNSURE)
    await made.answer(ANSWERED)


def spread_names(tag: str, number: int, of: int) -> list[str]:
    """Names that lie evenly among those of `of` copies, so that every batch touches all parts of the indexes."""
    return [f"b{n * of // number:09d}{tag}" for n in range(number)]


async def measure_at(made: Circuit, size: int) -> tuple[Cost, Cost]:
    """The cost of an item on the auto path, and of a next+submit with all that follows, at this size."""
    for n in range(WARM_BATCHES):  # past the point where every connection has its generic plans
        await made.auto(spread_names(f"w{size}-{n}", BATCH // 10, size))
    auto, answers = Cost(0, 0, 0), Cost(0, 0, 0)
    async with made.counting(auto):
        for n in range(BATCHES):
            await made.auto(spread_names(f"m{size}-{n}", BATCH, size))
    await made.answer(WARM_PAIRS)
    async with made.counting(answers):
        await made.answer(PAIRS)
    return auto.per(BATCHES * BATCH), answers.per(PAIRS)


async def measure(news: Callable[[str], None] = no_news, *, small: int = SMALL, large: int = LARGE) -> dict[str, float]:
    """Costs at both sizes, and how many times the large one is the small one."""
    figures: dict[str, float] = {}
    async with circuit() as made:
        found = []
        have = 0
        for size in (small, large):
            news(f"growth: {size:,} items")
            await copy_items(made.admin, have, size)
            have = size
            found.append(await measure_at(made, size))
        for place, path in enumerate(("auto", "next_submit")):
            before, after = found[0][place], found[1][place]
            for name, ratio in after.over(before).items():
                figures[f"{path}_{name}_growth"] = ratio
            figures |= {
                f"{path}_statements_per_item": before.statements,
                f"{path}_buffers_per_item": before.buffers,
                f"{path}_wal_bytes_per_item": before.wal_bytes,
            }
    return figures


if __name__ == "__main__":
    sizes = [int(one) for one in sys.argv[1:]] or [SMALL, LARGE]
    for name, value in asyncio.run(measure(print, small=sizes[0], large=sizes[1])).items():
        print(f"{name:34} {value:12.3f}")
