"""An item labelled by two who turn out to be spammers is asked for again, and right: qc and assignment together."""

import asyncio
import time
from random import Random
from typing import Any

import pytest

from shared import events as ev
from shared.bus.admin import create_topics
from shared.bus.reader import read_all
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS, LABELS, PREDICTIONS, PROJECTS, RELABELS, Topic
from tests.support import events as make
from tests.support.assignment import ADMIN_TOKEN
from tests.support.deployment import Deployment
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(120)

SPAMMERS, GOOD = ("sam", "sue"), ("ann", "bob", "cyd")
TRUTH = {f"t{n}": make.CLASSES[n % 3] for n in range(36)} | {"x": "positive"}
POLICY = make.policy(
    overlap=ev.Overlap(min=2, max=5),
    target_posterior=0.7,
    gold=ev.GoldPolicy(share=0.0),
    consensus=ev.ConsensusPolicy(prediction=False),
)


@pytest.fixture
async def deployment(kafka_settings: KafkaSettings, database: Database) -> Deployment:
    deployed = Deployment(kafka_settings, database)
    await create_topics(kafka_settings, partitions=2)
    await deployed.migrate()
    spec = make.project_spec(policy=POLICY)
    await deployed.publish(PROJECTS, make.project_version(spec=spec), make.project_pointer())
    return deployed


async def come(deployed: Deployment, *names: str) -> None:
    await deployed.publish(ITEMS, *(make.item(name, text=name) for name in names))
    await deployed.publish(PREDICTIONS, *(make.abstention(name) for name in names))
    await deployed.until("assignment", "SELECT count(*) FROM rounds WHERE free > 0 AND NOT ended", len(names))


async def join(http: Any) -> dict[str, dict[str, str]]:
    """Everybody's headers."""
    people = [{"id": name} for name in (*SPAMMERS, *GOOD)]
    admin = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    added = (await http.post("/v1/annotators", json={"annotators": people}, headers=admin)).json()["results"]
    return {one["id"]: {"authorization": f"Bearer {got['token']}"} for one, got in zip(people, added, strict=True)}


class People:
    """They answer what they are given: the good ones rightly, spammers by a draw, and x wrongly."""

    def __init__(self, http: Any, tokens: dict[str, dict[str, str]]) -> None:
        self._http, self._tokens, self._rng = http, tokens, Random(3)

    async def answer(self, who: str, count: int) -> int:
        """How many tasks there were."""
        headers = self._tokens[who]
        tasks = (await self._http.post("/v1/next", json={"count": count}, headers=headers)).json()["tasks"]
        given = []
        for task in tasks:
            item = task["content"]["text"]
            drawn = "negative" if item == "x" else self._rng.choice(make.CLASSES)
            value = {"kind": "choice", "choice": TRUTH[item] if who in GOOD else drawn}
            given.append({"lease_id": task["lease_id"], "value": value})
        if given:
            await self._http.post("/v1/submit", json={"submissions": given}, headers=headers)
        return len(given)


async def told(deployed: Deployment, topic: Topic[Any]) -> list[Any]:
    found = [topic.event.validate_json(one.value or b"") for one in await read_all(deployed.kafka, topic.name)]
    return [one for one in found if one.item_id == "x"]


async def test_a_label_by_two_spammers_is_given_again_and_right(deployment: Deployment) -> None:
    async with deployment.services() as http:
        people = People(http, await join(http))
        await come(deployment, "x")
        for who in SPAMMERS:
            assert await people.answer(who, 1) == 1
        await deployment.until("qc", "SELECT label_symbol FROM items WHERE item_id = 'x'", "negative")

        await come(deployment, *sorted(set(TRUTH) - {"x"}))
        done, ends = "SELECT label_version > 1 AND label_symbol = 'positive' FROM items WHERE item_id = 'x'", 60
        until = time.monotonic() + ends
        while not await deployment.value("qc", done):
            assert time.monotonic() < until, await told(deployment, RELABELS)
            answered = [await people.answer(who, 4) for who in (*SPAMMERS, *GOOD)]
            await asyncio.sleep(0.1 if any(answered) else 0.3)

        first, *later = sorted(await told(deployment, LABELS), key=lambda one: one.version)
        assert (first.value, first.evidence.reason) == (make.choice("negative"), "target reached")
        assert later[-1].value == make.choice("positive")
        assert sum(one.opinions for one in (first, *later)) <= POLICY.overlap.max
        doubts = [one for one in await told(deployment, RELABELS) if one.requested_by == "qc"]
        assert {(one.cause, one.opinions) for one in doubts} == {(ev.RelabelCause.LABEL_ERROR, 1)}
        assert [one.round for one in doubts] == list(range(1, len(later) + 1)), "each label at most once"
        wanted = await deployment.value("assignment", "SELECT wanted FROM rounds WHERE item_id = 'x' AND number = 2")
        assert wanted == later[0].opinions, "the round began with one and asked for more one by one"
