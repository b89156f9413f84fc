"""What qc finds about people and what assignment does about it: both services, real Kafka and PostgreSQL, the API.

Shares of gold are 0 or 1 throughout: nothing here hangs on a draw.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from shared import events as ev
from shared.bus.admin import create_topics
from shared.bus.reader import read_all
from shared.runtime.settings import KafkaSettings
from shared.topics import GOLD_ANSWERS, GOLD_ITEMS, ITEMS, LABELS, PREDICTIONS, PROJECTS, QUALITY, RELABELS, Topic
from tests.support import events as make
from tests.support.assignment import ADMIN_TOKEN
from tests.support.deployment import Deployment
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(180)
ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}
WITHIN_S = 60.0
SOON = {"gold_interval_s": 0.3, "review_interval_s": 0.3}
ONE = ev.Overlap(min=1, max=1)


def rule(name: str, what: ev.Collected, do: ev.Action, *, for_s: float = 3600.0, **when: Any) -> ev.Rule:
    collect, then = ev.Collect(what=what, over=10), ev.Then(do=do, for_s=for_s, share=1.0)
    return ev.Rule(name=name, collect=collect, when=ev.When.model_validate(when), then=then)


PAUSED = rule("fast", ev.Collected.SECONDS, ev.Action.PAUSE, for_s=6.0, below=1.0, after=5)
CHECKED = rule("streak", ev.Collected.STREAK, ev.Action.MORE_GOLD, above=5.0, after=1)
STRICT = ev.GoldPolicy(share=1.0, least_share=1.0, acceptable=0.9, unacceptable=0.5, false_alarm=0.5)
LENIENT = ev.GoldPolicy(share=1.0, least_share=1.0, false_alarm=1e-9)
SPECS = (
    make.project_spec("fast", policy=make.policy(overlap=ONE, gold=ev.GoldPolicy(share=0.0)), rules=(PAUSED,)),
    make.project_spec("streak", policy=make.policy(overlap=ONE, gold=ev.GoldPolicy(share=0.0)), rules=(CHECKED,)),
    make.project_spec("planned", policy=make.policy(overlap=ONE, gold=LENIENT)),
    make.project_spec("doubted", policy=make.policy(overlap=ONE, gold=STRICT)),
)


@dataclass
class World:
    """The deployment and one project in it."""

    deployed: Deployment
    http: Any
    project: str

    async def items(self, *names: str) -> None:
        """Each is asked about; its text is its name, as that of gold is: a task does not say which it is."""
        fields: dict[str, Any] = {"project_id": self.project}
        await self.deployed.publish(ITEMS, *(make.item(name, text=name, **fields) for name in names))
        await self.deployed.publish(PREDICTIONS, *(make.abstention(name, **fields) for name in names))

    async def gold(self, answers: dict[str, str]) -> None:
        told = [make.gold_answer(name, value=value, project_id=self.project) for name, value in answers.items()]
        await self.deployed.publish(GOLD_ANSWERS, *told)
        await self.deployed.publish(
            GOLD_ITEMS, *(make.gold_item(name, text=name, project_id=self.project) for name in answers)
        )

    async def plan(self, who: str = "") -> list[str]:
        """As assignment has it."""
        query = "SELECT items FROM gold_plans WHERE project_id = $1 AND annotator_id = $2"
        return list(await self.deployed.value("assignment", query, self.project, who) or ())

    async def person(self, name: str) -> "Person":
        body = {"annotators": [{"id": name, "projects": [self.project]}]}
        added = await self.http.post("/v1/annotators", json=body, headers=ADMIN)
        return Person(self, {"authorization": f"Bearer {added.json()['results'][0]['token']}"})

    async def told(self, topic: Topic[Any]) -> list[Any]:
        found = [topic.event.validate_json(one.value or b"") for one in await read_all(self.deployed.kafka, topic.name)]
        return [one for one in found if one.project_id == self.project]


@dataclass
class Person:
    world: World
    headers: dict[str, str]

    async def ask(self) -> tuple[int, str, str]:
        """Status, lease and the item's text; empty where there is none."""
        got = await self.world.http.post(
            "/v1/next", json={"count": 1, "project": self.world.project}, headers=self.headers
        )
        tasks = got.json().get("tasks", [])
        return got.status_code, *((tasks[0]["lease_id"], tasks[0]["content"]["text"]) if tasks else ("", ""))

    async def take(self) -> tuple[str, str]:
        """The next task, as soon as there is one."""
        end = time.monotonic() + WITHIN_S
        while time.monotonic() < end:
            status, lease, text = await self.ask()
            assert status == 200
            if lease:
                return lease, text
            await asyncio.sleep(0.1)
        raise AssertionError("no task")

    async def submit(self, lease: str, value: str = "positive") -> None:
        one = {"lease_id": lease, "value": {"kind": "choice", "choice": value}, "duration_ms": 100}
        got = await self.world.http.post("/v1/submit", json={"submissions": [one]}, headers=self.headers)
        assert got.json()["results"][0]["receipt"], got.text

    async def until_status(self, wanted: int) -> None:
        end = time.monotonic() + WITHIN_S
        while time.monotonic() < end:
            if (await self.ask())[0] == wanted:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"never {wanted}")


@pytest.fixture
async def deployment(kafka_settings: KafkaSettings, database: Database) -> Deployment:
    deployed = Deployment(kafka_settings, database)
    await create_topics(kafka_settings, partitions=2)
    await deployed.migrate()
    for spec in SPECS:
        version, pointer = make.project_version(spec=spec), make.project_pointer(project_id=spec.project)
        await deployed.publish(PROJECTS, version, pointer)
    return deployed


async def test_what_qc_finds_of_people_assignment_obeys(deployment: Deployment) -> None:
    async with deployment.services(SOON) as http:
        async with asyncio.TaskGroup() as group:
            for spec, story in zip(SPECS, (_paused, _given_gold, _planned, _quarantined), strict=True):
                group.create_task(story(World(deployment, http, spec.project)))
        for service in ("assignment", "qc", "monitor"):
            await deployment.until(service, "SELECT count(*)::int FROM outbox", 0)
        report = await deployment.json("audit")
        assert report["violations"] == 0, report


async def _paused(world: World) -> None:
    """Somebody who answers too fast is not asked for a time; others are."""
    await world.items(*(f"i{n}" for n in range(150)))
    hal, ada = await world.person("hal"), await world.person("ada")
    answered = 0
    while (found := await hal.ask())[0] == 200:
        if found[1]:
            await hal.submit(found[1])
            answered += 1
        await asyncio.sleep(0.05)
    assert found[0] == 403
    assert answered >= PAUSED.when.after
    assert (await ada.take())[1]
    fired = [one.measurement for one in await world.told(QUALITY) if isinstance(one.measurement, ev.RuleFired)]
    assert [(one.annotator_id, one.rule, one.action) for one in fired[:1]] == [("hal", "fast", ev.Action.PAUSE)]
    await hal.until_status(200)


async def _given_gold(world: World) -> None:
    """Somebody who answers one class in a row is given gold, all that there is, though the policy gives none."""
    golden = {f"g{n}": "negative" for n in range(3)}
    await world.gold(golden)
    await world.items(*(f"i{n}" for n in range(150)))
    sid = await world.person("sid")
    texts: list[str] = []
    while len(golden.keys() & texts) < len(golden):
        lease, text = await sid.take()
        texts.append(text)
        await sid.submit(lease)
        await asyncio.sleep(0.05)
    first = next(n for n, text in enumerate(texts) if text in golden)
    assert first > CHECKED.when.limit
    assert set(texts[first:]) == golden.keys()
    assert len(texts[first:]) == len(golden)
    results = [one.measurement for one in await world.told(QUALITY) if isinstance(one.measurement, ev.RuleFired)]
    assert {(one.rule, one.action, one.share) for one in results} == {("streak", ev.Action.MORE_GOLD, 1.0)}


async def _planned(world: World) -> None:
    """Gold comes in the order that qc planned: each class in turn, and most of what the person gets wrong."""
    classes = ("positive",) * 6 + ("negative",) * 2 + ("neutral",)
    golden = {f"g{n}": name for n, name in enumerate(classes)}
    await world.gold(golden)
    await world.items("waits")  # gold takes the place of what is asked for
    usual = await _until_planned(world, "", golden)
    assert {golden[item] for item in usual[:3]} == set(make.CLASSES)
    eva = await world.person("eva")
    held = [await eva.take() for _ in golden]
    order = [text for _, text in held]
    start = usual.index(order[0])
    assert order == usual[start:] + usual[:start]
    fresh = {f"h{n}": ("positive", "negative")[n % 2] for n in range(8)}
    await world.gold(fresh)
    await _until_planned(world, "", golden | fresh)
    for lease, _ in held:
        await eva.submit(lease, "positive")
    own = await _until_planned(world, "eva", fresh)
    assert (golden | fresh)[own[0]] == "negative"
    assert [(await eva.take())[1] for _ in own] == own


async def _until_planned(world: World, who: str, items: dict[str, str]) -> list[str]:
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        found = await world.plan(who)
        if set(found) == items.keys():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"no plan of {sorted(items)}")


async def _quarantined(world: World) -> None:
    """Somebody gets gold wrong: they are not asked any more, and others give again what stood on their word alone."""
    names = [f"i{n}" for n in range(4)]
    await world.items(*names)
    dan, ann = await world.person("dan"), await world.person("ann")
    for _ in names:
        await dan.submit((await dan.take())[0], "negative")
    await _labelled(world, names, 1)
    golden = dict.fromkeys(("g0", "g1"), "positive")
    await world.gold(golden)
    await _until_planned(world, "", golden)
    await world.items("waits")  # gold takes the place of what is asked for
    lease, text = await dan.take()
    assert text.startswith("g")
    await dan.submit(lease, "negative")
    await dan.until_status(403)
    given: set[str] = set()
    while not given >= set(names):  # after the gold; dan may still hold what waits
        lease, text = await ann.take()
        await ann.submit(lease, "positive")
        given.add(text)
    await _labelled(world, names, 2)
    asked: list[ev.Relabel] = await world.told(RELABELS)
    assert {one.item_id for one in asked} == set(names)
    assert {(one.cause, one.excluded_annotators) for one in asked} == {(ev.RelabelCause.QUARANTINE, ("dan",))}
    for label in (one for one in await world.told(LABELS) if one.item_id != "waits"):
        who = "dan" if label.version == 1 else "ann"
        assert [vote.annotator_id for vote in label.evidence.votes] == [who]


async def _labelled(world: World, names: Sequence[str], version: int) -> None:
    query = f"SELECT count(*)::int FROM items WHERE project_id = '{world.project}' AND label_version = {version}"  # noqa: S608
    await world.deployed.until("assignment", query, len(names), within_s=WITHIN_S)
