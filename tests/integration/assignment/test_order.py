"""The queue's order on real PostgreSQL: duplicates, new models, budgets per cycle of training."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import pytest

from cli.project.presets import policy_of
from services.assignment.store.offers import Wanted
from services.assignment.store.offers import take as take_offers
from shared import events as ev
from shared.labels import ChoiceSchema
from shared.topics import ANNOTATIONS, GOLD_ITEMS, ITEMS, MODELS, PREDICTIONS, QUALITY, ROUTES
from tests.support import events as make
from tests.support.assignment import Replica
from tests.support.onnx_models import DIGITS, digits, png
from tests.support.prelabel import Prelabel, items

CHOICE = {"kind": "choice", "choice": "positive"}
NO_GOLD = ev.GoldPolicy(share=0.0)


def budgeted(items: int, **more: float) -> ev.Policy:
    return make.policy(auto_accept=None, gold=NO_GOLD, budget=ev.Budget(items=items, **more))


async def take(person: httpx.AsyncClient, count: int = 50) -> list[str]:
    """Texts of the tasks, in the order of the queue."""
    response = await person.post("/v1/next", json={"count": count})
    response.raise_for_status()
    return [task["content"]["text"] for task in response.json()["tasks"]]


def promote(replica: Replica, generation: int) -> None:
    version = f"m{generation}"
    replica.publish(
        MODELS,
        make.model_version(version=version),
        make.model_pointer(version=version, generation=generation),
    )


async def test_copies_wait_behind_what_is_new_and_none_is_dropped(replica: Replica) -> None:
    policy = make.policy(auto_accept=None, gold=NO_GOLD, order=ev.Order(duplicates=0.5))
    replica.project(make.project_spec(policy=policy), version=2)
    texts = ["the parcel came late and was wet on one side"] * 6 + ["a fine lamp that is bright", "no socks in the box"]
    names = [f"i{n}" for n in range(len(texts))]
    await replica.handle(ITEMS, *(make.item(name, text=text) for name, text in zip(names, texts, strict=True)))
    await replica.handle(PREDICTIONS, *(make.prediction(name, confidence=0.6) for name in names))
    ann = await replica.person("ann")
    assert sorted(await take(ann, 3)) == sorted(set(texts))
    assert await take(ann) == texts[:5]


async def test_a_copy_that_comes_again_with_a_new_model_stays_behind(replica: Replica) -> None:
    policy = make.policy(auto_accept=None, gold=NO_GOLD, order=ev.Order(duplicates=0.5))
    replica.project(make.project_spec(policy=policy), version=2)
    await replica.handle(ITEMS, *(make.item(name, text="the parcel came late and was wet") for name in "abc"))
    await replica.handle(PREDICTIONS, *(make.prediction(name, confidence=0.6) for name in "abc"))
    await replica.handle(PREDICTIONS, *(make.prediction(name, confidence=0.5, generation=2) for name in "abc"))
    rows = await replica.sql("SELECT item_id, priority, spread FROM rounds ORDER BY item_id")
    assert [row["spread"] for row in rows] == [0.0, -0.5, -0.5]
    assert rows[0]["priority"] - rows[1]["priority"] == pytest.approx(0.5)


async def test_people_who_confuse_a_class_make_its_items_come_first(replica: Replica) -> None:
    order = ev.Order(margin=0.0, entropy=0.0, disagreement=1.0)
    policy = make.policy(auto_accept=None, gold=NO_GOLD, order=order)
    replica.project(make.project_spec(policy=policy), version=2)
    cells = (
        ev.ConfusionCell(truth="neutral", answered="neutral", answers=10),
        ev.ConfusionCell(truth="neutral", answered="positive", answers=10),
    )
    skill = ev.Skill(annotator_id="ann", accuracy=0.7, low=0.6, high=0.8, judged=20, correct=10, confusion=cells)
    await replica.handle(QUALITY, make.quality(skill))
    await replica.handle(ITEMS, make.item("p", text="p"), make.item("n", text="n"))
    await replica.handle(
        PREDICTIONS,
        make.prediction("p", value="positive", confidence=0.8),
        make.prediction("n", value="neutral", confidence=0.8),
    )
    assert await take(await replica.person("ann")) == ["n", "p"]


async def test_a_budget_is_spent_once_however_many_people_ask(replica: Replica) -> None:
    """Begun items go on; the next cycle brings the next items; what waits is never lost."""
    replica.project(make.project_spec(policy=budgeted(10)), version=2)
    await replica.seed(40)
    people = [await replica.person(f"ann{n}") for n in range(6)]
    assert await take(people[0]) == []  # no cycle has begun yet
    await replica.choosing.renew()
    found: Sequence[list[str]] = await asyncio.gather(*(take(person, 3) for person in people))
    assert sum(map(len, found)) == 10
    assert len({text for one in found for text in one}) == 10
    assert await take(people[5]) == []
    await replica.choosing.renew()
    assert (await replica.sql("SELECT begun FROM cycles"))[0]["begun"] == 10
    await replica.sql("UPDATE cycles SET began_at = now() - interval '1 day 1 second'")
    await replica.choosing.renew()
    assert len(await take(people[5])) == 10
    assert len(await replica.sql("SELECT FROM rounds WHERE free > 0 AND NOT started")) == 20


async def test_begun_rounds_go_on_when_the_budget_is_spent(replica: Replica) -> None:
    policy = budgeted(2).model_copy(update={"overlap": ev.Overlap(min=2, max=3)})
    replica.project(make.project_spec(policy=policy), version=2)
    await replica.seed(5)
    await replica.choosing.renew()
    ann, bea, cem = [await replica.person(name) for name in ("ann", "bea", "cem")]
    first = await take(ann)
    assert len(first) == 2
    assert sorted(await take(bea)) == sorted(first)
    assert await take(cem) == []
    assert (await replica.sql("SELECT begun FROM cycles"))[0]["begun"] == 2
    (lease,) = await replica.sql("SELECT id FROM leases WHERE annotator_id = 'ann' LIMIT 1")
    (await ann.post(f"/v1/leases/{lease['id']}/submit", json={"value": CHOICE})).raise_for_status()
    (given,) = await replica.published(ANNOTATIONS)
    assert given.policy.overlap == policy.overlap
    assert given.policy.budget is None  # what qc has no use for does not travel with every answer


async def test_the_budget_holds_where_gold_is_mixed_in(replica: Replica) -> None:
    policy = budgeted(4).model_copy(update={"gold": ev.GoldPolicy(share=0.5)})
    replica.project(make.project_spec(policy=policy), version=2)
    replica.publish(GOLD_ITEMS, *(make.gold_item(f"g{n}") for n in range(3)))
    await replica.seed(30)
    await replica.choosing.renew()
    ann = await replica.person("ann")
    for _ in range(20):
        await take(ann, 2)
    rounds = await replica.sql("SELECT FROM leases WHERE NOT gold")
    assert len(rounds) == 4
    assert (await replica.sql("SELECT begun FROM cycles"))[0]["begun"] == 4


async def test_the_next_cycle_begins_when_the_queue_is_in_the_new_models_order(replica: Replica) -> None:
    replica.project(make.project_spec(policy=budgeted(2)), version=2)
    promote(replica, 1)
    names = await replica.seed(6)
    await replica.choosing.renew()
    ann = await replica.person("ann")
    assert len(await take(ann)) == 2
    promote(replica, 2)
    await replica.choosing.renew()
    assert await take(ann) == []  # the front of the queue is still in the old model's order
    await replica.handle(
        PREDICTIONS,
        *(
            make.prediction(name, confidence=0.9 if name != names[-1] else 0.4, generation=2, model_version="m2")
            for name in names
        ),
    )
    await replica.choosing.renew()
    assert (await replica.sql("SELECT generation, begun FROM cycles"))[0]["generation"] == 2
    found = await take(ann, 1)
    assert found == [f"text of {names[-1]}"]  # what the new model doubts


async def test_what_no_cycle_chose_is_sampled_out_with_its_reason(replica: Replica) -> None:
    order = ev.Order(explore=0.25)
    policy = budgeted(2, kept_s=3600.0).model_copy(update={"order": order})
    replica.project(make.project_spec(policy=policy), version=2)
    names = await replica.seed(12)  # they were created long ago
    await replica.handle(ITEMS, make.item("fresh", created_at=make.at(86_400 * 800)))
    await replica.handle(PREDICTIONS, make.prediction("fresh"))
    await replica.choosing.renew()
    ann = await replica.person("ann")
    begun = {text.removeprefix("text of ") for text in await take(ann)}
    assert len(begun) == 2
    await replica.choosing.leave_out()
    await replica.choosing.leave_out()
    rows = {row["item_id"]: row["standing"] for row in await replica.sql("SELECT item_id, standing FROM items")}
    assert {name for name, standing in rows.items() if standing == "open"} == begun | {"fresh"}
    assert {rows[name] for name in set(names) - begun} == {"sampled_out"}
    routes = [one for one in await replica.published(ROUTES) if one.state is ev.RouteState.SAMPLED_OUT]
    assert sorted(one.item_id for one in routes) == sorted(set(names) - begun)
    assert all("others were worth more" in one.reason and one.inclusion_probability <= 0.25 for one in routes)
    assert all(one.step == 2 for one in routes)


async def test_the_presets_of_learning_work_as_they_stand(replica: Replica) -> None:
    """The same items under both: one in the order of doubt, the other in an order of chance, both within the budget."""
    orders = {}
    for version, name in enumerate(("active_learning", "random"), start=2):
        project = name.replace("_", "-")
        policy = policy_of(name, gold={"share": 0.0}, budget={"items": 10}, order={"explore": 0.0})
        replica.project(make.project_spec(project=project, policy=policy), version=version)
        names = [f"i{n:02d}" for n in range(40)]
        await replica.handle(ITEMS, *(make.item(one, project_id=project, text=f"{one} {one}") for one in names))
        await replica.handle(
            PREDICTIONS,
            *(make.prediction(one, project_id=project, confidence=0.35 + n / 100) for n, one in enumerate(names)),
        )
        await replica.choosing.renew()
        person = await replica.person(f"ann-{project}", projects=[project])
        orders[name] = [text.split()[0] for text in await take(person)]
        assert len(orders[name]) == 10
    doubted = sum(int(one[1:]) < 20 for one in orders["active_learning"])
    assert doubted >= 8
    assert orders["random"] != sorted(orders["random"])
    assert 2 <= sum(int(one[1:]) < 20 for one in orders["random"]) <= 8


async def test_a_budget_is_exact_over_replicas(replica: Replica) -> None:
    """Many connections at once, as replicas have them: whoever comes later sees what was spent before."""
    replica.project(make.project_spec(policy=budgeted(10)), version=2)
    await replica.seed(60)
    await replica.choosing.renew()
    pool = replica.service.database.pool

    async def ask(who: str) -> int:
        async with pool.acquire() as connection:
            wanted = Wanted(
                make.PROJECT, ev.Audience.ANNOTATOR, who, [uuid4() for _ in range(3)], 200, 60.0, (b"", [], []), 10
            )
            return len((await take_offers(connection, wanted)).offers)

    given = await asyncio.gather(*(ask(f"ann{n}") for n in range(16)))
    assert sum(given) == 10
    assert (await replica.sql("SELECT begun FROM cycles"))[0]["begun"] == 10


async def test_copies_of_pictures_wait_behind_what_is_new(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """prelabel's own predictions: a picture, sent 20 times with a little noise, does not crowd the others out."""
    draw = np.random.default_rng(2)
    originals = draw.integers(0, 256, size=(10, 8, 8))
    shown = [*(np.clip(originals[0] + draw.normal(0, 4, (8, 8)), 0, 255) for _ in range(20)), *originals[1:]]
    trained = digits()
    spec = make.project_spec(
        data="image",
        label=ChoiceSchema(classes=DIGITS),
        policy=make.policy(auto_accept=None, gold=NO_GOLD, order=ev.Order(duplicates=1.0, margin=0.0, entropy=0.0)),
    )
    prelabel = Prelabel.make(tmp_path / "models", monkeypatch)
    prelabel.project(DIGITS, data="image", name=make.PROJECT, policy=spec.policy)
    prelabel.register(trained.content, trained.manifest, project=make.PROJECT)
    prelabel.promote("m1", 1, project=make.PROJECT)
    contents = [ev.MediaContent(kind="image", data=png(one)) for one in shown]
    predicted = await prelabel.predict(contents, project=make.PROJECT)
    replica.project(spec, version=2)
    await replica.handle(ITEMS, *items(contents, make.PROJECT))
    await replica.handle(PREDICTIONS, *predicted)
    await (await replica.person("ann")).post("/v1/next", json={"count": 10})
    first = {row["item_id"] for row in await replica.sql("SELECT item_id FROM leases")}
    assert first == {f"i{n}" for n in range(20, 29)} | {"i0"}
    assert len(await replica.sql("SELECT FROM rounds WHERE NOT ended")) == 29  # the copies wait, none is dropped
    kept = await replica.sql("SELECT guess FROM items UNION ALL SELECT guess FROM rounds")
    assert not [row for row in kept if "sketch" in row["guess"]]
