"""People who ask at the same moment share a statement, and get what each would have got alone."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from services.assignment.domain.draws import is_blind
from services.assignment.store.offers import SEATS
from shared import events as ev
from tests.integration.assignment.test_cost import counted
from tests.support import events as make
from tests.support.assignment import Replica

CHOICE = {"kind": "choice", "choice": "positive"}
PLAIN = make.policy(auto_accept=None, gold=ev.GoldPolicy(share=0.0), overlap=ev.Overlap(min=2, max=3))


async def ask(people: list[httpx.AsyncClient], count: int = 1) -> list[list[dict[str, Any]]]:
    """Everybody at once."""
    found = await asyncio.gather(*(one.post("/v1/next", json={"count": count}) for one in people))
    return [one.json()["tasks"] for one in found]


async def crowd(replica: Replica, number: int) -> list[httpx.AsyncClient]:
    replica.project(make.project_spec(policy=PLAIN))
    return [await replica.person(f"p{n:02}") for n in range(number)]


async def test_twenty_people_at_once_cost_a_few_statements(replica: Replica) -> None:
    people = await crowd(replica, 20)
    await replica.seed(100)
    await asyncio.gather(*(one.get("/v1/me") for one in people))
    async with counted(replica) as said:
        got = await ask(people, 2)
    assert [len(tasks) for tasks in got] == [2] * 20
    takes = [query for query in said if "INSERT INTO leases" in query]
    assert len(takes) <= 6, f"{len(takes)} statements for 20 people"
    rows = await replica.sql(
        "SELECT r.active, r.granted, count(l.token)::int AS held FROM rounds AS r"
        " LEFT JOIN leases AS l ON l.round_id = r.id GROUP BY r.id"
    )
    assert all(row["active"] == row["granted"] == row["held"] <= 2 for row in rows)
    assert sum(row["held"] for row in rows) == 40


async def test_everybody_gets_every_item_once_and_none_twice(replica: Replica) -> None:
    """Few items, so that what is at the front is often somebody's own already."""
    replica.project(make.project_spec(policy=PLAIN.model_copy(update={"overlap": ev.Overlap(min=6, max=6)})))
    people = [await replica.person(f"p{n:02}") for n in range(6)]
    names = await replica.seed(8)
    for _ in range(30):
        got = await ask(people, 3)
        await asyncio.gather(
            *(
                who.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
                for who, tasks in zip(people, got, strict=True)
                for task in tasks
            )
        )
        if not any(got):
            break
    answers = Counter(
        (row["annotator_id"], row["item_id"])
        for row in await replica.sql("SELECT annotator_id, item_id FROM leases WHERE state = 'answered'")
    )
    assert answers == Counter({(f"p{n:02}", name): 1 for n in range(6) for name in names})


async def test_nobody_holds_more_than_they_may(replica: Replica) -> None:
    people = await crowd(replica, 8)
    await replica.seed(200)
    most = replica.settings.max_held_leases
    replica.settings.max_held_leases = 7
    try:
        first, second = await ask(people, 5), await ask(people, 5)
        third = await asyncio.gather(*(one.post("/v1/next", json={"count": 1}) for one in people))
    finally:
        replica.settings.max_held_leases = most
    assert {len(tasks) for tasks in first} == {5}
    assert {len(tasks) for tasks in second} == {2}
    assert {one.json()["code"] for one in third} == {"too_many_leases"}


async def test_a_blocked_round_at_the_front_wakes(replica: Replica) -> None:
    """One opinion an item: a round that is begun and has a slot left would come before the blocked one."""
    replica.project(make.project_spec(policy=PLAIN.model_copy(update={"overlap": ev.Overlap(min=1, max=1)})))
    people = [await replica.person(f"p{n:02}") for n in range(6)]
    (name, *_) = await replica.seed(30)
    await replica.sql("UPDATE rounds SET blocked_at = now(), priority = 99 WHERE item_id = $1", name)
    got = await ask(people)
    assert [len(tasks) for tasks in got] == [1] * 6
    rows = await replica.sql("SELECT blocked_at, active FROM rounds WHERE item_id = $1", name)
    assert [(row["blocked_at"], row["active"] > 0) for row in rows] == [(None, True)]


async def test_more_tasks_than_one_statement_gives(replica: Replica) -> None:
    people = await crowd(replica, 6)
    await replica.seed(200)
    got = await ask(people, 50)
    assert SEATS[-1] < 6 * 50
    assert [len(tasks) for tasks in got] == [50] * 6


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
async def test_proposals_are_hidden_by_the_same_draw(replica: Replica, share: float) -> None:
    """Whether a task is blind depends on the person and the item, not on who asked beside them."""
    people = await crowd(replica, 8)
    replica.project(make.project_spec(policy=PLAIN.model_copy(update={"blind_share": share})))
    await replica.seed(60)
    got = await ask(people, 5)

    rows = await replica.sql("SELECT id, item_id, annotator_id, blind FROM leases")
    assert len(rows) == 40
    assert all(row["blind"] == is_blind(share, make.PROJECT, row["item_id"], row["annotator_id"]) for row in rows)
    hidden = {str(row["id"]) for row in rows if row["blind"]}
    assert {task["lease_id"] for tasks in got for task in tasks if task["proposal"] is None} == hidden
