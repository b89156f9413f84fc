"""Items to labels on the auto path, through all four services, with broker and database on the same machine.

`python -m tests.bench.auto_path [ITEMS]` prints it beside the same hops by bare aiokafka processes (`chain`), and what
each process spent.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaConsumer

from cli.model import promote_model, register_model
from cli.project.commands import apply_spec
from cli.stack.embedded import Stack, StackOptions
from cli.stack.kafka import Kafka
from shared.bus.client import make_reader
from shared.bus.publisher import Publisher
from shared.bus.reader import _partitions
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.events import AutoAccept, FeaturesContent, Item, Policy, ProjectSpec
from shared.labels import ChoiceSchema
from shared.topics import ASSIGNMENT, ITEMS, LABELS, MONITOR, PREDICTIONS, QC
from tests.bench import chain
from tests.bench.cpu import Meter
from tests.support.onnx_models import IRIS, iris

PROJECT = "bench"
CHUNK = 500
WITHIN_S = 180.0
SPEC = ProjectSpec(
    project=PROJECT,
    data="features",
    label=ChoiceSchema(classes=IRIS),
    policy=Policy(auto_accept=AutoAccept(threshold=0.0, audit_share=0.0)),
)
READERS = (
    (ASSIGNMENT, ITEMS), (ASSIGNMENT, PREDICTIONS), (MONITOR, ITEMS), (MONITOR, PREDICTIONS), (MONITOR, LABELS),
    (ASSIGNMENT, LABELS), (QC, LABELS),
)  # fmt: skip
"""Whoever reads the auto path with offsets in PostgreSQL."""


def items(start: int, end: int) -> list[Item]:
    """Different items of four numbers each."""
    now = utc_now()
    return [
        Item(
            project_id=PROJECT,
            item_id=f"item-{n:09d}",
            content=FeaturesContent(features=(5.1, 3.5, 1.4, float(n % 7) / 10)),
            created_at=now,
        )
        for n in range(start, end)
    ]


async def prepare(stack: Stack, models: Path) -> None:
    """Apply the project and promote its model."""
    trained = iris()
    await apply_spec(stack.kafka, SPEC, now=utc_now())
    await register_model(stack.kafka, PROJECT, trained.content, trained.manifest, directory=models, version="v1")
    await promote_model(stack.kafka, PROJECT, "v1")


async def _until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await reached():  # noqa: ASYNC110  # what is awaited is in other processes
            await asyncio.sleep(0.02)


class Watch:
    """Where the stream of a stack is: labels in their topic, and what each reader has finished."""

    def __init__(self, stack: Stack, reader: AIOKafkaConsumer, database: asyncpg.Connection) -> None:
        self._kafka = stack.kafka
        self._reader = reader
        self._database = database

    async def labels(self) -> int:
        """Records in `labels.v1`."""
        places = await _partitions(self._reader, self._kafka.physical(LABELS.name))
        return sum((await self._reader.end_offsets(places)).values())

    async def done(self) -> int:
        """Records that the slowest reader of the path has finished."""
        counts = [
            await self._database.fetchval(
                f"SELECT coalesce(sum(next_offset), 0)::bigint FROM {service}.consumer_offsets WHERE topic = $1",  # noqa: S608
                topic.name,
            )
            for service, topic in READERS
        ]
        return int(min(counts))

    async def wal_bytes(self) -> int:
        """Bytes of write-ahead log so far."""
        return int(await self._database.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def meter_of(stack: Stack) -> Meter:
    """Of every process of a stack."""
    processes = {name: service.pid for name, service in stack.services.items()}
    if isinstance(stack.broker, Kafka) and stack.broker._child is not None:
        processes["kafka"] = stack.broker._child.pid
    return Meter(processes, None if stack.postgres is None else stack.postgres.pid)


async def measure(stack: Stack, number: int) -> dict[str, float]:
    """Send `number` new items and wait for what comes of them. The project is applied, its model is live.

    Returns:
        auto_items_per_second: from the first item sent to the last label published;
        auto_settled_items_per_second: until every service has finished with all of them;
        auto_wal_bytes_per_item; and per process `cpu_us <name>`, microseconds of CPU per item until then.
    """
    if stack.postgres is None:
        raise ValueError("the stack's own PostgreSQL is needed, for its log position")
    reader = make_reader(stack.kafka)
    database = await asyncpg.connect(stack.postgres.admin_url())
    await reader.start()
    try:
        watch, meter = Watch(stack, reader, database), meter_of(stack)
        before, wal = await watch.labels(), await watch.wal_bytes()
        goal = before + number
        records = [outgoing(ITEMS, one, source="bench") for one in items(before, goal)]
        async with Publisher(stack.kafka) as publisher:
            meter.start()
            started = time.perf_counter()
            for start in range(0, number, CHUNK):
                await publisher.publish(records[start : start + CHUNK])

        async def labelled() -> bool:
            return await watch.labels() >= goal

        async def settled() -> bool:
            return await watch.done() >= goal

        await _until(labelled)
        to_labels = time.perf_counter() - started
        await _until(settled)
        to_rest = time.perf_counter() - started
        spent = meter.read(number)
        return {
            "auto_items_per_second": number / to_labels,
            "auto_settled_items_per_second": number / to_rest,
            "auto_wal_bytes_per_item": (await watch.wal_bytes() - wal) / number,
            **{f"cpu_us {name}": us for name, us in spent.items()},
        }
    finally:
        await reader.stop()
        await database.close()


async def beside_chain(number: int) -> dict[str, float]:
    """Both on one fresh stack: first the auto path, then, its services ended, the bare chain on the same broker."""
    with tempfile.TemporaryDirectory() as directory:
        models = Path(directory) / "models"
        async with Stack(StackOptions(broker="kafka", model_dir=models)) as stack:
            await prepare(stack, models)
            await measure(stack, 2_000)
            found = await measure(stack, number)
            await stack.drain()
            found |= await chain.measure(stack.kafka, number)
    found["auto_ratio"] = found["auto_items_per_second"] / found["chain_items_per_second"]
    return found


def show(found: Mapping[str, float]) -> None:
    """One figure a line."""
    for name, value in found.items():
        print(f"{name:36} {value:10,.2f}" if value < 10 else f"{name:36} {value:10,.0f}")
    total = sum(value for name, value in found.items() if name.startswith("cpu_us"))
    print(f"{'cpu_us in all':36} {total:10,.0f}")


if __name__ == "__main__":
    show(asyncio.run(beside_chain(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)))
