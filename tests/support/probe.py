"""The smallest real service: counts each item that reaches its effect, and answers with an abstention."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from shared.bus.records import Outgoing, Received, outgoing
from shared.bus.unit import Unit
from shared.db.migrate import migrate
from shared.events import Item, Prediction
from shared.events.predictions import Abstention
from shared.runtime.service import Service
from shared.runtime.settings import DatabaseServiceSettings, KafkaSettings
from shared.topics import ASSIGNMENT, ITEMS, PREDICTIONS
from tests.support.events import item
from tests.support.servers import Database

MIGRATIONS = Path(__file__).parent / "probe_migrations"
COUNT = (
    "INSERT INTO seen (project_id, item_id) SELECT * FROM unnest($1::text[], $2::text[])"
    " ON CONFLICT (project_id, item_id) DO UPDATE SET times = seen.times + 1"
)
Intercept = Callable[[Sequence[Received[Item]]], None]


def nothing(_: Sequence[Received[Item]]) -> None:
    """No interception."""


def probe(kafka: KafkaSettings, database: Database, intercept: Intercept = nothing, **settings: Any) -> Service:
    """A service named assignment, so that it judges items.v1. `intercept` sees each batch first and may raise."""
    return probe_at(kafka, database.url(ASSIGNMENT), intercept, database_allow_insecure=True, **settings)


def probe_at(kafka: KafkaSettings, url: str, intercept: Intercept = nothing, **settings: Any) -> Service:
    """The same, against any database."""
    fields = {"kafka": kafka, "database_url": url, **settings}
    service = Service(ASSIGNMENT, DatabaseServiceSettings.model_validate(fields), migrations=MIGRATIONS)

    async def on_items(batch: Sequence[Received[Item]], unit: Unit) -> None:
        intercept(batch)
        await unit.connection.execute(COUNT, [r.event.project_id for r in batch], [r.event.item_id for r in batch])
        for received in batch:
            event = received.event
            answer = Prediction(
                project_id=event.project_id,
                item_id=event.item_id,
                abstention=Abstention.NO_MODEL,
                item_created_at=event.created_at,
                predicted_at=unit.now,
            )
            unit.emit(PREDICTIONS, answer, cause=received.record)

    service.consume(ITEMS, on_items)
    service.writes(PREDICTIONS)
    return service


async def prepare(database: Database) -> None:
    """Create the probe's tables."""
    connection = await asyncpg.connect(database.url(ASSIGNMENT))
    try:
        await migrate(connection, ASSIGNMENT, MIGRATIONS)
    finally:
        await connection.close()


async def times_seen(database: Database) -> dict[str, int]:
    """Item id -> how often it had an effect."""
    connection = await asyncpg.connect(database.url(ASSIGNMENT))
    try:
        rows = await connection.fetch("SELECT item_id, times FROM assignment.seen")
    finally:
        await connection.close()
    return {row["item_id"]: row["times"] for row in rows}


async def stored_offset(database: Database, topic: str) -> int:
    """The sum of the stored next offsets over the partitions of a topic."""
    connection = await asyncpg.connect(database.url(ASSIGNMENT))
    try:
        found = await connection.fetchval(
            "SELECT coalesce(sum(next_offset), 0) FROM assignment.consumer_offsets WHERE topic = $1", topic
        )
    finally:
        await connection.close()
    return int(found)


def items(number: int, start: int = 0) -> list[Outgoing]:
    """Records of `number` different items."""
    return [outgoing(ITEMS, item(f"i{n}"), source="test") for n in range(start, start + number)]


async def until(check: Callable[[], Any], within_s: float = 20) -> None:
    """Wait until an async check is true."""
    async with asyncio.timeout(within_s):
        while not await check():  # noqa: ASYNC110  # what is waited for is elsewhere
            await asyncio.sleep(0.05)


def client(service: Service) -> httpx.AsyncClient:
    """HTTP to the service, in process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=service.asgi()), base_url="http://service")


@asynccontextmanager
async def running(service: Service, *, wait: bool = True) -> AsyncGenerator[httpx.AsyncClient]:
    """The service, up and (if asked) ready; drained at the end."""
    app: Any = service.asgi()
    async with app.router.lifespan_context(app), client(service) as http:
        if wait:

            async def ready() -> bool:
                return (await http.get("/ready")).status_code == httpx.codes.OK

            await until(ready)
        yield http


async def wait_for(database: Database, number: int) -> None:
    """Until so many items have had their effect; whoever waits for longer is told which were lost."""

    async def enough() -> bool:
        return len(await times_seen(database)) >= number

    try:
        await until(enough)
    except TimeoutError:
        lost = sorted({f"i{n}" for n in range(number)} - (await times_seen(database)).keys())
        raise AssertionError(f"{len(lost)} of {number} items were lost, such as {lost[:3]}") from None
