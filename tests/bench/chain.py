"""The ceiling: the hops of the auto path by bare aiokafka processes, JSON and headers but no database.

`python -m tests.bench.chain STAGE BOOTSTRAP PREFIX ITEMS` runs one stage; `measure` runs all of them.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.bus.admin import create_topics
from shared.runtime.settings import KafkaSettings

BATCH = 500
HEADERS = [
    ("ce_specversion", b"1.0"),
    ("ce_type", b"labelstream.item.v1"),
    ("ce_source", b"bench"),
    ("ce_time", b"2026-01-01T00:00:00+00:00"),
    ("content-type", b"application/json"),
    ("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
]
ITEMS, PREDICTIONS, LABELS = "items.v1", "predictions.v1", "labels.v1"
Make = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Stage:
    """A process: what it reads, what it makes of each record of `trigger`, and where that goes."""

    reads: tuple[str, ...]
    trigger: str = ""
    writes: str = ""
    make: Make = dict


def item(number: int) -> dict[str, Any]:
    """One item of the auto path, 200 to 250 bytes."""
    return {
        "project_id": "bench",
        "item_id": f"item-{number:09d}",
        "content": {"kind": "features", "features": [0.1, 0.2, 0.3, float(number % 7)]},
        "created_at": "2026-01-01T00:00:00Z",
    }


def prediction(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "project_id": body["project_id"],
        "item_id": body["item_id"],
        "value": {"kind": "choice", "choice": "a"},
        "distribution": {"a": 0.97, "b": 0.02, "c": 0.01},
        "confidence": 0.97,
        "margin": 0.95,
        "entropy": 0.15,
        "model_version": "m1",
        "generation": 1,
        "item_created_at": body["created_at"],
        "predicted_at": "2026-01-01T00:00:00Z",
    }


def label(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "project_id": body["project_id"],
        "item_id": body["item_id"],
        "version": 1,
        "value": body["value"],
        "path": "auto",
        "evidence": {"proposal": {"value": body["value"], "confidence": 0.97, "model_version": "m1"}},
        "item_created_at": body["item_created_at"],
        "labelled_at": "2026-01-01T00:00:00Z",
    }


STAGES = {
    "prelabel": Stage((ITEMS,), ITEMS, PREDICTIONS, prediction),
    "assignment": Stage((ITEMS, PREDICTIONS), PREDICTIONS, LABELS, label),
    "monitor": Stage((PREDICTIONS, LABELS)),
}


async def send_all(producer: AIOKafkaProducer, topic: str, bodies: Iterable[dict[str, Any]]) -> None:
    """Publish and wait for every acknowledgement."""
    waiting = []
    for body in bodies:
        headers = [("ce_id", str(uuid4()).encode()), *HEADERS]
        key = f"{body['project_id']}/{body['item_id']}".encode()
        waiting.append(await producer.send(topic, json.dumps(body).encode(), key=key, headers=headers))
    for sent in waiting:
        await sent


async def run_stage(name: str, bootstrap: str, prefix: str, number: int) -> None:
    """Until every topic it reads has given `number` records."""
    stage = STAGES[name]
    topics = [prefix + topic for topic in stage.reads]
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=262_144
    )
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, group_id=prefix + name, enable_auto_commit=False,
        auto_offset_reset="earliest", max_partition_fetch_bytes=4 * 1_048_576,
    )  # fmt: skip
    await producer.start()
    await consumer.start()
    print("ready", flush=True)
    seen = 0
    try:
        while seen < number * len(topics):
            chunk = await consumer.getmany(timeout_ms=100, max_records=BATCH)
            made = []
            for place, records in chunk.items():
                seen += len(records)
                bodies = [json.loads(record.value) for record in records]
                if place.topic == prefix + stage.trigger:
                    made += [stage.make(body) for body in bodies]
            await send_all(producer, prefix + stage.writes, made)
            if chunk:
                await consumer.commit()
    finally:
        await consumer.stop()
        await producer.stop()


async def measure(kafka: KafkaSettings, number: int, *, partitions: int = 4) -> dict[str, float]:
    """chain_items_per_second: from the first item sent until every stage has read all it reads."""
    prefix = f"{kafka.prefix}chain-{uuid4().hex[:8]}."
    await create_topics(kafka.model_copy(update={"prefix": prefix}), partitions=partitions)
    return {"chain_items_per_second": await run_chain(kafka.bootstrap, prefix, number)}


async def run_chain(bootstrap: str, prefix: str, number: int) -> float:
    """Items per second from the first item sent to the last label read. The topics exist already."""
    stages = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.chain", name, bootstrap, prefix, str(number),
            stdout=asyncio.subprocess.PIPE,
        )
        for name in STAGES
    ]  # fmt: skip
    try:
        for stage in stages:
            if stage.stdout is not None:
                await asyncio.wait_for(stage.stdout.readline(), 30)
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=262_144
        )
        await producer.start()
        started = time.perf_counter()
        for start in range(0, number, BATCH):
            await send_all(producer, prefix + ITEMS, (item(n) for n in range(start, min(start + BATCH, number))))
        await producer.stop()
        for stage in stages:
            await asyncio.wait_for(stage.wait(), 300)
        return number / (time.perf_counter() - started)
    finally:
        for stage in stages:
            if stage.returncode is None:
                stage.kill()
                await stage.wait()


if __name__ == "__main__":
    asyncio.run(run_stage(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
