"""A whole deployment under load: four services as processes on real Apache Kafka and PostgreSQL, people, a producer."""

import asyncio
import contextlib
import os
import random
import secrets
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import asyncpg

from cli.api import Api
from cli.model import promote_model, register_model
from cli.project.commands import apply_spec
from cli.rest import until_rest
from cli.stack.embedded import Stack, StackOptions
from cli.stack.postgres import Postgres
from cli.stack.processes import ServiceProcess
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.errors import RetryLater
from shared.events import FeaturesContent, GoldAnswer, GoldItem
from shared.labels import Choice
from shared.topics import ASSIGNMENT, GOLD_ANSWERS, GOLD_ITEMS
from tests.e2e.world.echo import Echo
from tests.e2e.world.faults import Injector
from tests.e2e.world.ledger import Ledger, Promotion
from tests.e2e.world.people import Annotator, Desk
from tests.e2e.world.plan import FRACTIONS, PROJECT, ROWS, START, Plan, model_of, truth_of
from tests.e2e.world.producer import Producer
from tests.e2e.world.totals import Scraper

GOLD = 24
WATCH_S = 0.3
MOVING = (
    "SELECT item_id, standing, round FROM assignment.items"
    " WHERE standing IN ('awaiting_prediction', 'open', 'superseded') LIMIT 5"
)
DOUBTING = (
    "SELECT 'snapshot ' || s.number, a.given - s.given, d.snapshot FROM"
    " (SELECT project_id, sum(given)::bigint AS given FROM qc.annotators GROUP BY project_id) a CROSS JOIN LATERAL"
    " (SELECT number, given FROM qc.snapshots n WHERE n.project_id = a.project_id AND body IS NOT NULL"
    " ORDER BY number DESC LIMIT 1) s LEFT JOIN qc.doubts d ON d.project_id = a.project_id"
    " WHERE a.given > s.given OR coalesce(d.snapshot, 0) < s.number"
)
"""Answers that no snapshot knows, and a snapshot that labels were not held against yet: rounds may open again."""
KNOWN = "SELECT item_id FROM assignment.items WHERE content_hash IS NOT NULL"


class Broken(AssertionError):  # noqa: N818  # it is what happened
    """A promise does not hold; the message holds the seed, the faults, and the first violation with its history."""


class World:
    """`async with World(plan, directory) as world:` has project, model, gold and people ready.

    It may be loaded several times; the ledger goes on, so that a proof covers all that has happened.

    Args:
        plan: the figures.
        directory: of log files and models, kept.
        bootstrap: of a broker to share under a prefix of this world's own; None for a broker of its own, which may be
            killed.
    """

    def __init__(self, plan: Plan, directory: Path, *, bootstrap: str | None = None) -> None:
        self.plan = plan
        self.ledger = Ledger()
        self.directory = directory
        self.replicas: list[ServiceProcess] = []
        self.injector = Injector(self)
        self.scraper = Scraper()
        self.broken = False
        self.restored = False  # a database was replaced: its own log and its processes' counters say less or more
        self.shrunk: list[str] = []
        self._logged = 0
        self._loads = self._joined = 0
        self._bootstrap = bootstrap
        self._models = directory / "models"
        self._token = secrets.token_urlsafe(32)
        self._tokens: dict[str, str] = {}
        self._down: list[str] = []
        self._ended: set[int] = set()
        options = StackOptions(
            broker="kafka" if bootstrap is None else "external",
            run_dir=directory / "logs",
            model_dir=self._models,
            prefix="" if bootstrap is None else f"e2e{secrets.token_hex(4)}.",
            partitions=plan.partitions,
            settings=plan.environment(self._token),
        )
        self.stack = Stack(options)

    @property
    def postgres(self) -> Postgres:
        if self.stack.postgres is None:
            raise TypeError("the world has no PostgreSQL of its own")
        return self.stack.postgres

    @property
    def urls(self) -> dict[str, str]:
        """Every process's address, replicas too."""
        return self.stack.urls | {f"{one.name}/{place}": one.url for place, one in enumerate(self.replicas)}

    def desks(self) -> list[str]:
        """Where people may work."""
        return [self.stack.urls[ASSIGNMENT], *(one.url for one in self.replicas if one.name == ASSIGNMENT)]

    async def __aenter__(self) -> Self:
        with _environment(self._bootstrap):
            await self.stack.__aenter__()
        try:
            await apply_spec(self.stack.kafka, self.plan.spec, now=utc_now())
            await self._import_gold()
            await self.promote()
            await self._hire()
        except BaseException:
            await self.stack.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for replica in self.replicas:
            replica.kill9()
        await self.stack.__aexit__(None, None, None)

    async def fetch(self, query: str, *parameters: Any) -> Any:
        """The first column of the first row, as superuser."""
        connection = await asyncpg.connect(self.postgres.admin_url(), timeout=10)
        try:
            return await connection.fetchval(query, *parameters)
        finally:
            await connection.close(timeout=5)

    async def execute(self, script: str) -> None:
        """Statements, as superuser."""
        connection = await asyncpg.connect(self.postgres.admin_url(), timeout=10)
        try:
            await connection.execute(script)
        finally:
            await connection.close(timeout=5)

    async def rows(self, query: str, *parameters: Any) -> list[Any]:
        """All rows, as superuser."""
        connection = await asyncpg.connect(self.postgres.admin_url(), timeout=10)
        try:
            return list(await connection.fetch(query, *parameters))
        finally:
            await connection.close(timeout=5)

    async def promote(self) -> Promotion:
        """Register the next model and make it live.

        Raises:
            RetryLater: Kafka does not answer.
        """
        number = len(self.ledger.promotions) + 1
        content, manifest = await asyncio.to_thread(model_of, number)
        kafka, version, now = self.stack.kafka, f"m{number}", utc_now()
        await register_model(kafka, PROJECT, content, manifest, directory=self._models, version=version)
        pointer = await promote_model(kafka, PROJECT, version)
        promotion = Promotion(number, version, pointer.generation, now)
        self.ledger.promotions.append(promotion)
        return promotion

    async def add_replica(self, name: str, variables: Mapping[str, str] | None = None) -> ServiceProcess:
        """A second process of a service, ready; `variables` are set for it alone."""
        environment = self.stack.service_environment(name) | dict(variables or {})
        url = f"http://127.0.0.1:{environment[f'LABELSTREAM_{name.upper()}_PORT']}"
        self._joined += 1
        folder = self.directory / "logs" / f"replica-{self._joined}"
        replica = ServiceProcess(name, environment, directory=folder, url=url)
        await replica.start()
        self.replicas.append(replica)
        return replica

    async def remove_replica(self, replica: ServiceProcess, *, kill: bool) -> None:
        """It leaves, by crash or by drain."""
        self.replicas.remove(replica)
        if kill:
            replica.kill9()
        elif (code := await replica.drain()) not in (0, -9):
            self.ledger.breach(f"a replica of {replica.name} ended with {code} at SIGTERM: {replica.tail(5)}")

    @contextmanager
    def expected_down(self, name: str) -> Generator[ServiceProcess]:
        """While a fault is at work, the end of this service is no surprise."""
        self._down.append(name)
        try:
            yield self.stack.services[name]
        finally:
            self._down.remove(name)

    @asynccontextmanager
    async def load(self, **changes: Any) -> AsyncGenerator[None]:
        """Producer and people at work; at the end of the block the load ends, and everything comes to rest.

        Args:
            changes: figures of the plan that are others for this load.

        Raises:
            Broken: it did not come to rest.
        """
        self._loads += 1
        self.broken = True
        if self._loads == 1:
            self.ledger.started = time.monotonic()
        closing = asyncio.Event()
        plan = replace(self.plan, **changes)
        producer = Producer(self.stack.kafka, plan, self.ledger)
        echo = Echo(self.stack.kafka, self.ledger, self._draw("echo"), every_s=plan.echo_every_s)
        try:
            async with asyncio.TaskGroup() as group:
                producing, echoing = group.create_task(producer.run()), group.create_task(echo.run())
                watching = [group.create_task(self._watch()), group.create_task(self.scraper.run(self))]
                people = [group.create_task(Annotator(desk, self.plan).work(closing)) for desk in self._desks()]
                yield
                producer.stop()
                await producing
                echoing.cancel()
                await self._settle()
                closing.set()
                for person in people:
                    await person
                for watcher in watching:
                    watcher.cancel()
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        self.broken = False

    async def _settle(self) -> None:
        try:
            await until_rest(self.urls, self._at_rest, within_s=self.plan.rest_within_s)
        except RetryLater as error:
            moving = [tuple(row) for row in await self._moving()]
            known = {row["item_id"] for row in await self.rows(KNOWN)}
            lost = sorted(self.ledger.items().keys() - known)
            what = f"{error}; still moving: {moving}; acknowledged and unknown: {len(lost)} {lost[:5]}"
            what += "".join(f"\n  {line}" for line in await self.scraper.behind(self))
            raise Broken(self.story(what)) from error

    async def _moving(self) -> list[Any]:
        more = await self.rows(DOUBTING) if self.plan.policy.relabel.doubts_per_day else []
        return [*await self.rows(MOVING), *more]

    async def _at_rest(self) -> bool:
        try:
            moving, known = await self._moving(), await self.rows(KNOWN)
        except (OSError, asyncpg.PostgresError):
            return False
        return not moving and len(known) == len(self.ledger.items())

    async def _watch(self) -> None:
        """A service that ends by itself has failed, whatever the rest says."""
        while True:
            for service in (*self.stack.services.values(), *self.replicas):
                if not service.running and service.name not in self._down and service.pid not in self._ended:
                    self._ended.add(service.pid)
                    what = f"{service.name} ended by itself with {service.returncode}"
                    self.ledger.breach(f"{what}: {service.tail(5)}")
            await self._watch_log()
            await asyncio.sleep(WATCH_S)

    async def _watch_log(self) -> None:
        """The request log only grows."""
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            lines = int(await self.fetch("SELECT count(*) FROM assignment.request_log"))
            if lines < self._logged and not self.restored:
                self.shrunk.append(f"{self._logged} lines became {lines} at {self.ledger.clock:.1f} s")
            self._logged = lines

    async def stop_services(self) -> None:
        """Drain all four; the databases and the broker stay."""
        self.broken = True
        for name in self.stack.services:
            self._down.append(name)
        await self.stack.drain()

    def deadlocks(self) -> int:
        """How often PostgreSQL had to break a circle of waiting transactions. Harmless, and slow."""
        return (self.directory / "logs" / "postgres.log").read_text(errors="replace").count("ERROR:  deadlock detected")

    def story(self, violation: str) -> str:
        """What to print when a promise is broken."""
        faults = "\n".join(f"  {fault}" for fault in self.ledger.faults) or "  none"
        return (
            f"{violation}\nseed {self.plan.seed}; {len(self.ledger.sent)} records sent, "
            f"{len(self.ledger.receipts)} answers accepted\nfaults:\n{faults}\nlogs: {self.directory / 'logs'}"
        )

    def _desks(self) -> Sequence[Desk]:
        return [
            Desk(one, self._tokens[one.name], self.desks, self.ledger, self._draw(one.name)) for one in self.plan.people
        ]

    def _draw(self, name: str) -> random.Random:
        return random.Random(f"{self.plan.seed} {name} {self._loads}")

    async def _hire(self) -> None:
        wanted = [
            {"id": one.name, "role": "expert" if one.expert else "annotator", "projects": [PROJECT]}
            for one in self.plan.people
        ]
        async with Api(self.stack.urls[ASSIGNMENT], self._token) as admin:
            added = await admin.post("/v1/annotators", {"annotators": wanted})
        self._tokens = {one["id"]: one["token"] for one in added["results"]}

    async def history(self, item: str) -> dict[str, Any]:
        """What assignment knows of an item."""
        with contextlib.suppress(Exception):
            async with Api(self.stack.urls[ASSIGNMENT], self._token) as admin:
                return await admin.get(f"/v1/projects/{PROJECT}/items/{item}")
        return {}

    async def _import_gold(self) -> None:
        items, answers = [], []
        for number in range(GOLD):
            feature = number % ROWS + 0.75 + number / FRACTIONS
            about = {"project_id": PROJECT, "item_id": f"gold{number:03d}", "created_at": START}
            items.append(GoldItem(**about, content=FeaturesContent(features=(feature,))))
            answers.append(GoldAnswer(**about, value=Choice(choice=truth_of(feature))))
        async with Publisher(self.stack.kafka) as publisher:
            await publisher.publish([outgoing(GOLD_ANSWERS, answer, source="tests/e2e") for answer in answers])
            await publisher.publish([outgoing(GOLD_ITEMS, item, source="tests/e2e") for item in items])


@contextmanager
def _environment(bootstrap: str | None) -> Generator[None]:
    """What an operator with a broker of his own would export; nothing stays."""
    if bootstrap is None:
        yield
        return
    before = dict(os.environ)
    os.environ |= {
        "LABELSTREAM_KAFKA_BOOTSTRAP": bootstrap,
        "LABELSTREAM_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "LABELSTREAM_KAFKA_ALLOW_INSECURE": "true",
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
