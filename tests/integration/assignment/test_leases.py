"""Leases under races, time and repeats; the API's promises about them."""

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from services.assignment.api.schemas import NextResponse
from shared import events as ev
from shared.topics import ANNOTATIONS, GOLD_ITEMS
from tests.support import events as make
from tests.support.assignment import Replica

CHOICE = {"kind": "choice", "choice": "positive"}


async def overlap(replica: Replica, wanted: int, **more: Any) -> None:
    policy = make.policy(auto_accept=None, overlap=ev.Overlap(min=wanted, max=max(3, wanted)), **more)
    replica.project(make.project_spec(policy=policy))


async def test_two_people_race_for_the_last_slot(replica: Replica) -> None:
    await overlap(replica, 1)
    people = [await replica.person(f"p{n}") for n in range(2)]
    for first in range(10):
        await replica.seed(1, first=first)
        answers = await asyncio.gather(*(one.post("/v1/next", json={}) for one in people))
        assert sum(len(answer.json()["tasks"]) for answer in answers) == 1


@pytest.mark.timeout(120)
async def test_overlap_is_never_exceeded_by_twenty_clients(replica: Replica) -> None:
    await overlap(replica, 3)
    await replica.seed(40)
    people = [await replica.person(f"p{n:02}") for n in range(20)]

    async def work(client: Any) -> int:
        done = empty = 0
        while empty < 3:
            tasks = (await client.post("/v1/next", json={"count": 3})).json()["tasks"]
            body = {"submissions": [{"lease_id": task["lease_id"], "value": CHOICE} for task in tasks]}
            empty += not tasks
            if tasks:
                results = (await client.post("/v1/submit", json=body)).json()["results"]
                done += sum(result["receipt"] is not None for result in results)
        return done

    totals = await asyncio.gather(*(work(client) for client in people))
    assert sum(totals) == 120
    rows = await replica.sql("SELECT item_id, annotator_id FROM leases WHERE state = 'answered'")
    assert set(Counter(row["item_id"] for row in rows).values()) == {3}
    assert len({(row["item_id"], row["annotator_id"]) for row in rows}) == 120
    states = await replica.sql("SELECT DISTINCT wanted, answered, active, free FROM rounds")
    assert [tuple(row) for row in states] == [(3, 3, 0, 0)]
    told = await replica.published(ANNOTATIONS)
    assert len({annotation.annotation_id for annotation in told}) == 120


async def test_two_tabs_of_one_person_get_different_items(replica: Replica) -> None:
    await overlap(replica, 3)
    await replica.seed(5)
    ann = await replica.person("ann")
    answers = await asyncio.gather(*(ann.post("/v1/next", json={"count": 3}) for _ in range(6)))
    assert sum(len(answer.json()["tasks"]) for answer in answers) == 5


async def test_a_lease_that_ran_out_is_refused_and_the_item_goes_to_somebody_else(replica: Replica) -> None:
    await overlap(replica, 1)
    await replica.seed(1)
    ann, bob = await replica.person("ann"), await replica.person("bob")
    first = (await ann.post("/v1/next", json={})).json()["tasks"][0]
    await replica.sql("UPDATE leases SET expires_at = now() - interval '1 second'")
    refused = await ann.post(f"/v1/leases/{first['lease_id']}/submit", json={"value": CHOICE})
    assert refused.status_code == 409, f"an answer was taken after the end of its lease: {refused.json()}"
    assert refused.json()["code"] == "lease_expired"
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await ann.post(f"/v1/leases/{first['lease_id']}/renew")).json()["code"] == "lease_expired"
    await asyncio.gather(replica.queue.expire_leases(), replica.queue.expire_leases())
    second = (await bob.post("/v1/next", json={})).json()["tasks"][0]
    assert second["fencing_token"] > first["fencing_token"]
    again = await ann.post(f"/v1/leases/{first['lease_id']}/submit", json={"value": CHOICE})
    assert again.status_code == 409
    assert (await bob.post(f"/v1/leases/{second['lease_id']}/submit", json={"value": CHOICE})).status_code == 200
    assert [a.annotator_id for a in await replica.published(ANNOTATIONS)] == ["bob"]
    rows = await replica.sql("SELECT active, answered, free FROM rounds")
    assert [tuple(row) for row in rows] == [(0, 1, 0)]


async def test_renewal_extends_a_lease(replica: Replica) -> None:
    await overlap(replica, 1, lease_s=300)
    await replica.seed(1)
    ann = await replica.person("ann")
    task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
    await replica.sql("UPDATE leases SET expires_at = now() + interval '1 second'")
    renewed = await ann.post(f"/v1/leases/{task['lease_id']}/renew")
    assert renewed.status_code == 200
    await replica.queue.expire_leases()
    rows = await replica.sql("SELECT state, expires_at > now() + interval '200 seconds' AS far FROM leases")
    assert [tuple(row) for row in rows] == [("active", True)]
    await replica.sql("UPDATE leases SET granted_at = now() - interval '11 hours 59 minutes'")
    left_s = "SELECT extract(epoch FROM expires_at - now())::float8 AS left_s FROM leases"
    assert (await ann.post(f"/v1/leases/{task['lease_id']}/renew")).status_code == 200
    assert 50.0 < (await replica.sql(left_s))[0]["left_s"] <= 60.0  # a page that was left open keeps no task for good


async def test_a_repeated_submit_gets_the_same_answer_and_counts_once(replica: Replica) -> None:
    await overlap(replica, 3)
    await replica.seed(2)
    ann = await replica.person("ann")
    one, other = (await ann.post("/v1/next", json={"count": 2})).json()["tasks"]
    path, headers = f"/v1/leases/{one['lease_id']}/submit", {"idempotency-key": "k1"}
    answers = await asyncio.gather(*(ann.post(path, json={"value": CHOICE}, headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert (await ann.post(path, json={"value": CHOICE})).text == answers[0].text  # without the key too
    negative = {"value": {"kind": "choice", "choice": "negative"}}
    reused = await ann.post(path, json=negative, headers=headers)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = await ann.post(f"/v1/leases/{other['lease_id']}/submit", json={"value": CHOICE}, headers=headers)
    assert elsewhere.json()["code"] == "idempotency_key_reused"
    changed = await ann.post(path, json=negative)
    assert (changed.status_code, changed.json()["code"]) == (409, "lease_finished")
    assert len(await replica.published(ANNOTATIONS)) == 1


async def test_a_refused_answer_does_not_use_up_its_key(replica: Replica) -> None:
    await overlap(replica, 1)
    await replica.seed(1)
    ann = await replica.person("ann")
    task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
    path, headers = f"/v1/leases/{task['lease_id']}/submit", {"idempotency-key": "k1"}
    wrong = await ann.post(path, json={"value": {"kind": "choice", "choice": "sideways"}}, headers=headers)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_label")
    assert "sideways" in wrong.json()["message"]
    assert (await ann.post(path, json={"value": CHOICE}, headers=headers)).status_code == 200


async def test_somebody_elses_lease_is_nobodys_business(replica: Replica) -> None:
    await overlap(replica, 1)
    await replica.seed(1)
    ann, bob = await replica.person("ann"), await replica.person("bob")
    task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
    for lease_id in (task["lease_id"], str(uuid4())):
        for call, body in (("submit", {"value": CHOICE}), ("skip", {"reason": "unclear"}), ("renew", None)):
            refused = await bob.post(f"/v1/leases/{lease_id}/{call}", json=body)
            assert (refused.status_code, refused.json()["code"]) == (404, "lease_unknown")
    batch = {"submissions": [{"lease_id": task["lease_id"], "value": CHOICE}]}
    assert (await bob.post("/v1/submit", json=batch)).json()["results"][0]["problem"]["code"] == "lease_unknown"
    assert await replica.published(ANNOTATIONS) == []


@pytest.mark.parametrize("share", [0.5, 1.0])
async def test_gold_looks_like_any_task_and_comes_once(replica: Replica, share: float) -> None:
    await overlap(replica, 1, gold=ev.GoldPolicy(share=share), blind_share=1.0)
    await replica.seed(60)
    replica.publish(GOLD_ITEMS, *(make.gold_item(f"g{n}", text=f"gold {n}") for n in range(8)))
    ann = await replica.person("ann")
    tasks = []
    for _ in range(8):
        response = await ann.post("/v1/next", json={"count": 5})
        tasks += NextResponse.model_validate_json(response.text).tasks
        raw = response.json()["tasks"]
        for task in raw:
            await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    told = await replica.published(ANNOTATIONS)
    golden = [a for a in told if a.gold]
    assert sorted(a.item_id for a in golden) == sorted(f"g{n}" for n in range(8))
    assert len(told) == len(tasks) == 40
    shapes = {task.model_dump_json(exclude={"lease_id", "fencing_token", "expires_at", "content"}) for task in tasks}
    assert len(shapes) == 1
    kept = [{name: value for name, value in task.items() if name != "content"} for task in raw]
    assert "item_id" not in str(kept)
    assert "gold" not in str(kept)
    assert not any(name in str(kept) for name in ("i0000", "g0", "g1"))


async def test_no_gold_where_there_is_no_work(replica: Replica) -> None:
    await overlap(replica, 1, gold=ev.GoldPolicy(share=1.0))
    replica.publish(GOLD_ITEMS, make.gold_item("g1"))
    ann = await replica.person("ann")
    assert (await ann.post("/v1/next", json={})).json()["tasks"] == []


async def test_audits_are_blind(replica: Replica) -> None:
    policy = make.policy(auto_accept=ev.AutoAccept(threshold=0.5, audit_share=1.0))
    replica.project(make.project_spec(policy=policy))
    await replica.seed(1, confidence=0.9)
    ann = await replica.person("ann")
    task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
    assert task["proposal"] is None
    await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    (annotation,) = await replica.published(ANNOTATIONS)
    assert (annotation.would_auto, annotation.inclusion_probability, annotation.saw_proposal) == (True, 1.0, False)
    assert annotation.proposal is not None


async def test_one_person_holds_so_many_leases_and_no_more(replica: Replica) -> None:
    await overlap(replica, 1)
    await replica.seed(60)
    replica.settings.max_held_leases = 55
    ann = await replica.person("ann")
    first = await ann.post("/v1/next", json={"count": 50})
    second = await ann.post("/v1/next", json={"count": 50})
    assert [len(answer.json()["tasks"]) for answer in (first, second)] == [50, 5]
    third = await ann.post("/v1/next", json={})
    assert (third.status_code, third.json()["code"]) == (409, "too_many_leases")


async def test_quarantined_people_are_not_asked(replica: Replica) -> None:
    await overlap(replica, 3)
    await replica.seed(1)
    ann = await replica.person("ann")
    async with replica.client() as admin:
        done = await admin.post("/v1/annotators/ann/quarantine", json={"project": make.PROJECT, "reason": "spam"})
        assert done.json()["quarantined"] == [make.PROJECT]
        refused = await ann.post("/v1/next", json={"project": make.PROJECT})
        assert (refused.status_code, refused.json()["code"]) == (403, "quarantined")
        assert (await ann.post("/v1/next", json={})).json()["tasks"] == []
        await admin.post("/v1/annotators/ann/reinstate", json={})
    assert len((await ann.post("/v1/next", json={})).json()["tasks"]) == 1


async def test_who_has_begun_an_item_is_given_the_others(replica: Replica) -> None:
    await overlap(replica, 3)
    await replica.seed(3)
    ann, bob = await replica.person("ann"), await replica.person("bob")
    for number in (1, 1, 1, 0):
        tasks = (await ann.post("/v1/next", json={})).json()["tasks"]
        assert len(tasks) == number
        for task in tasks:
            await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    assert len((await bob.post("/v1/next", json={"count": 50})).json()["tasks"]) == 3
