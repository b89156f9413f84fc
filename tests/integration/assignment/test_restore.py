"""An older backup in the place of the database: leases in it have been answered since, rounds in it have ended."""

from collections.abc import Mapping
from typing import Any

from shared import events as ev
from shared.topics import ANNOTATIONS, ITEMS, LABELS, PREDICTIONS, RELABELS, ROUTES
from tests.support import events as make
from tests.support.assignment import Replica

CHOICE = {"kind": "choice", "choice": "positive"}
TABLES = ("items", "rounds", "leases", "tallies")
Backup = Mapping[str, list[Any]]


async def backup(replica: Replica) -> Backup:
    return {table: await replica.sql(f"SELECT * FROM {table}") for table in TABLES}  # noqa: S608


async def restore(replica: Replica, kept: Backup) -> None:
    await replica.sql(f"TRUNCATE {', '.join(TABLES)}, outbox")
    for table, rows in kept.items():
        names = [name for name in (rows[0].keys() if rows else ()) if name not in ("free", "started")]
        places = ", ".join(f"${n}" for n in range(1, len(names) + 1))
        for row in rows:
            await replica.sql(
                f"INSERT INTO {table} ({', '.join(names)}) OVERRIDING SYSTEM VALUE VALUES ({places})",  # noqa: S608
                *(row[name] for name in names),
            )


async def facts(replica: Replica) -> list[tuple[Any, ...]]:
    """What must be the same; which lease became an answer, and its round's row, are not among it."""
    items = await replica.sql("SELECT item_id, standing, round, label_version, content_hash FROM items ORDER BY 1")
    rounds = await replica.sql(
        "SELECT item_id, number, wanted, answered, skipped, active, granted, expert_answered, exhausted, ended, free"
        " FROM rounds ORDER BY 1, 2"
    )
    leases = await replica.sql(
        "SELECT item_id, round, annotator_id, state, late, gold FROM leases WHERE state <> 'expired' ORDER BY 1, 2, 3"
    )
    tallies = await replica.sql("SELECT name, sum(delta) FROM tallies GROUP BY 1 HAVING sum(delta) <> 0 ORDER BY 1")
    return [tuple(row) for row in (*items, *rounds, *leases, *tallies)]


async def test_leases_of_an_older_backup_become_the_answers_that_were_given(replica: Replica) -> None:
    replica.project(make.project_spec(policy=make.policy(auto_accept=None, overlap=ev.Overlap(min=2, max=3))))
    items = [make.item(f"i{n}", text=str(n)) for n in range(3)]
    predictions = [make.prediction(item.item_id, confidence=0.6) for item in items]
    await replica.handle(ITEMS, *items)
    await replica.handle(PREDICTIONS, *predictions)
    ann, bob, eve = [await replica.person(name) for name in ("ann", "bob", "eve")]
    held = {person: (await person.post("/v1/next", json={"count": 2})).json()["tasks"] for person in (ann, bob)}
    kept = await backup(replica)

    for person, tasks in held.items():
        for task in tasks:
            done = await person.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
            assert done.is_success
    ended = (await replica.sql("SELECT min(item_id) FROM rounds WHERE answered = 2"))[0][0]
    labels = [make.label(ended)]
    relabels = [make.relabel(ended)]
    await replica.handle(LABELS, *labels)
    await replica.handle(RELABELS, *relabels)
    (again,) = (await eve.post("/v1/next", json={})).json()["tasks"]
    await eve.post(f"/v1/leases/{again['lease_id']}/submit", json={"value": CHOICE})
    before, said = await facts(replica), {topic: await replica.published(topic) for topic in (ROUTES, ANNOTATIONS)}

    await restore(replica, kept)
    for _ in range(2):
        await replica.rebuild(ROUTES, *said[ROUTES])
        await replica.rebuild(LABELS, *labels)
        await replica.rebuild(ANNOTATIONS, *said[ANNOTATIONS])
    await replica.handle(PREDICTIONS, *predictions)
    await replica.handle(LABELS, *labels)
    await replica.handle(RELABELS, *relabels)
    assert await facts(replica) == before
    assert await replica.published() == []
    await replica.queue.expire_leases()
    assert await facts(replica) == before


async def test_a_round_before_the_latest_stays_exhausted(replica: Replica) -> None:
    """The round's successor is known by its route before the annotation that exhausted it is read back."""
    replica.project(make.project_spec(policy=make.policy(auto_accept=None, overlap=ev.Overlap(min=2, max=3))))
    await replica.handle(ITEMS, make.item("i1"))
    await replica.handle(PREDICTIONS, make.prediction("i1", confidence=0.6))
    ann = await replica.person("ann")
    (task,) = (await ann.post("/v1/next", json={})).json()["tasks"]
    assert (await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})).is_success
    async with replica.client() as admin:
        done = await admin.post(f"/v1/projects/{make.PROJECT}/exhaust", json={"item_ids": ["i1"]})
        assert done.is_success, done.text
    await replica.handle(LABELS, make.label("i1", opinions=1))
    await replica.handle(RELABELS, make.relabel("i1"))
    before, said = await facts(replica), {topic: await replica.published(topic) for topic in (ROUTES, ANNOTATIONS)}
    assert [row["exhausted"] for row in await replica.sql("SELECT exhausted FROM rounds ORDER BY number")] == [
        True, False,
    ]  # fmt: skip

    await replica.sql(f"TRUNCATE {', '.join(TABLES)}, outbox")
    await replica.rebuild(ROUTES, *said[ROUTES])
    await replica.rebuild(LABELS, make.label("i1", opinions=1))
    await replica.rebuild(ANNOTATIONS, *said[ANNOTATIONS])
    await replica.handle(ITEMS, make.item("i1"))
    await replica.handle(PREDICTIONS, make.prediction("i1", confidence=0.6))
    await replica.handle(LABELS, make.label("i1", opinions=1))
    await replica.handle(RELABELS, make.relabel("i1"))
    assert await facts(replica) == before
