"""What things cost: statements per batch, and the queue at 100,000 open rounds."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from services.assignment.store.offers import Shape, statement_for
from services.assignment.store.rounds import BEGUN_FIRST, UNTOUCHED
from shared import events as ev
from shared.topics import ITEMS, LABELS, PREDICTIONS
from tests.support import events as make
from tests.support.assignment import Replica
from tests.support.wal import wal_of

NOT_OURS = re.compile(
    r"\s*(BEGIN|COMMIT|ROLLBACK|SELECT pg_advisory_unlock|WITH RECURSIVE typeinfo|SELECT\s+current_setting)"
)
ABOUT_TYPES = re.compile(r"\s*(WITH RECURSIVE typeinfo|SELECT\s+current_setting)")
WAL_PER_ITEM = 1_700
"""1,385 measured; a vacuum of the server that falls into the test adds to it."""
CHOICE = {"kind": "choice", "choice": "positive"}


@asynccontextmanager
async def counted(replica: Replica, apart: re.Pattern[str] = NOT_OURS) -> AsyncGenerator[list[str]]:
    """The statements of every pooled connection, transaction control apart."""
    said: list[str] = []

    def note(record: Any) -> None:
        # Transaction control, and what asyncpg asks about types once per connection, are not ours.
        if apart.match(record.query) is None:
            said.append(record.query)

    pool = replica.service.database.pool
    connections = [await pool.acquire() for _ in range(pool.get_size())]
    for connection in connections:
        connection._con.add_query_logger(note)
        await pool.release(connection)
    yield said
    await asyncio.sleep(0)


@pytest.mark.parametrize("number", [10, 500])
async def test_a_batch_costs_a_fixed_number_of_statements(replica: Replica, number: int) -> None:
    policy = make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.0))
    replica.project(make.project_spec(policy=policy))
    await replica.seed(1)
    names = [f"x{n}" for n in range(number)]
    async with counted(replica) as said:
        await replica.handle(ITEMS, *(make.item(name) for name in names))
        assert len(said) == 1, said
        said.clear()
        await replica.handle(PREDICTIONS, *(make.prediction(name, confidence=0.95) for name in names))
        assert len(said) == 3, said  # select, update, outbox
        said.clear()
        labels = [make.auto_label(name) for name in names]
        await replica.handle(LABELS, *labels)
        assert said == []


async def test_an_accepted_item_costs_little_log(replica: Replica) -> None:
    """Bytes of write-ahead log per item: its row, its prediction, its label in the outbox, and that gone again."""
    policy = make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.0))
    replica.project(make.project_spec(policy=policy))
    await replica.seed(1)
    names = [f"item-{n:09}" for n in range(500)]
    await replica.sql("DELETE FROM outbox")
    async with replica.service.database.pool.acquire() as watching, wal_of(watching) as wal:
        await replica.handle(ITEMS, *(make.item(name, text=f"some words about {name}") for name in names))
        await replica.handle(PREDICTIONS, *(make.prediction(name, confidence=0.95) for name in names))
        await replica.sql("DELETE FROM outbox")
    assert wal.written / len(names) <= WAL_PER_ITEM, wal.written / len(names)


@pytest.mark.parametrize("number", [10, 500])
async def test_a_batch_for_people_costs_one_statement_more(replica: Replica, number: int) -> None:
    await replica.seed(1)
    async with counted(replica) as said:
        await replica.seed(number, first=10)
        assert len(said) == 1 + 4, said  # insert; select, update, insert rounds, outbox


async def test_recorded_answers_in_bulk_cost_a_handful_of_statements(replica: Replica) -> None:
    replica.project(make.project_spec(policy=make.policy(auto_accept=None, overlap=ev.Overlap(min=3, max=3))))
    await replica.seed(300)
    people = [{"id": f"w{n}", "token": False} for n in range(3)]
    async with replica.client() as lead:
        await lead.post("/v1/annotators", json={"annotators": people})
        base = f"/v1/projects/{make.PROJECT}"
        async with counted(replica) as said:
            slots = (await lead.post(f"{base}/slots", json={"limit": 1000})).json()["slots"]
            assert (len(slots), {slot["free"] for slot in slots}) == (300, {3})
            asked = [{"item_id": slot["item_id"], "annotator_id": who["id"]} for slot in slots for who in people]
            assigned = (await lead.post(f"{base}/assign", json={"assignments": asked})).json()["results"]
            assert all(result["lease_id"] for result in assigned)
            answers = [
                {"lease_id": result["lease_id"], "annotator_id": result["annotator_id"], "value": CHOICE}
                for result in assigned
            ]
            results = (await lead.post("/v1/submit", json={"submissions": answers})).json()["results"]
            assert all(result["receipt"] for result in results)
            assert len(said) <= 1 + 5 + 4, said
    rows = await replica.sql("SELECT DISTINCT answered, active, free FROM rounds")
    assert [tuple(row) for row in rows] == [(3, 0, 0)]


@pytest.mark.timeout(120)
async def test_next_reads_the_queue_by_its_index_however_long_it_is(replica: Replica) -> None:
    await replica.seed(1)
    await replica.sql(
        "INSERT INTO rounds (project_id, item_id, number, audience, wanted, waiting_since, step, reason, priority,"
        " project_version, guideline_version, granted)"
        " SELECT $1, 'b' || n, 1, CASE WHEN n % 10 = 0 THEN 'annotator:de|' ELSE 'annotator' END, 2,"
        " now(), 1, '', random(), 1, 0, (n % 100 = 0)::int"
        " FROM generate_series(1, 100000) AS n",
        make.PROJECT,
    )
    await replica.sql("ANALYZE rounds")
    person = (make.PROJECT, "annotator", "ann")
    await replica.sql("INSERT INTO cycles VALUES ($1, 1, 0, now())", make.PROJECT)
    match = (["annotator", "annotator:de|", "annotator:fr|"], ["positive"], [0.1])
    one: tuple[Any, ...] = ([uuid4()], 200, 300.0, b"", [], [])
    many: tuple[Any, ...] = ([uuid4() for _ in range(50)], *one[1:])
    for statement, arguments, most in (
        (UNTOUCHED.format(limit=1), person, 500),
        (BEGUN_FIRST.format(limit=1), person, 500),
        (statement_for(Shape(1)), (*person, *one), 500),
        (statement_for(Shape(50)), (*person, *many), 5_000),
        (statement_for(Shape(1, budgeted=True)), (*person, *one, 100), 500),
        (statement_for(Shape(1, matched=True)), (*person, *one, *match), 1_000),
        (statement_for(Shape(50, budgeted=True, matched=True)), (*person, *many, 100, *match), 8_000),
    ):
        for _ in range(7):  # past the point where PostgreSQL takes a generic plan
            rows = await replica.sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) {statement}", *arguments)
        plan = "\n".join(row[0] for row in rows)
        assert "rounds_queue" in plan, plan
        assert "Seq Scan on rounds" not in plan, plan
        buffers = plan.split("Buffers: shared hit=")[1].split()[0]
        assert int(buffers) < most, plan


async def test_next_never_reads_all_leases_of_a_person(replica: Replica) -> None:
    """Also while the statistics of a young table mislead the planner."""
    await replica.seed(50)
    await replica.sql("ANALYZE")
    await replica.sql(
        "INSERT INTO leases (id, project_id, item_id, round, gold, annotator_id, role, state, blind, expires_at)"
        " SELECT gen_random_uuid(), $1, 'x' || n, 1, false, 'ann', 'annotator', 'answered', false, now()"
        " FROM generate_series(1, 5000) AS n",
        make.PROJECT,
    )
    rows = await replica.sql(
        f"EXPLAIN (ANALYZE, BUFFERS) {UNTOUCHED.format(limit=1)}", make.PROJECT, "annotator", "ann"
    )
    plan = "\n".join(row[0] for row in rows)
    assert "SubPlan" in plan, plan
    assert "actual rows=5000" not in plan
    assert int(plan.split("Buffers: shared hit=")[1].split()[0]) < 100, plan


async def test_next_is_one_round_trip_and_submit_two(replica: Replica) -> None:
    """Neither begins a transaction."""
    replica.project(make.project_spec(policy=make.policy(auto_accept=None, gold=ev.GoldPolicy(share=0.0))))
    await replica.seed(20)
    ann = await replica.person("ann")
    async with counted(replica, ABOUT_TYPES) as said:
        task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
        tokens = [query for query in said if "token_hash" in query]
        assert len(said) - len(tokens) == 1, said
        said.clear()
        answer = await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
        assert answer.status_code == 200
        tokens = [query for query in said if "token_hash" in query]
        assert len(said) - len(tokens) == 2, said  # read; record, audit log and outbox


async def test_answers_that_come_at_once_share_their_statements(replica: Replica) -> None:
    await replica.seed(30)
    ann = await replica.person("ann")
    tasks = (await ann.post("/v1/next", json={"count": 30})).json()["tasks"]
    async with counted(replica) as said:
        calls = [
            ann.post(f"/v1/leases/{t['lease_id']}/submit", json={"value": CHOICE}, headers={"idempotency-key": f"k{n}"})
            for n, t in enumerate(tasks)
        ]
        answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}
    statements = [query for query in said if "token_hash" not in query]
    assert len(statements) < 30, f"{len(statements)} statements for 30 answers; each alone would take 120"
