"""What leads see of people: the newest measurements, of their projects only."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx

from shared.events import (
    Action,
    Collected,
    ConfusionCell,
    GoldPolicy,
    Quality,
    RuleFired,
    Skill,
    SkillDrift,
    Speed,
)
from shared.topics import ERASURES, GOLD_ITEMS, QUALITY
from tests.support import events as make
from tests.support.assignment import Replica

PEOPLE = f"/v1/projects/{make.PROJECT}/people"


def skill(who: str, judged: int, at: datetime, project: str = make.PROJECT) -> Quality:
    cell = ConfusionCell(truth="positive", answered="neutral", answers=3)
    speed = Speed(median_s=4.5, spread=0.3, answers=20)
    measured = Skill(
        annotator_id=who, accuracy=0.9, low=0.7, high=0.97, judged=judged, correct=18, confusion=(cell,), speed=speed
    )
    return make.quality(measured, project_id=project, subject=f"annotator#{who}", sequence=f"{judged}", measured_at=at)


def fall(who: str) -> Quality:
    measured = SkillDrift(annotator_id=who, number=1, before=0.9, low=0.8, recent=0.5, judged=40, false_alarm=0.02)
    return make.quality(measured, subject=f"annotator#{who}", sequence="drift:1", measured_at=make.at(70))


async def test_leads_see_the_newest_of_each_kind(replica: Replica) -> None:
    ann = await replica.person("ann")
    lead = await replica.person("lou", "lead", [make.PROJECT])
    stranger = await replica.person("sue", "lead", ["elsewhere"])
    late, early = skill("ann", 30, make.at(90)), skill("ann", 20, make.at(60))
    await replica.handle(QUALITY, late, early, fall("ann"), skill("ben", 5, make.at(60)))
    await replica.handle(QUALITY, early, skill("cat", 9, make.at(60), "elsewhere"))
    assert (await ann.get(PEOPLE)).json()["code"] == "forbidden"
    assert (await stranger.get(PEOPLE)).status_code == 404
    first = (await lead.get(PEOPLE, params={"limit": 1})).json()
    [one] = first["people"]
    assert (one["id"], one["may_work"], one["skill"]["judged"]) == ("ann", True, 30)
    assert (one["skill"]["speed"]["median_s"], one["drift"]["number"]) == (4.5, 1)
    assert one["skill"]["confusion"] == [{"truth": "positive", "answered": "neutral", "answers": 3}]
    rest = (await lead.get(PEOPLE, params={"after": first["next"]})).json()
    assert [(p["id"], p["may_work"], p["drift"]) for p in rest["people"]] == [("ben", False, None)]
    assert rest["next"] is None


async def test_nothing_is_kept_of_an_erased_person(replica: Replica) -> None:
    await replica.handle(QUALITY, skill("ann", 20, make.at(60)))
    await replica.handle(ERASURES, make.erasure(subject="annotator", annotator_id="ann"))
    await replica.handle(QUALITY, skill("ann", 30, make.at(90)), fired("ann", Action.FLAG, at=90))
    assert await replica.sql("SELECT 1 FROM measurements") == []
    assert await replica.sql("SELECT 1 FROM restraints") == []


def fired(who: str, action: Action, *, at: float, rule: str = "fast", for_s: float = 3600.0) -> Quality:
    until = datetime.now(UTC) + timedelta(seconds=for_s)
    measured = RuleFired(
        annotator_id=who, rule=rule, number=1, collected=Collected.SECONDS, value=0.4, limit=1.0, observations=20,
        action=action, until=until, share=1.0 if action is Action.MORE_GOLD else None,
    )  # fmt: skip
    return make.quality(measured, subject=f"annotator#{who}", sequence=f"rule:{rule}:1", measured_at=make.at(at))


async def next_of(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/v1/next", json={"project": make.PROJECT, "count": 5})


async def test_a_pause_ends_by_itself_and_by_a_lead(replica: Replica) -> None:
    await replica.seed(20)
    ann, ben = await replica.person("ann"), await replica.person("ben")
    await replica.handle(QUALITY, fired("ann", Action.PAUSE, at=60), fired("ben", Action.PAUSE, at=60, for_s=0.3))
    assert (await next_of(ann)).json()["code"] == "quarantined"
    assert (await ann.get("/v1/me")).json()["quarantined"] == [make.PROJECT]
    await asyncio.sleep(0.35)
    assert len((await next_of(ben)).json()["tasks"]) == 5
    async with replica.client() as admin:
        [one] = [p for p in (await admin.get(PEOPLE)).json()["people"] if p["id"] == "ann"]
        assert (one["may_work"], one["rules"][0]["rule"], one["rules"][0]["action"]) == (False, "fast", "pause")
        await admin.post("/v1/annotators/ann/reinstate", json={"project": make.PROJECT})
    assert len((await next_of(ann)).json()["tasks"]) == 5
    await replica.handle(QUALITY, fired("ann", Action.PAUSE, at=60, rule="other"))  # from before, read late
    assert (await next_of(ann)).status_code == 200


async def test_more_gold_and_a_flag(replica: Replica) -> None:
    await replica.seed(10)
    spec = make.project_spec(policy=make.policy(gold=GoldPolicy(share=0.0)))
    replica.project(spec, 2)
    replica.publish(GOLD_ITEMS, *(make.gold_item(f"gold-{n}") for n in range(5)))
    ann, ben = await replica.person("ann"), await replica.person("ben")
    await replica.handle(QUALITY, fired("ann", Action.MORE_GOLD, at=60), fired("ben", Action.FLAG, at=60))
    for one in (ann, ben):
        assert len((await next_of(one)).json()["tasks"]) == 5
    rows = await replica.sql("SELECT annotator_id, count(*) FILTER (WHERE gold) AS gold FROM leases GROUP BY 1")
    assert {row["annotator_id"]: row["gold"] for row in rows} == {"ann": 5, "ben": 0}
