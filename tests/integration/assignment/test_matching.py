"""The right item to the right person, on real PostgreSQL: languages, groups, skill, limits, first gold."""

import asyncio
from typing import Any

import httpx
import pytest

from shared import events as ev
from shared.topics import GOLD_ITEMS, ITEMS, PREDICTIONS, QUALITY, ROUTES
from tests.support import events as make
from tests.support.assignment import Replica

CHOICE = {"kind": "choice", "choice": "positive"}
NO_GOLD = ev.GoldPolicy(share=0.0)


def people_policy(**people: Any) -> ev.Policy:
    return make.policy(auto_accept=None, gold=NO_GOLD, people=ev.People(**people))


async def add(replica: Replica, name: str, **profile: Any) -> httpx.AsyncClient:
    async with replica.client() as admin:
        response = await admin.post("/v1/annotators", json={"annotators": [{"id": name} | profile]})
        response.raise_for_status()
        return replica.client(response.json()["results"][0]["token"])


async def take(person: httpx.AsyncClient, count: int = 50) -> list[dict[str, Any]]:
    response = await person.post("/v1/next", json={"count": count})
    response.raise_for_status()
    tasks: list[dict[str, Any]] = response.json()["tasks"]
    return tasks


def texts(tasks: list[dict[str, Any]]) -> list[str]:
    return [task["content"]["text"] for task in tasks]


async def answer(person: httpx.AsyncClient, tasks: list[dict[str, Any]]) -> None:
    for task in tasks:
        (await person.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})).raise_for_status()


async def feed(replica: Replica, **items: str | None) -> None:
    """Items by name with the language that their metadata says."""
    metadata: dict[str, dict[str, Any]] = {
        name: {} if language is None else {"language": language} for name, language in items.items()
    }
    await replica.handle(ITEMS, *(make.item(name, text=name, metadata=said) for name, said in metadata.items()))
    await replica.handle(PREDICTIONS, *(make.prediction(name, confidence=0.6) for name in items))


async def test_items_go_to_people_who_speak_their_language(replica: Replica) -> None:
    replica.project(make.project_spec(policy=people_policy()), version=2)
    await feed(replica, a="de", b="fr", c=None, d="DE")
    ann = await add(replica, "ann", languages=["de"])
    bea = await add(replica, "bea", languages=["fr", "it"])
    cem = await add(replica, "cem")  # nothing said: asked in all
    assert texts(await take(bea)) == ["b", "c"]
    assert sorted(texts(await take(ann))) == ["a", "d"]
    assert texts(await take(cem)) == []
    lanes = {route.item_id: route.lane for route in await replica.published(ROUTES)}
    assert lanes == {"a": "annotator:de|", "b": "annotator:fr|", "c": None, "d": "annotator:de|"}


async def test_lanes_are_merged_by_priority_and_begun_items_come_first(replica: Replica) -> None:
    policy = people_policy().model_copy(update={"overlap": ev.Overlap(min=2, max=3)})
    replica.project(make.project_spec(policy=policy), version=2)
    names = [f"i{n:02d}" for n in range(12)]
    for n, name in enumerate(names):
        said: dict[str, Any] = {"language": ("de", "fr", "it")[n % 3]}
        await replica.handle(ITEMS, make.item(name, text=name, metadata=said))
    await replica.handle(PREDICTIONS, *(make.prediction(name, confidence=0.4 + n / 50) for n, name in enumerate(names)))
    ann, bea = await add(replica, "ann"), await add(replica, "bea", languages=["de", "it"])
    assert texts(await take(ann, 5)) == names[:5]
    assert texts(await take(bea, 6)) == ["i00", "i02", "i03", "i05", "i06", "i08"]


async def test_only_members_of_a_group_are_asked_and_without_them_the_round_is_blocked(replica: Replica) -> None:
    doctors = ev.Slice(
        name="medical",
        when=ev.SliceOf(metadata={"domain": ("medical",)}),
        policy=people_policy(groups=("doctors",)),
    )
    plain = make.policy(auto_accept=None, gold=NO_GOLD)
    replica.project(make.project_spec(policy=plain, slices=(doctors,)), version=2)
    await replica.handle(ITEMS, make.item("m", text="m", metadata={"domain": "medical"}), make.item("n", text="n"))
    await replica.handle(PREDICTIONS, make.prediction("m"), make.prediction("n"))
    ann = await add(replica, "ann")
    assert texts(await take(ann)) == ["n"]
    await replica.housekeeping.flush()
    await replica.sql("UPDATE rounds SET waiting_since = now() - interval '10 minutes'")
    await replica.sweeper.sweep()
    (blocked,) = [one for one in await replica.published(ROUTES) if one.state is ev.RouteState.BLOCKED]
    assert blocked.item_id == "m"
    assert "doctors" in blocked.reason
    eve = await add(replica, "eve", groups=["doctors"])
    assert texts(await take(eve)) == ["m"]  # blocked rounds wake


async def test_many_people_of_many_lanes_take_each_item_once(replica: Replica) -> None:
    replica.project(make.project_spec(policy=people_policy()), version=2)
    await feed(replica, **{f"i{n:02d}": ("de", "fr", None)[n % 3] for n in range(60)})
    people = [await add(replica, f"p{n}", languages=[["de"], ["fr"], ["de", "fr"]][n % 3]) for n in range(9)]
    found: list[str] = []
    for _ in range(12):
        for tasks in await asyncio.gather(*(take(person, 2) for person in people)):
            found += texts(tasks)
    assert sorted(found) == sorted(set(found))
    assert len(found) == 60


async def test_an_item_goes_to_whom_knows_its_class(replica: Replica) -> None:
    replica.project(make.project_spec(policy=people_policy(skill=1.0)), version=2)

    def skill(who: str, right: dict[str, int]) -> ev.Quality:
        cells = tuple(
            ev.ConfusionCell(truth=truth, answered=answered, answers=n)
            for truth, good in right.items()
            for answered, n in ((truth, good), ("negative", 200 - good))
        )
        measured = ev.Skill(annotator_id=who, accuracy=0.5, low=0.4, high=0.6, judged=400, correct=200, confusion=cells)
        return make.quality(measured, subject=f"annotator#{who}")

    await replica.handle(
        QUALITY, skill("ann", {"positive": 190, "neutral": 60}), skill("bea", {"positive": 60, "neutral": 190})
    )
    values = {f"i{n}": ("positive", "neutral")[n % 2] for n in range(10)}
    await replica.handle(ITEMS, *(make.item(name, text=name) for name in values))
    await replica.handle(PREDICTIONS, *(make.prediction(name, value=v, confidence=0.6) for name, v in values.items()))
    ann, bea = await add(replica, "ann"), await add(replica, "bea")
    assert {values[one] for one in texts(await take(ann, 4))} == {"positive"}
    assert {values[one] for one in texts(await take(bea, 4))} == {"neutral"}
    assert len(await take(ann)) == 2  # what is left is for anybody: nothing starves


async def test_people_have_limits_of_their_own(replica: Replica) -> None:
    replica.project(make.project_spec(policy=make.policy(auto_accept=None, gold=NO_GOLD)), version=2)
    await replica.seed(20)
    ann = await add(replica, "ann", max_open=3, daily_answers=5)
    first = await take(ann, 10)
    assert len(first) == 3
    assert (await ann.post("/v1/next", json={})).json()["code"] == "too_many_leases"
    await answer(ann, first)
    await answer(ann, first)  # a repeat counts once
    second = await take(ann, 10)
    assert len(second) == 2
    await answer(ann, second)
    refused = await ann.post("/v1/next", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "day_done")
    await replica.sql("UPDATE workdays SET day = day - 1")
    assert len(await take(ann, 10)) == 3
    async with replica.client() as admin:
        changed = await admin.put("/v1/annotators/ann/profile", json={"languages": ["de"], "groups": ["night"]})
        found = changed.json()
        assert (found["languages"], found["groups"]) == (["de"], ["night"])
        assert (found["max_open"], found["daily_answers"]) == (None, None)
        assert (await admin.put("/v1/annotators/nobody/profile", json={})).status_code == 404


async def test_somebody_at_the_days_end_is_not_present(replica: Replica) -> None:
    replica.project(make.project_spec(policy=make.policy(auto_accept=None, gold=NO_GOLD)), version=2)
    await replica.seed(2)
    ann = await add(replica, "ann", daily_answers=1)
    await answer(ann, await take(ann, 2))
    await replica.housekeeping.flush()
    await replica.sql("UPDATE rounds SET waiting_since = now() - interval '10 minutes'")
    await replica.sweeper.sweep()
    assert [one.item_id for one in await replica.published(ROUTES) if one.state is ev.RouteState.BLOCKED] == ["i000001"]


@pytest.mark.parametrize("gold", [0, 2, 8])
async def test_somebody_new_answers_gold_before_anything_else(replica: Replica, gold: int) -> None:
    """As far as there is any; whoever is past that is not asked again."""
    policy = make.policy(auto_accept=None, gold=ev.GoldPolicy(share=0.0, calibration=4))
    replica.project(make.project_spec(policy=policy), version=2)
    replica.publish(GOLD_ITEMS, *(make.gold_item(f"g{n}", text=f"gold {n}") for n in range(gold)))
    await replica.seed(10)
    ann = await add(replica, "ann")
    first = min(gold, 4)
    tasks = await take(ann, 10)
    if first:
        assert sum(text.startswith("gold") for text in texts(tasks)) == len(tasks) == first
        assert await take(ann, 10) == []  # live work waits until these are answered
        await answer(ann, tasks[:-1])
        assert await take(ann, 10) == []
        await answer(ann, tasks[-1:])
        tasks = await take(ann, 10)
    assert len(tasks) == 10
    assert not any(text.startswith("gold") for text in texts(tasks))
    seen = [row["gold"] for row in await replica.sql("SELECT gold FROM leases ORDER BY token")]
    assert seen == [True] * first + [False] * 10


async def test_gold_that_somebody_skips_does_not_hold_them_up_for_good(replica: Replica) -> None:
    policy = make.policy(auto_accept=None, gold=ev.GoldPolicy(share=0.0, calibration=2))
    replica.project(make.project_spec(policy=policy), version=2)
    replica.publish(GOLD_ITEMS, *(make.gold_item(f"g{n}") for n in range(2)))
    await replica.seed(3)
    ann = await add(replica, "ann")
    for task in await take(ann, 5):
        await ann.post(f"/v1/leases/{task['lease_id']}/skip", json={"reason": "unclear"})
    assert len(await take(ann, 5)) == 3


async def test_leads_see_the_slots_of_every_lane_and_assign_as_they_like(replica: Replica) -> None:
    replica.project(make.project_spec(policy=people_policy()), version=2)
    await feed(replica, a="de", b="fr", c=None)
    await add(replica, "ann", languages=["it"])
    async with replica.client() as admin:
        base = f"/v1/projects/{make.PROJECT}"
        found: list[str] = []
        after = None
        while True:
            page = (await admin.post(f"{base}/slots", json={"limit": 1, "after": after})).json()
            found += [slot["item_id"] for slot in page["slots"]]
            after = page["next"]
            if after is None:
                break
        assert sorted(found) == ["a", "b", "c"]
        asked = {"assignments": [{"item_id": "b", "annotator_id": "ann"}]}
        (given,) = (await admin.post(f"{base}/assign", json=asked)).json()["results"]
        assert given["lease_id"]


async def test_of_several_people_one_is_drawn_by_worth_and_never_twice(replica: Replica) -> None:
    rules = make.policy(auto_accept=None, gold=NO_GOLD, overlap=ev.Overlap(min=2, max=4, prefer=8.0))
    replica.project(make.project_spec(policy=rules), version=2)
    await feed(replica, **{f"i{n}": None for n in range(6)})
    for who in ("ann", "bea", "cyd"):
        await add(replica, who)
    told = {"ann": 0.001, "bea": 0.9, "cyd": 0.3}
    worths = [
        make.quality(ev.Worth(annotator_id=who, nats=nats), subject=f"annotator#{who}", sequence="worth:1")
        for who, nats in told.items()
    ]
    await replica.handle(QUALITY, *worths)
    async with replica.client() as admin:
        asked = [{"item_id": f"i{n}", "annotator_id": "ann", "others": ["bea", "cyd"]} for n in range(6) for _ in "ab"]
        path = f"/v1/projects/{make.PROJECT}/assign"
        given = (await admin.post(path, json={"assignments": asked})).json()["results"]
        assert all(one["lease_id"] for one in given)
        assert [one["annotator_id"] for one in given] == ["bea", "cyd"] * 6


async def test_lanes_are_read_back_from_the_routes(replica: Replica) -> None:
    replica.project(make.project_spec(policy=people_policy()), version=2)
    await replica.rebuild(ROUTES, make.route("a", lane="annotator:de|", project_version=2))
    await replica.handle(ITEMS, make.item("a", text="a", metadata={"language": "de"}))
    assert texts(await take(await add(replica, "bea", languages=["fr"]))) == []
    assert texts(await take(await add(replica, "ann", languages=["de"]))) == ["a"]
