"""`labelstream audit` as an operator runs it: silent on a deployment at rest, and loud about what was planted in it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from shared.bus.client import make_admin
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.events import Label
from shared.labels import Choice
from shared.topics import ITEMS, LABELS
from tests.e2e.world import state, totals
from tests.e2e.world.plan import CLASSES
from tests.e2e.world.proof import INVARIANTS, examine, prove
from tests.e2e.world.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
TO_THE_END = -1
"""Of a partition, as Kafka says it."""


async def audited(world: World) -> tuple[int, dict[str, Any]]:
    """Exit code and the object that `labelstream audit --at-rest --json` prints."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LABELSTREAM_")},
        **world.stack.environment,
        **{f"LABELSTREAM_{name.upper()}_DATABASE_URL": url for name, url in world.stack.database_urls.items()},
        **{f"LABELSTREAM_{name.upper()}_DATABASE_ALLOW_INSECURE": "true" for name in world.stack.database_urls},
    }
    command = [sys.executable, "-m", "cli", "audit", "--at-rest", "--json"]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


async def test_what_is_planted_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is deleted, a label is said twice, an answer is counted twice, the dead letters are dropped; and more."""
    async with world.load():
        await asyncio.sleep(3)
        await world.promote()
        await asyncio.sleep(1)
    labels = (await prove(world)).topics.labels
    code, found = await audited(world)
    assert (code, found["violations"], found["by_check"]) == (0, 0, {})
    assert found["items"] == found["labelled"] + found["unresolved"] + found["unlabelable"] + found["dead_lettered"]

    world.broken = True  # nobody else is to use it
    lost, twice, counted = await lose_an_item(world), await label_again(world, labels), await count_again(world)
    await drop_letters(world)
    code, found = await audited(world)
    assert code == 1
    wanted = {"lost_item": lost, "double_label": twice, "opinion_counted_twice": counted, "missing_dead_letter": None}
    assert wanted.keys() <= found["by_check"].keys()
    told = {(one["check"], one["item"]): one for one in found["found"]}
    for check, item in wanted.items():
        assert item is None or any("items.v1/" in line for line in told[check, item]["history"])
    monkeypatch.setattr(state, "LOOKS", 1)
    monkeypatch.setattr(totals, "SHOWN_WITHIN_S", 0.0)
    await every_invariant_is_watched(world)


async def every_invariant_is_watched(world: World) -> None:
    """One violation of each is planted, in databases, topics and the ledger; each is seen."""
    for planted in PLANTED:
        assert await as_superuser(world, planted), planted
    await as_superuser(world, "ALTER TABLE assignment.request_log DISABLE TRIGGER USER")
    world.ledger.receipts.popitem()
    world.ledger.promotions.pop(0)
    proof = await examine(world, replayed=True)
    found = {one.invariant for one in proof.findings}
    assert found == INVARIANTS.keys()
    assert proof.by_check.keys() >= WATCHED


WATCHED = {
    "item unknown", "lost_item", "states differ", "answer without receipt", "wrong count of a person", "wrong_counter",
    "answer_after_lease", "decision not published", "poison without letter", "missing_dead_letter", "unpromoted model",
    "offset behind", "not rebuilt", "metric differs", "log changed",
}  # fmt: skip
PLANTED = (
    (
        "UPDATE assignment.items SET standing = 'unlabelable' WHERE item_id = (SELECT max(item_id)"
        " FROM assignment.items WHERE standing = 'labelled') RETURNING 1"
    ),
    "UPDATE qc.annotators SET given = given + 1 WHERE annotator_id = 'ada' RETURNING 1",
    (
        "UPDATE assignment.leases SET ended_at = expires_at + interval '1 s' WHERE token ="
        " (SELECT max(token) FROM assignment.leases WHERE state = 'answered' AND NOT late) RETURNING 1"
    ),
    "UPDATE assignment.rounds SET step = step + 1 WHERE id = (SELECT max(id) FROM assignment.rounds) RETURNING 1",
    "UPDATE monitor.counters SET n = n + 1 WHERE kind = 'labels' RETURNING 1",
    "UPDATE monitor.consumer_offsets SET next_offset = next_offset + 1000 WHERE topic = 'routes.v1' RETURNING 1",
)


async def lose_an_item(world: World) -> str:
    (row,) = await as_superuser(
        world, "DELETE FROM assignment.items WHERE standing = 'labelled' AND item_id = (SELECT min(item_id) FROM"
        " assignment.items WHERE standing = 'labelled') RETURNING item_id",
    )  # fmt: skip
    return str(row["item_id"])


async def label_again(world: World, labels: Sequence[Label]) -> str:
    """The same version of a label with another value."""
    last = max(labels, key=lambda label: label.item_id)
    assert isinstance(last.value, Choice)
    other = next(name for name in CLASSES if name != last.value.choice)
    changed = last.model_copy(update={"value": Choice(choice=other)})
    async with Publisher(world.stack.kafka) as publisher:
        await publisher.publish([outgoing(LABELS, changed, source="tests/e2e")])
    return last.item_id


async def count_again(world: World) -> str:
    (row,) = await as_superuser(
        world, "UPDATE assignment.rounds SET answered = answered + 1 WHERE id = (SELECT max(id) FROM assignment.rounds"
        " WHERE answered > 0) RETURNING item_id",
    )  # fmt: skip
    return str(row["item_id"])


async def drop_letters(world: World) -> None:
    """The dead letters of items.v1 go, as if never written: the oldest alone need not be of a record that is bad."""
    kafka = world.stack.kafka
    admin = make_admin(kafka)
    await admin.start()
    try:
        place = TopicPartition(kafka.physical(ITEMS.dlq), 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=TO_THE_END)})
    finally:
        await admin.close()


async def as_superuser(world: World, statement: str) -> list[Any]:
    connection = await asyncpg.connect(world.postgres.admin_url(), timeout=10)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()
