"""`labelstream erase` on a whole deployment: real Kafka, PostgreSQL, and the three services that keep anything."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared import events as ev
from shared.bus.admin import create_topics
from shared.bus.records import Outgoing, outgoing
from shared.clock import utc_now
from shared.runtime.settings import KafkaSettings
from shared.topics import (
    GOLD_ANSWERS,
    GOLD_ITEMS,
    ITEMS,
    PREDICTIONS,
    PROJECTS,
)
from tests.support import events as make
from tests.support.assignment import ADMIN_TOKEN
from tests.support.deployment import Deployment
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(120)

P = make.PROJECT
SECRET = "the words that must go"
VALUE = {"kind": "choice", "choice": "positive"}
POLICY = make.policy(
    auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.0),
    overlap=ev.Overlap(min=1, max=1),
    gold=ev.GoldPolicy(share=0.0),
)
LABELLED = "SELECT count(*) FROM items WHERE label_version > 0"


@pytest.fixture
async def deployment(kafka_settings: KafkaSettings, database: Database) -> Deployment:
    deployed = Deployment(kafka_settings, database)
    await create_topics(kafka_settings, partitions=2)
    await deployed.migrate()
    spec = make.project_spec(policy=POLICY)
    await deployed.publish(PROJECTS, make.project_version(spec=spec), make.project_pointer())
    return deployed


async def stream(deployed: Deployment) -> None:
    """`auto` is labelled by the model, `asked` by ann, `open` waits; `asked` is gold too, and has a dead letter."""
    items = [make.item("auto"), make.item("asked", text=SECRET), make.item("open")]
    await deployed.publish(ITEMS, *items)
    await deployed.publish(GOLD_ITEMS, make.gold_item("asked", text=SECRET))
    await deployed.publish(GOLD_ANSWERS, make.gold_answer("asked"))
    sure, unsure = (
        make.prediction("auto", confidence=0.95, generation=0),
        make.prediction("asked", confidence=0.5, generation=0),
    )
    await deployed.publish(PREDICTIONS, sure, unsure)
    conflict = outgoing(ITEMS, make.item("asked", text="other words"), source="test")
    await deployed.send(conflict)
    await deployed.send(Outgoing(ITEMS.name, None, b'{"project_id": "sentiment", "item_id": "asked"}', ()))


async def answer(http: Any) -> str:
    """ann answers the only open task; her token."""
    admin = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    added = await http.post("/v1/annotators", json={"annotators": [{"id": "ann"}]}, headers=admin)
    token = {"authorization": f"Bearer {added.json()['results'][0]['token']}"}
    (task,) = (await http.post("/v1/next", json={"count": 1}, headers=token)).json()["tasks"]
    body = {"submissions": [{"lease_id": task["lease_id"], "value": VALUE}]}
    assert (await http.post("/v1/submit", json=body, headers=token)).json()["results"][0]["receipt"]
    return str(token["authorization"])


async def test_an_item_and_a_person_are_forgotten_with_proof(deployment: Deployment) -> None:
    async with deployment.services() as http:
        await stream(deployment)
        await deployment.until("assignment", "SELECT count(*) FROM rounds WHERE free > 0", 1)
        await answer(http)
        await deployment.until("assignment", LABELLED, 2)
        await deployment.until("monitor", "SELECT count(*) FROM items WHERE labels > 0", 2)
        await deployment.until("assignment", "SELECT count(*) FROM outbox", 0)
        letters = await deployment.json("dlq", "list")
        assert (letters["dead_letters"], letters["erased"]) == (2, 0)

        proof = await deployment.json("erase", "--project", P, "--item", "asked", "--yes")
        check_proof(proof)
        found = {one["service"]: one for one in proof["services"]}
        assert found["assignment"]["removed"] == {"contents": 1, "leases": 1, "rounds": 1}
        assert found["qc"]["removed"] == {"annotations": 1, "labels": 1, "rounds": 1}
        assert (proof["gold_tombstones"], proof["dead_letters"]) == (True, 2)
        letters = await deployment.json("dlq", "list")
        assert (letters["dead_letters"], letters["erased"]) == (0, 2)
        assert (await deployment.json("dlq", "replay"))["selected"] == 0

        await deployment.publish(ITEMS, make.item("asked", text=SECRET))
        await deployment.publish(PREDICTIONS, make.prediction("asked", confidence=0.99, generation=9))
        await deployment.until("assignment", "SELECT sum(delta)::int FROM tallies WHERE name = 'duplicates'", 1)

        proof = await deployment.json("erase", "--person", "ann", "--yes")
        check_proof(proof)
        assert {topic["topic"] for topic in proof["topics"]} >= {"annotations.v1", "labels.v1", "annotations.v1.dlq"}
        assert (await deployment.json("erase", "--person", "ann", "--check"))["complete"]
        report = await deployment.json("audit")
        assert (report["violations"], report["erased"], report["labelled"], report["open"]) == (0, 1, 1, 1), report
    for service in deployment.urls:
        assert SECRET not in await dump(deployment, service)
    assert not re.search(r"\bann\b", await dump(deployment, "assignment") + await dump(deployment, "qc"))


def check_proof(proof: dict[str, Any]) -> None:
    assert proof["complete"]
    assert {one["left"] for one in proof["services"]} == {0}
    assert all(one["remaining"] and one["confirmed_at"] for one in proof["services"])
    by = {topic["topic"]: datetime.fromisoformat(topic["gone_by"]) - utc_now() for topic in proof["topics"]}
    assert timedelta(days=29) < by["annotations.v1"] < timedelta(days=32)
    assert timedelta(days=29) < by["annotations.v1.dlq"] < timedelta(days=32)


async def dump(deployment: Deployment, service: str) -> str:
    """Every row of a schema as text, the list of erasures apart."""
    async with deployment.connected(service) as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", service)
        names = [row[0] for row in tables if row[0] != "erasures"]
        texts = [await connection.fetchval(f"SELECT string_agg(t::text, ' ') FROM {name} AS t") for name in names]  # noqa: S608
    return "\n".join(text or "" for text in texts)


async def test_a_service_that_does_not_run_is_named(deployment: Deployment) -> None:
    proof = await deployment.json("erase", "--project", P, "--item", "x", "--wait", "0", "--yes", code=1)
    assert not proof["complete"]
    assert all("is it running" in one["why"] for one in proof["services"])
