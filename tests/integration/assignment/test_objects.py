"""Every route of the document, by every role, with ids that are somebody else's: as if there were no such thing."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support import events as make
from tests.support.assignment import Replica

OTHER = "elsewhere"
CHOICE = {"kind": "choice", "choice": "positive"}
NOBODY, NOTHING = "nobody", "no-such-item"
NO_LEASE = str(UUID(int=0))
STRANGERS = {
    "annotator of another project": ("eve", "annotator", [OTHER]),
    "expert of another project": ("xia", "expert", [OTHER]),
    "lead of another project": ("lea", "lead", [OTHER]),
    "administrator of another project": ("ada", "admin", [OTHER]),
    "annotator of no project": ("zoe", "annotator", []),
    "colleague of the same project": ("ann", "annotator", [make.PROJECT]),
}
CLOSED = {403, 404}


class World:
    """Somebody at work in a project, and ids of theirs beside ids of nobody's."""

    def __init__(self, replica: Replica, lease: str, item: str) -> None:
        self.replica = replica
        self.real = {"lease_id": lease, "project_id": make.PROJECT, "annotator_id": "bob", "item_id": item}
        self.none = {"lease_id": NO_LEASE, "project_id": "no-project", "annotator_id": NOBODY, "item_id": NOTHING}

    def calls(self) -> list[tuple[str, str]]:
        document = self.replica.api.openapi()["paths"]
        return [(method.upper(), path) for path, methods in document.items() for method in methods]

    async def state(self) -> list[Any]:
        """What no stranger may change."""
        queries = (
            "SELECT id, state, expires_at, digest FROM leases ORDER BY token",
            "SELECT id, active, answered, granted, exhausted, ended FROM rounds ORDER BY id",
            "SELECT id, role, token_hash, enabled FROM annotators ORDER BY id",
            "SELECT * FROM quarantines",
            "SELECT id FROM outbox ORDER BY id",
        )
        return [[tuple(row) for row in await self.replica.sql(query)] for query in queries]


def body_of(path: str, ids: dict[str, str], *, behalf: bool) -> dict[str, Any] | None:
    """A valid body with these ids. A route that is not known here fails the test: add it."""
    submission = {"lease_id": ids["lease_id"], "value": CHOICE} | ({"annotator_id": "bob"} if behalf else {})
    project = ids["project_id"]
    bodies: dict[str, dict[str, Any] | None] = {
        "/v1/next": {"project": project},
        "/v1/submit": {"submissions": [submission]},
        "/v1/leases/{lease_id}/submit": {"value": CHOICE},
        "/v1/leases/{lease_id}/skip": {"reason": "unclear"},
        "/v1/leases/{lease_id}/renew": None,
        "/v1/projects/{project_id}/slots": {},
        "/v1/projects/{project_id}/assign": {"assignments": [{"item_id": ids["item_id"], "annotator_id": "bob"}]},
        "/v1/projects/{project_id}/exhaust": {"item_ids": [ids["item_id"]]},
        "/v1/projects/{project_id}/gold": {"item_ids": [ids["item_id"]]},
        "/v1/annotators": {"annotators": [{"id": "mallory", "role": "admin"}]},
        "/v1/annotators/{annotator_id}/token": None,
        "/v1/annotators/{annotator_id}/profile": {"languages": ["en"]},
        "/v1/annotators/{annotator_id}/quarantine": {"project": OTHER},
        "/v1/annotators/{annotator_id}/reinstate": {"project": OTHER},
    }
    return bodies[path]


OWN = {"/v1/me", "/v1/annotators"}
"""What a lead may ask without an id; what it shows is looked at below."""


def told(response: httpx.Response) -> Any:
    """What a caller can learn: status and codes, without the ids that it sent itself."""
    said = response.json()
    if response.status_code != 200:
        return response.status_code, said["code"]
    return [one["problem"] and one["problem"]["code"] for one in said.get("results", [])]


@pytest.fixture
async def world(replica: Replica) -> World:
    replica.project(make.project_spec(project=OTHER))
    (item, *_) = await replica.seed(3)
    bob = await replica.person("bob", "annotator", [make.PROJECT])
    task = (await bob.post("/v1/next", json={})).json()["tasks"][0]
    return World(replica, task["lease_id"], item)


@pytest.mark.parametrize("who", STRANGERS)
async def test_what_is_not_yours_is_not_there(world: World, who: str) -> None:
    name, role, projects = STRANGERS[who]
    client = await world.replica.person(name, role, projects)
    before = await world.state()
    tried = 0
    for method, path in world.calls():
        ids = world.real | ({"annotator_id": "bob"} if "annotator" in path else {})
        if method == "GET" and (path in OWN or "{" not in path):
            continue
        answers = []
        for some in (ids, world.none):
            body = body_of(path, some, behalf=role in ("lead", "admin")) if method != "GET" else None
            answers.append(await client.request(method, path.format_map(some), json=body))
        real, none = (told(one) for one in answers)
        if path == "/v1/next" and role == "annotator" and make.PROJECT in projects:
            continue  # a colleague may take from the same queue
        assert real == none, f"{who}: {method} {path} tells {real} of what is there and {none} of what is not"
        if answers[0].status_code == 200:
            assert real == ["lease_unknown"], f"{who}: {method} {path}"
        else:
            assert answers[0].status_code in CLOSED, f"{who}: {method} {path} is {answers[0].status_code}"
        tried += 1
    assert tried >= 15
    after = await world.state()
    if who.startswith("colleague"):
        held = next(place for place, row in enumerate(before[0]) if str(row[0]) == world.real["lease_id"])
        assert after[0][held] == before[0][held]
        assert after[2:4] == before[2:4]
    else:
        assert after == before


async def test_leads_see_the_people_of_their_projects_and_nobody_else(world: World) -> None:
    replica = world.replica
    lea = await replica.person("lea", "lead", [OTHER])
    await replica.person("eve", "annotator", [OTHER])
    await replica.person("far", "annotator", ["third"])
    await replica.person("gus", "annotator")
    seen, after = [], ""
    while True:
        page = (await lea.get("/v1/annotators", params={"limit": 1, "after": after})).json()
        seen += [one["id"] for one in page["annotators"]]
        if page["next"] is None:
            break
        assert page["next"] in seen  # a cursor is an id too
        after = page["next"]
    assert seen == ["eve", "gus", "lea"]


async def test_an_administrator_of_some_projects_is_one_of_those_alone(world: World) -> None:
    replica = world.replica
    ada = await replica.person("ada", "admin", [OTHER])
    await replica.person("eve", "annotator", [OTHER])
    await replica.person("gus", "annotator")
    await replica.person("kim", "annotator", [OTHER, make.PROJECT])
    for beyond in (None, [OTHER, make.PROJECT]):
        asked = {"annotators": [{"id": "own", "projects": [OTHER]}, {"id": "new", "role": "admin", "projects": beyond}]}
        assert (await ada.post("/v1/annotators", json=asked)).status_code == 403
    for who, expected in (("eve", 200), ("gus", 403), ("kim", 403), ("bob", 404)):
        assert (await ada.post(f"/v1/annotators/{who}/token")).status_code == expected
        assert (await ada.put(f"/v1/annotators/{who}/profile", json={"languages": ["en"]})).status_code == expected
    assert (await ada.post("/v1/annotators/gus/quarantine", json={})).status_code == 403
    for params, expected in (({}, 403), ({"project": make.PROJECT}, 404), ({"project": OTHER}, 200)):
        assert (await ada.get("/v1/audit", params=params)).status_code == expected
    own = {"annotators": [{"id": "own", "role": "admin", "projects": [OTHER]}]}
    assert (await ada.post("/v1/annotators", json=own)).json()["results"][0]["problem"] is None


async def test_only_administrators_read_the_audit_log(world: World) -> None:
    for name, role in (("a", "annotator"), ("x", "expert"), ("l", "lead")):
        client = await world.replica.person(name, role)
        assert (await client.get("/v1/audit")).status_code == 403
    assert (await world.replica.client().get("/v1/audit")).status_code == 200


async def test_a_lead_of_the_project_may(world: World) -> None:
    """The same calls are open to whom they are for, so that the walls above are not of paper."""
    lou = await world.replica.person("lou", "lead", [make.PROJECT])
    answer = {"lease_id": world.real["lease_id"], "annotator_id": "bob", "value": CHOICE}
    for method, path in world.calls():
        if "{project_id}" in path:
            body = body_of(path, world.real, behalf=True) if method == "POST" else None
            answered = await lou.request(method, path.format_map(world.real), json=body)
            assert answered.status_code == 200, f"{method} {path}"
    done = (await lou.post("/v1/submit", json={"submissions": [answer]})).json()["results"]
    assert done[0]["receipt"] is not None
    asked = {"project": make.PROJECT}
    assert (await lou.post("/v1/annotators/bob/quarantine", json=asked)).status_code == 200
