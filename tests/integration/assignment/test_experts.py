"""A hard item goes to an expert because its relabel request says so, on real PostgreSQL."""

from typing import Any

import httpx

from shared import events as ev
from shared.topics import ANNOTATIONS, ITEMS, LABELS, PREDICTIONS, RELABELS, ROUTES
from tests.support import events as make
from tests.support.assignment import Replica

CHOICE = {"kind": "choice", "choice": "positive"}
POLICY = make.policy(auto_accept=None, experts=True, gold=ev.GoldPolicy(share=0.0))
HARD: dict[str, Any] = {"cause": ev.RelabelCause.DISAGREEMENT, "audience": ev.Audience.EXPERT}


async def take(person: httpx.AsyncClient) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = (await person.post("/v1/next", json={"count": 9})).json()["tasks"]
    return tasks


async def submit(person: httpx.AsyncClient, task: dict[str, Any]) -> None:
    (await person.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})).raise_for_status()


async def labelled(replica: Replica, *names: str) -> None:
    """Items that ann has answered, and their labels."""
    await replica.handle(ITEMS, *(make.item(name, text=name) for name in names))
    await replica.handle(PREDICTIONS, *(make.prediction(name, confidence=0.5) for name in names))
    ann = await replica.person("ann")
    for task in await take(ann):
        await submit(ann, task)
    await replica.handle(LABELS, *(make.label(name, path=ev.Path.SINGLE, posterior=None) for name in names))


async def test_a_hard_item_is_only_an_experts_and_a_suspect_label_anybodys(replica: Replica) -> None:
    replica.project(make.project_spec(policy=POLICY))
    await labelled(replica, "hard", "suspect")
    await replica.handle(RELABELS, make.relabel("hard", **HARD))
    await replica.handle(RELABELS, make.relabel("suspect", cause=ev.RelabelCause.LABEL_ERROR))
    bob, eve = await replica.person("bob"), await replica.person("eve", role="expert")
    assert [task["content"]["text"] for task in await take(bob)] == ["suspect"]
    (task,) = await take(eve)
    assert task["content"]["text"] == "hard"
    await submit(eve, task)
    answers = await replica.published(ANNOTATIONS)
    assert (answers[-1].item_id, answers[-1].round, answers[-1].role) == ("hard", 2, ev.Audience.EXPERT)
    opened = [route for route in await replica.published(ROUTES) if route.round == 2]
    assert {route.item_id: route.audience for route in opened} == {
        "hard": ev.Audience.EXPERT, "suspect": ev.Audience.ANNOTATOR,
    }  # fmt: skip
    assert await take(eve) == []


async def test_a_request_that_comes_while_its_round_is_open_takes_it_to_the_experts(replica: Replica) -> None:
    """Also before its label, and again after another process read the rows back."""
    replica.project(make.project_spec(policy=POLICY))
    await labelled(replica, "i1")
    await replica.handle(RELABELS, make.relabel("i1", cause=ev.RelabelCause.QUARANTINE, requested_by="qc"))
    bob, eve = await replica.person("bob"), await replica.person("eve", role="expert")
    await replica.handle(RELABELS, make.relabel("i1", **HARD))
    await replica.handle(RELABELS, make.relabel("i1", **HARD))
    steps = [(r.step, r.audience) for r in await replica.published(ROUTES) if r.round == 2]
    assert steps == [(1, ev.Audience.ANNOTATOR), (2, ev.Audience.EXPERT)], "told once"
    assert await take(bob) == []
    assert len(await take(eve)) == 1
    await replica.handle(ITEMS, make.item("i2", text="i2"))
    await replica.handle(PREDICTIONS, make.prediction("i2", confidence=0.5))
    await replica.handle(RELABELS, make.relabel("i2", **HARD))
    (task,) = await take(bob)
    await submit(bob, task)
    await replica.handle(LABELS, make.label("i2", path=ev.Path.SINGLE, posterior=None))
    assert await take(bob) == []
    assert [task["content"]["text"] for task in await take(eve)] == ["i2"]
