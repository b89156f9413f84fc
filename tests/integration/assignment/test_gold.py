"""Gold among the stream: in the order of the plan, as often as it says, and not to be told apart."""

from collections import Counter
from typing import Any

import httpx

from shared.events import Ask, ConfusedPair, ErrorPatterns, GoldPlan, GoldPolicy, Path, Quality
from shared.topics import ESCALATIONS, GOLD_ITEMS, LABELS, QUALITY
from tests.support import events as make
from tests.support.assignment import Replica

CHOICE = {"kind": "choice", "choice": "positive"}


def plan(who: str | None, *items: str, share: float = 1.0, at: float = 60.0) -> Quality:
    subject = "gold" if who is None else f"annotator#{who}"
    measured = GoldPlan(annotator_id=who, items=items, share=share)
    return make.quality(measured, subject=subject, sequence=f"plan:{at}", measured_at=make.at(at))


async def golden(replica: Replica, share: float, items: int = 8, stream: int = 40) -> None:
    await replica.seed(stream)
    replica.project(make.project_spec(policy=make.policy(auto_accept=None, gold=GoldPolicy(share=share))), 2)
    replica.publish(GOLD_ITEMS, *(make.gold_item(f"gold-{n}", text=f"text of g{n}") for n in range(items)))


async def take(client: httpx.AsyncClient, count: int = 1) -> list[dict[str, Any]]:
    response = await client.post("/v1/next", json={"project": make.PROJECT, "count": count})
    tasks: list[dict[str, Any]] = response.json()["tasks"]
    return tasks


async def given(replica: Replica, who: str) -> list[str]:
    rows = await replica.sql("SELECT item_id FROM leases WHERE gold AND annotator_id = $1 ORDER BY token", who)
    return [row["item_id"] for row in rows]


async def test_gold_comes_in_the_order_of_ones_own_plan_then_of_the_usual_one(replica: Replica) -> None:
    await golden(replica, 1.0)
    ann, ben = await replica.person("ann"), await replica.person("ben")
    usual = [f"gold-{n}" for n in (5, 4, 3, 2, 1, 0)]
    await replica.handle(QUALITY, plan("ann", "gold-7", "gold-2", "gone"), plan(None, *usual))
    await replica.handle(QUALITY, plan("ann", "gold-1", at=30))  # an older one changes nothing
    for one in (ann, ben):
        for _ in range(7):
            await take(one)
    mine = await given(replica, "ann")
    assert mine[:2] == ["gold-7", "gold-2"]
    turned = [item for item in usual + usual if item != "gold-2"]
    assert mine[2:] in [turned[start : start + 5] for start in range(5)]
    theirs = await given(replica, "ben")
    assert theirs[:6] in [(usual + usual)[start : start + 6] for start in range(6)]
    assert set(theirs[6:]) <= {"gold-6", "gold-7"}


async def test_the_share_is_that_of_the_plan_and_never_above_the_policys(replica: Replica) -> None:
    await golden(replica, 0.5, items=200, stream=300)
    people = {"ann": 0.0, "ben": 0.5, "cat": 1.0}
    clients = {who: await replica.person(who) for who in people}
    await replica.handle(QUALITY, *(plan(who, share=share) for who, share in people.items()))
    for client in clients.values():
        for _ in range(60):
            await take(client)
    rows = await replica.sql("SELECT annotator_id AS who, count(*) FILTER (WHERE gold) AS n FROM leases GROUP BY 1")
    counts = {row["who"]: row["n"] for row in rows}
    assert counts["ann"] == 0
    assert 15 <= counts["ben"] <= 45  # 30 expected; five standard deviations are 19
    assert 15 <= counts["cat"] <= 45


def shape(value: Any) -> Any:
    """The form of a JSON document without what it says."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else type(value).__name__


async def test_no_field_of_the_api_tells_gold_from_the_stream(replica: Replica) -> None:
    await golden(replica, 0.4, items=60, stream=100)
    ann = await replica.person("ann")
    tasks = [task for _ in range(60) for task in await take(ann)]
    kinds = {str(row["id"]): row["gold"] for row in await replica.sql("SELECT id, gold FROM leases")}
    seen: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for task in tasks:
        gold, lease = kinds[task["lease_id"]], f"/v1/leases/{task['lease_id']}"
        hidden = task | {"proposal": None}
        told = [
            shape(hidden),
            {name: task[name] for name in ("project", "label")},
            shape((await ann.post(f"{lease}/renew")).json()),
            shape((await ann.post(f"{lease}/submit", json={"value": CHOICE})).json()),
            shape((await ann.post(f"{lease}/submit", json={"value": CHOICE})).json()),
            shape((await ann.post(f"{lease}/submit", json={"value": {"kind": "choice", "choice": "x"}})).json()),
            shape((await ann.post(f"{lease}/skip", json={"reason": "unclear"})).json()),
            shape((await ann.get("/v1/me")).json()),
            (await ann.get(f"/v1/projects/{make.PROJECT}/items/gold-0")).status_code,
            list(task),
        ]
        seen[gold][str(told)] += 1
    assert min(seen[True].total(), seen[False].total()) >= 10
    assert len(seen[True]) == len(seen[False]) == 1
    assert seen[True].keys() == seen[False].keys()
    bare = Counter(kinds[task["lease_id"]] for task in tasks if task["proposal"] is None)
    assert bare[False] >= bare[True] / 4  # a task without a proposal may as well be of the stream
    assert not any("gold" in str(task).lower() for task in tasks)


async def decided(replica: Replica, *items: str) -> None:
    """Experts decide these items."""
    expert = await replica.person("eve", "expert")
    await replica.handle(ESCALATIONS, *(make.escalation(item, ask=Ask.EXPERT) for item in items))
    tasks = (await expert.post("/v1/next", json={"project": make.PROJECT, "count": len(items)})).json()["tasks"]
    for task in tasks:
        await expert.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    await replica.handle(LABELS, *(make.label(item, path=Path.EXPERT) for item in items))


async def test_an_experts_decision_becomes_gold_when_marked(replica: Replica) -> None:
    await replica.seed(4)
    ann = await replica.person("ann")
    (task,) = await take(ann)
    await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    await decided(replica, "i000000", "i000001")
    lead = await replica.person("lou", "lead", [make.PROJECT])
    path = f"/v1/projects/{make.PROJECT}/gold"
    assert (await ann.post(path, json={"item_ids": ["i000000"]})).json()["code"] == "forbidden"
    body = {"item_ids": ["i000000", "i000003", "nowhere", "i000001"]}
    results = (await lead.post(path, json=body)).json()["results"]
    codes = [one["problem"] and one["problem"]["code"] for one in results]
    assert codes == [None, "no_expert_decision", "item_unknown", None]
    items = await replica.published(GOLD_ITEMS)
    assert {one.item_id: one.content.text for one in items} == {
        name: f"text of {name}" for name in ("i000000", "i000001")
    }
    marks = [e.measurement for e in await replica.published(QUALITY)]
    assert [(one.item_id, one.version) for one in marks] == [("i000000", 1), ("i000001", 1)]
    replica.project(make.project_spec(policy=make.policy(auto_accept=None, gold=GoldPolicy(share=1.0))), 2)
    replica.publish(GOLD_ITEMS, *items)
    for _ in range(3):
        await take(ann)
    assert len(await given(replica, "ann")) == 1  # the other one she answered when it was of the stream


async def test_gold_of_the_stream_shows_its_proposal(replica: Replica) -> None:
    await replica.seed(40)
    replica.project(make.project_spec(policy=make.policy(auto_accept=None, gold=GoldPolicy(share=0.5))), 2)
    replica.publish(GOLD_ITEMS, *(make.gold_item(f"i{n:06}") for n in range(20)))
    ann = await replica.person("ann")
    tasks = [task for _ in range(30) for task in await take(ann)]
    kinds = {str(row["id"]): row["gold"] for row in await replica.sql("SELECT id, gold FROM leases")}
    shown = Counter(kinds[task["lease_id"]] for task in tasks if task["proposal"] is not None)
    assert min(shown[True], shown[False]) >= 1


async def test_leads_see_error_patterns(replica: Replica) -> None:
    lead = await replica.person("lou", "lead", [make.PROJECT])
    path = f"/v1/projects/{make.PROJECT}/patterns"
    assert (await lead.get(path)).json() == {"kind": "error_patterns", "pairs": [], "items": []}
    pair = ConfusedPair(truth="a", answered="b", answers=3, share=0.3, low=0.1, high=0.5, examples=("i1",))
    for seconds, told in ((90, ErrorPatterns(pairs=(pair,))), (60, ErrorPatterns())):
        await replica.handle(
            QUALITY, make.quality(told, subject="errors", sequence=f"{seconds}", measured_at=make.at(seconds))
        )
    assert (await lead.get(path)).json()["pairs"][0]["examples"] == ["i1"]
