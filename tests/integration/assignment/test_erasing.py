"""Forgetting items and people: nothing of them stays, whatever comes in whatever order, and every count still holds."""

import random
from typing import Any

import asyncpg
import pytest

from services.assignment.domain.annotations import given_id
from shared import events as ev
from shared.topics import ANNOTATIONS, ERASURES, ESCALATIONS, ITEMS, LABELS, PREDICTIONS, QUALITY, RELABELS, ROUTES
from tests.support import events as make
from tests.support.assignment import Replica

SECRET = "the words that must go"
VALUE = {"kind": "choice", "choice": "positive"}
DATA = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'assignment'"


async def everything(replica: Replica) -> str:
    """Every row of every table as text, the list of erasures apart."""
    rows = []
    for (table,) in await replica.sql(f"{DATA} AND c.relkind = 'r' AND c.relname <> 'erasures' ORDER BY 1"):
        found = await replica.sql(f"SELECT t::text FROM {table} AS t")  # noqa: S608  # our own tables
        rows += [row[0] for row in found]
    return "\n".join(rows)


async def state(replica: Replica) -> dict[str, list[Any]]:
    """What the tables say of the items, without times and generated numbers."""
    counted = "SELECT name, sum(delta)::int FROM tallies WHERE name <> 'duplicates' GROUP BY 1 HAVING sum(delta) <> 0"
    queries = {
        "items": "SELECT item_id, standing, round, ending, label_version, content_hash, content, guess IS NULL,"
        " relabels FROM items ORDER BY 1",
        "rounds": "SELECT item_id, number, wanted, answered, ended FROM rounds WHERE item_id = 'gone'",
        "leases": "SELECT item_id, state FROM leases WHERE item_id = 'gone'",
        "tallies": f"{counted} ORDER BY 1",
    }
    return {name: [tuple(row) for row in await replica.sql(query)] for name, query in queries.items()}


async def test_an_erased_item_leaves_nothing_but_its_id(replica: Replica) -> None:
    replica.project(make.project_spec(policy=make.policy(auto_accept=None, overlap=ev.Overlap(min=2, max=3))))
    ann = await replica.person("ann")
    bob = await replica.person("bob")
    await replica.handle(ITEMS, make.item("gone", text=SECRET), make.item("kept", text="something else"))
    await replica.handle(PREDICTIONS, make.prediction("gone", confidence=0.5), make.prediction("kept", confidence=0.4))
    (task,) = (await ann.post("/v1/next", json={"count": 1})).json()["tasks"]
    (held,) = (await bob.post("/v1/next", json={"count": 1})).json()["tasks"]
    assert task["content"]["text"] == held["content"]["text"]
    gone = "gone" if task["content"]["text"] == SECRET else "kept"
    answer = {"submissions": [{"lease_id": task["lease_id"], "value": VALUE}]}
    assert (await ann.post("/v1/submit", json=answer)).json()["results"][0]["receipt"]
    assert len(await replica.published(ANNOTATIONS)) == 1

    await replica.handle(ERASURES, make.erasure(gone))
    assert task["content"]["text"] not in await everything(replica)
    assert gone not in [event.item_id for event in await replica.published()]
    rows = await replica.sql("SELECT standing, content, guess, created_at FROM items WHERE item_id = $1", gone)
    assert [tuple(row) for row in rows] == [("erased", None, None, None)]
    (noted,) = await replica.sql("SELECT removed::text FROM erasures")
    assert noted[0] == '{"leases": 2, "outbox": 2, "rounds": 1, "contents": 1}'
    late = (await bob.post("/v1/submit", json={"submissions": [{"lease_id": held["lease_id"], "value": VALUE}]})).json()
    assert late["results"][0]["problem"]["code"] == "lease_unknown"
    (other,) = (await bob.post("/v1/next", json={"count": 9})).json()["tasks"]
    assert other["content"]["text"] != task["content"]["text"]


STREAM: tuple[tuple[Any, list[Any]], ...] = (
    (ITEMS, [make.item("gone", text=SECRET), make.item("gone", text=SECRET), make.item("kept")]),
    (PREDICTIONS, [make.prediction("gone", confidence=0.5), make.prediction("kept", confidence=0.5)]),
    (LABELS, [make.label("gone"), make.label("kept")]),
    (ESCALATIONS, [make.escalation("gone", ask=ev.Ask.EXPERT)]),
    (RELABELS, [make.relabel("gone", excluded_annotators=("ann",))]),
    (ERASURES, [make.erasure("gone")]),
)


@pytest.mark.parametrize("seed", range(12))
async def test_facts_converge_wherever_the_erasure_comes(replica: Replica, seed: int) -> None:
    """Each topic in its order, topics mixed, everything once more at the end: as after a rebuild."""
    dice = random.Random(seed)
    left = [(topic, list(events)) for topic, events in STREAM]
    while left:
        topic, events = dice.choice(left)
        await replica.handle(topic, events.pop(0))
        left = [(topic, events) for topic, events in left if events]
    for topic, events in dice.sample(STREAM, len(STREAM)):
        await replica.handle(topic, *events)
    found = await state(replica)
    assert found["items"][0] == ("gone", "erased", 0, 6, 0, "erased", None, True, None)
    assert found["rounds"] == found["leases"] == []
    assert found["tallies"] == [("erased", 1), ("labelled", 1)]
    duplicates = await replica.sql("SELECT sum(delta)::int FROM tallies WHERE name = 'duplicates'")
    assert duplicates[0][0] == 1 + 3  # "gone" came four times and "kept" twice
    assert SECRET not in await everything(replica)
    assert replica.refused == []


async def test_other_content_under_an_erased_id_is_a_repeat_and_not_kept(replica: Replica) -> None:
    await replica.handle(ITEMS, make.item("gone"))
    await replica.handle(ERASURES, make.erasure("gone"))
    await replica.handle(ITEMS, make.item("gone", text=SECRET))
    assert replica.refused == []
    assert SECRET not in await everything(replica)


async def test_a_rebuilt_database_reads_erasures_first(replica: Replica) -> None:
    await replica.rebuild(ERASURES, make.erasure("gone"), make.erasure(subject="annotator", annotator_id="ann"))
    gone, kept = (make.annotation(item, by="ann", annotation_id=given_id(make.PROJECT, item, "ann", gold=False))
                  for item in ("gone", "kept"))  # fmt: skip
    await replica.rebuild(ROUTES, make.route("gone"), make.route("kept"))
    await replica.rebuild(ANNOTATIONS, gone, kept)
    await replica.rebuild(ANNOTATIONS, kept)
    rows = await replica.sql("SELECT item_id, annotator_id FROM leases")
    assert [tuple(row) for row in rows] == [("kept", f"erased#{kept.annotation_id}")]
    assert '"gone"' not in await everything(replica)
    (answered,) = await replica.sql("SELECT answered FROM rounds WHERE item_id = 'kept'")
    assert answered[0] == 1


async def a_person(replica: Replica) -> Any:
    """ann has answered one item, holds another, is excluded from a third, and has refused requests in the log."""
    ann = await replica.person("ann")
    await replica.seed(3)
    tasks = (await ann.post("/v1/next", json={"count": 2})).json()["tasks"]
    answer = {"submissions": [{"lease_id": tasks[0]["lease_id"], "value": VALUE}]}
    await ann.post("/v1/submit", json=answer, headers={"idempotency-key": "k1"})
    await replica.handle(LABELS, make.label("i000002"))
    await replica.handle(RELABELS, make.relabel("i000002", excluded_annotators=("ann",)))
    await replica.handle(QUALITY, make.quality(ev.Quarantine(annotator_id="ann", active=True, reason="spam")))
    await ann.post("/v1/submit", json={"submissions": [{"lease_id": str(make.uid("x")), "value": VALUE}]})
    await replica.housekeeping.flush()
    return ann


async def test_an_erased_person_leaves_answers_that_are_nobodys(replica: Replica) -> None:
    ann = await a_person(replica)
    erasure = make.erasure(subject="annotator", annotator_id="ann")
    with pytest.raises(Exception, match="name a person"):
        await replica.handle(ERASURES, erasure)  # an accepted answer must be published first
    await replica.sql("DELETE FROM outbox")
    await replica.handle(ERASURES, erasure)
    assert '"ann"' not in await everything(replica)
    assert ",ann," not in await everything(replica)
    assert "(ann," not in await everything(replica)
    rounds = await replica.sql("SELECT item_id, answered, active, free FROM rounds WHERE number = 1 ORDER BY 1")
    assert sorted(tuple(row)[1:3] for row in rows_of(rounds)) == [(0, 0), (0, 0), (1, 0)]
    await replica.handle(QUALITY, make.quality(ev.Quarantine(annotator_id="ann", active=True, reason="spam")))
    assert await replica.sql("SELECT 1 FROM quarantines") == []
    assert (await ann.post("/v1/next", json={"count": 1})).status_code == 401
    async with replica.client() as admin:
        again = await admin.post("/v1/annotators", json={"annotators": [{"id": "ann"}]})
    assert again.json()["results"][0]["problem"]["code"] == "annotator_exists"
    (noted,) = await replica.sql("SELECT removed::text FROM erasures")
    assert '"answers_made_anonymous": 1' in noted[0]


def rows_of(rows: list[Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in rows]


async def test_what_came_in_at_the_same_moment_is_found_by_the_job(replica: Replica) -> None:
    erasure = make.erasure(subject="annotator", annotator_id="ann")
    await replica.handle(ERASURES, erasure)
    await replica.sql("INSERT INTO annotators (id, name, role) VALUES ('ann', 'Ann', 'annotator')")
    await replica.erasing.again()
    assert await replica.sql("SELECT 1 FROM annotators WHERE id = 'ann'") == []


async def test_the_request_log_stays_append_only_for_everybody_else(replica: Replica) -> None:
    await replica.person("ann")
    with pytest.raises(asyncpg.PostgresError, match="append-only"):
        await replica.sql("DELETE FROM request_log")
