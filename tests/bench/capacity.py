"""What one item costs: `python -m tests.bench.capacity` measures it and prints what 10,000 and 100,000 a second need.

Two loads on the whole deployment, each service with a PostgreSQL server of its own and full durability: items that the
model is sure of, as a backlog, so that batches are full; and items for people, answered over the HTTP API. CPU is that
of each process with what it uses while idle taken off, so the machine's speed matters and its load does not.
"""

import argparse
import asyncio
import json
import os
import platform
import secrets
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from cli.api import Api
from cli.migrate import migrate_all
from cli.model import promote_model, register_model
from cli.project.commands import apply_spec
from cli.rest import until_rest
from cli.stack.embedded import Stack, StackOptions
from cli.stack.postgres import ROLES, Postgres
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.events import AutoAccept, FeaturesContent, GoldPolicy, Item, Overlap, RelabelPolicy
from shared.topics import ASSIGNMENT, ITEMS, QC, SERVICES, TOPICS
from tests.bench.needs import Cost, report
from tests.bench.readings import DatabaseUse, cpu_s, database_use, log_bytes, resident_mb
from tests.bench.relaying import relay_speed
from tests.e2e.world.plan import FRACTIONS, PROJECT, RIGHT_ROWS, START, SURE_ROWS, Plan, model_of, truth_of

BUILD = Path("build/capacity.json")
BATCH = 1000
IDLE_S = 10.0
PEOPLE = 8
TAKEN = 25
REST_S = 300.0
OPEN = "SELECT count(*) FROM assignment.items WHERE standing IN ('awaiting_prediction', 'open') OR content_hash IS NULL"
KNOWN = "SELECT count(*) FROM assignment.items"


@dataclass(frozen=True, slots=True)
class Use:
    """Everything used so far, at one moment."""

    at: float
    cpu: dict[str, float]
    databases: dict[str, DatabaseUse]
    log: dict[str, int]


class Deployment:
    """`async with Deployment(directory) as one:` four services, Kafka, and three PostgreSQL servers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.databases = {role: Postgres(directory / "postgres" / role) for role in ROLES}
        self.token = secrets.token_urlsafe(32)
        insecure = {f"LABELSTREAM_{role.upper()}_DATABASE_ALLOW_INSECURE": "true" for role in ROLES}
        self.stack = Stack(
            StackOptions(
                broker="kafka",
                data_dir=directory / "kafka",
                run_dir=directory / "logs",
                partitions=4,
                settings={
                    "LABELSTREAM_ASSIGNMENT_ADMIN_TOKEN": self.token,
                    "LABELSTREAM_PRELABEL_MODEL_POLL_S": "0.5",
                    **insecure,
                },
            )
        )
        self.sent = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as started:
            for server in self.databases.values():
                await started.enter_async_context(server)
            urls = {role: server.url(role) for role, server in self.databases.items()}
            await migrate_all(urls)
            os.environ |= {f"LABELSTREAM_{role.upper()}_DATABASE_URL": url for role, url in urls.items()}
            await started.enter_async_context(self.stack)
            await self._prepare()
            self._exit = started.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    async def _prepare(self) -> None:
        plan = Plan()
        policy = plan.policy.model_copy(
            update={
                "auto_accept": AutoAccept(threshold=0.9, audit_share=0.0),
                "overlap": Overlap(min=1, max=3),
                "lease_s": 60.0,
                "experts": False,
                "gold": GoldPolicy(share=0.0),
                "relabel": RelabelPolicy(budget_per_day=0),
                "blocked_after_s": 600.0,
            }
        )
        await apply_spec(self.stack.kafka, replace(plan, policy=policy).spec, now=utc_now())
        content, manifest = await asyncio.to_thread(model_of, 1)
        models = self.directory / "kafka" / "models"
        await register_model(self.stack.kafka, PROJECT, content, manifest, directory=models, version="m1")
        await promote_model(self.stack.kafka, PROJECT, "m1")
        await asyncio.sleep(15)  # until prelabel has it

    async def send(self, number: int, *, sure: bool) -> None:
        """Items as fast as they go."""
        rows = range(SURE_ROWS) if sure else range(SURE_ROWS, RIGHT_ROWS)
        async with Publisher(self.stack.kafka, timeout_s=60) as publisher:
            for first in range(self.sent, self.sent + number, BATCH):
                items = [_item(n, rows[n % len(rows)]) for n in range(first, min(first + BATCH, self.sent + number))]
                await publisher.publish([outgoing(ITEMS, item, source="tests/bench") for item in items])
        self.sent += number

    async def rest(self) -> None:
        await until_rest(self.stack.urls, self._done, within_s=REST_S)

    async def _done(self) -> bool:
        return not await self._count(OPEN) and await self._count(KNOWN) == self.sent

    async def _count(self, query: str) -> int:
        async with _connection(self.databases[ASSIGNMENT]) as connection:
            return int(await connection.fetchval(query))

    async def use(self) -> Use:
        """Read all meters."""
        kafka = self.stack.broker
        pids = {name: self.stack.services[name].pid for name in SERVICES}
        pids |= {f"postgres {role}": server.pid for role, server in self.databases.items()}
        pids["kafka"] = getattr(kafka, "pid", 0)
        cpu = {name: await asyncio.to_thread(cpu_s, pid) for name, pid in pids.items()}
        databases = {role: await database_use(server.admin_url(), role) for role, server in self.databases.items()}
        logs = next((self.directory / "kafka").rglob("meta.properties")).parent
        return Use(time.monotonic(), cpu, databases, dict(log_bytes(logs, [topic.name for topic in TOPICS])))

    async def answer(self) -> int:
        """People answer everything that is open; returns the number of answers."""
        async with Api(self.stack.urls[ASSIGNMENT], self.token) as admin:
            wanted = [{"id": f"w{n}", "role": "annotator", "projects": [PROJECT]} for n in range(PEOPLE)]
            added = await admin.post("/v1/annotators", {"annotators": wanted})
        working = [asyncio.create_task(self._work(one["token"])) for one in added["results"]]
        await self.rest()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        return await self._count("SELECT count(*) FROM assignment.leases WHERE state = 'answered'")

    async def _work(self, token: str) -> None:
        async with Api(self.stack.urls[ASSIGNMENT], token) as api:
            while True:
                tasks = (await api.post("/v1/next", {"count": TAKEN}))["tasks"]
                said = [
                    {"lease_id": task["lease_id"], "value": {"kind": "choice", "choice": _truth(task)}}
                    for task in tasks
                ]
                if said:
                    await api.post("/v1/submit", {"submissions": said})
                else:
                    await asyncio.sleep(0.2)


def _connection(server: Postgres) -> Any:
    from cli.stack.postgres import _Session  # noqa: PLC0415  # the same short connection

    return _Session(server.admin_url())


def _truth(task: dict[str, Any]) -> str:
    return truth_of(task["content"]["features"][0])


def _item(number: int, row: int) -> Item:
    """Ids in no order, as most producers' are: the worst for an index."""
    name = f"{(number * 2654435761) % 2**32:08x}-{number}"
    content = FeaturesContent(features=(row + (number % FRACTIONS + 1) / FRACTIONS / 2,))
    return Item(project_id=PROJECT, item_id=name, content=content, created_at=START)


def cost(before: Use, after: Use, idle: dict[str, float], units: int) -> Cost:
    """What each unit has cost between two readings; `idle` is CPU seconds per second of each process at rest."""
    seconds = after.at - before.at
    databases = {}
    for role, now in after.databases.items():
        then = before.databases[role]
        databases[role] = {
            "wal_bytes": (now.wal_bytes - then.wal_bytes) / units,
            "wal_images": (now.wal_images - then.wal_images) / units,
            "commits": (now.commits - then.commits) / units,
            "tables": {
                name: {
                    "bytes": (table.bytes - then.tables[name].bytes) / units,
                    "inserted": (table.inserted - then.tables[name].inserted) / units,
                    "updated": (table.updated - then.tables[name].updated) / units,
                    "deleted": (table.deleted - then.tables[name].deleted) / units,
                }
                for name, table in now.tables.items()
            },
        }
    return Cost(
        units=units,
        seconds=seconds,
        cpu_us={
            name: max(0.0, used - before.cpu[name] - idle[name] * seconds) / units * 1e6
            for name, used in after.cpu.items()
        },
        log_bytes={topic: (size - before.log.get(topic, 0)) / units for topic, size in after.log.items()},
        databases=databases,
    )


async def measure(items: int, asked: int, directory: Path) -> dict[str, Any]:
    """Costs per item of the auto path and per answer of people, in one deployment."""
    async with Deployment(directory) as one:
        await one.send(BATCH, sure=True)  # caches, plans, connections
        await one.rest()
        first = await one.use()
        await asyncio.sleep(IDLE_S)
        second = await one.use()
        idle = {name: (used - first.cpu[name]) / (second.at - first.at) for name, used in second.cpu.items()}
        await one.send(items, sure=True)
        await one.rest()
        third = await one.use()
        await one.send(asked, sure=False)
        answers = await one.answer()
        fourth = await one.use()
        relay = await relay_speed(one.stack.kafka, one.databases[QC].admin_url())
        memory = {name: round(resident_mb(process.pid)) for name, process in one.stack.services.items()}
    return {
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "idle_cpu_share": {name: round(share, 4) for name, share in idle.items()},
        "memory_mb": memory,
        "relay": relay,
        "answers_per_item": answers / asked,
        "auto": asdict(cost(second, third, idle, items)),
        "people": asdict(cost(third, fourth, idle, asked)),
    }


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="What one item costs, and what that means at 10,000 and 100,000/s.")
    parser.add_argument("--items", type=int, default=20_000, help="that the model is sure of")
    parser.add_argument("--asked", type=int, default=1_000, help="that people answer")
    parser.add_argument("--report", action="store_true", help="only print the report of the last measurement")
    chosen = parser.parse_args()
    if not chosen.report:
        directory = Path(tempfile.mkdtemp(prefix="capacity-labelstream-"))
        directory.chmod(0o755)
        measured = asyncio.run(measure(chosen.items, chosen.asked, directory))
        BUILD.parent.mkdir(exist_ok=True)
        BUILD.write_text(json.dumps(measured, indent=1) + "\n")
    print(report(json.loads(BUILD.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
