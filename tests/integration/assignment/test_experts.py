"""A hard item goes to an expert because its relabel request says so, on real PostgreSQL."""

from typing import Any

import httpx
import pytest

from services.assignment.api import matching
from shared import events as ev
from shared.topics import ANNOTATIONS, ESCALATIONS, ITEMS, LABELS, PREDICTIONS, RELABELS, ROUTES
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
    await replica.handle(ITEMS, make.item("i3", text="i3"))
    await replica.handle(PREDICTIONS, make.prediction("i3", confidence=0.5))
    await replica.handle(RELABELS, make.relabel("i3", cause=ev.RelabelCause.REVISION, requested_by="qc"))
    (task,) = await take(bob)
    await submit(bob, task)
    await replica.handle(LABELS, make.label("i3", path=ev.Path.SINGLE, posterior=None))
    end = (await replica.published(ANNOTATIONS))[-1]
    assert (end.item_id, end.round, end.outcome, end.renaming) == ("i3", 2, ev.Outcome.EXHAUSTED, False)
    assert await take(bob) + await take(eve) == []


@pytest.fixture(autouse=True)
def _lanes_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "LANES_S", 0.0)


IN_GROUPS = ev.Experts(groups=("seniors",), classes={"negative": ("lawyers",)}, fall_back_s=600.0)
GROUPED = POLICY.model_copy(update={"people": ev.People(experts=IN_GROUPS)})


async def expert(replica: Replica, name: str, **profile: Any) -> httpx.AsyncClient:
    async with replica.client() as admin:
        person = {"id": name, "role": "expert"} | profile
        response = (await admin.post("/v1/annotators", json={"annotators": [person]})).raise_for_status()
        return replica.client(response.json()["results"][0]["token"])


async def hard_ones(replica: Replica) -> None:
    """Three hard items: of a class for lawyers, of any other class, and one in German."""
    items = {"contract": ("negative", None), "poem": ("positive", None), "gedicht": ("positive", "de")}
    metadata: dict[str, dict[str, Any]] = {
        n: {} if said is None else {"language": said} for n, (_, said) in items.items()
    }
    await replica.handle(ITEMS, *(make.item(name, text=name, metadata=metadata[name]) for name in items))
    guesses = [make.prediction(name, value=value, confidence=0.5) for name, (value, _) in items.items()]
    await replica.handle(PREDICTIONS, *guesses)
    ann = await replica.person("ann")
    for task in await take(ann):
        await submit(ann, task)
    await replica.handle(LABELS, *(make.label(name, path=ev.Path.SINGLE, posterior=None) for name in items))
    await replica.handle(RELABELS, *(make.relabel(name, **HARD) for name in items))


def texts(tasks: list[dict[str, Any]]) -> list[str]:
    return sorted(task["content"]["text"] for task in tasks)


async def test_a_hard_item_goes_to_the_group_of_its_class_and_language_and_says_so(replica: Replica) -> None:
    replica.project(make.project_spec(policy=GROUPED), version=2)
    await hard_ones(replica)
    opened = {one.item_id: one for one in await replica.published(ROUTES) if one.round == 2}
    assert {name: one.lane for name, one in opened.items()} == {
        "contract": "expert:|lawyers", "poem": "expert:|seniors", "gedicht": "expert:de|seniors",
    }  # fmt: skip
    assert opened["contract"].reason.endswith("; to experts of lawyers")
    assert opened["gedicht"].reason.endswith("; to experts of seniors who speak de")
    nobody = await expert(replica, "nobody")
    french = await expert(replica, "french", groups=["seniors"], languages=["fr"])
    lawyer = await expert(replica, "lawyer", groups=["lawyers", "cooks"])
    both = await expert(replica, "both", groups=["seniors", "lawyers"], languages=["de"])
    assert await take(nobody) == []
    assert texts(await take(french)) == ["poem"]
    assert texts(await take(lawyer)) == ["contract"]
    assert texts(await take(both)) == ["gedicht"]
    async with replica.client() as admin:
        listed = await admin.post(f"/v1/projects/{make.PROJECT}/slots", json={"audience": "expert"})
        assert listed.json()["slots"] == [], "each is with somebody"


@pytest.mark.parametrize("members", ["busy", "away"])
async def test_who_waits_too_long_for_a_group_goes_to_any_expert(replica: Replica, members: str) -> None:
    replica.project(make.project_spec(policy=GROUPED), version=2)
    await hard_ones(replica)
    nobody = await expert(replica, "nobody")
    assert await take(nobody) == []
    if members == "busy":  # present, and takes nothing
        await expert(replica, "lawyer", groups=["lawyers"])
        await replica.sql("UPDATE annotators SET last_seen_at = now()")
    await replica.housekeeping.flush()
    await replica.sql("UPDATE rounds SET waiting_since = now() - interval '5 minutes'")
    await replica.sweeper.sweep()
    said = [one for one in await replica.published(ROUTES) if one.round == 2 and one.item_id == "contract"]
    assert [one.state for one in said[1:]] == ([] if members == "busy" else [ev.RouteState.BLOCKED])
    if members == "away":
        assert "no expert of |lawyers is present" in said[-1].reason
    await replica.sql("UPDATE rounds SET narrow_since = now() - interval '11 minutes' WHERE item_id <> 'poem'")
    await replica.sweeper.sweep()
    said = [one for one in await replica.published(ROUTES) if one.round == 2 and one.item_id == "contract"]
    assert (said[-1].state, said[-1].lane, said[-1].audience) == (ev.RouteState.QUEUED, None, ev.Audience.EXPERT)
    assert said[-1].reason == "no expert of lawyers has answered in 660 s: to any expert"
    assert texts(await take(nobody)) == ["contract", "gedicht"], "the poem still waits for its group"


async def test_an_escalation_of_an_open_round_names_the_group_too_and_routes_say_it_after_a_loss(
    replica: Replica,
) -> None:
    replica.project(make.project_spec(policy=GROUPED), version=2)
    await replica.handle(ITEMS, make.item("i1", text="i1"))
    await replica.handle(PREDICTIONS, make.prediction("i1", value="negative", confidence=0.5))
    ann = await replica.person("ann")
    for task in await take(ann):
        await submit(ann, task)
    await replica.handle(ESCALATIONS, make.escalation("i1", ask=ev.Ask.EXPERT, opinions_wanted=1))
    said = await replica.published(ROUTES)
    assert (said[-1].audience, said[-1].lane) == (ev.Audience.EXPERT, "expert:|lawyers")
    lost = make.route("i2", audience=ev.Audience.EXPERT, lane="expert:|lawyers", project_version=2)
    await replica.rebuild(ROUTES, lost)
    await replica.handle(ITEMS, make.item("i2", text="i2"))
    assert await take(await expert(replica, "nobody")) == []
    assert texts(await take(await expert(replica, "lawyer", groups=["lawyers"]))) == ["i1", "i2"]
