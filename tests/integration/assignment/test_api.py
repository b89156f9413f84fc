"""The edge of the API: who may do what, and what bad requests get."""

import json
from typing import Any

import httpx
import pytest

from shared import events as ev
from shared.topics import ANNOTATIONS, ESCALATIONS, GUIDELINES, QUALITY
from tests.support import events as make
from tests.support.assignment import Replica

CHOICE = {"kind": "choice", "choice": "positive"}
BASE = f"/v1/projects/{make.PROJECT}"


async def test_nothing_works_without_a_valid_token(replica: Replica) -> None:
    calls = [
        (method.upper(), path.replace("{lease_id}", "x"))
        for path, methods in replica.api.openapi()["paths"].items()
        for method in methods
    ]
    assert len(calls) >= 15
    for token in ("", "ls_wrong", "a" * 300, "kW3z9QpL7vXn2RbT5mYc8JdH4gFs6Ae"):
        async with replica.client(token) as client:
            for method, path in calls:
                refused = await client.request(method, path, json={})
                if path.startswith("/v1/media/"):  # a link is signed, and asks for no token
                    assert (refused.status_code, refused.json()["code"]) == (403, "link_invalid")
                    continue
                assert refused.status_code == 401, path
                assert refused.json()["code"] == "unauthenticated"
                assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_roles(replica: Replica) -> None:
    ann = await replica.person("ann")
    lead = await replica.person("lou", "lead", [make.PROJECT])
    stranger = await replica.person("sue", "lead", ["elsewhere"])
    admin = replica.client()
    for path in (f"{BASE}/slots", f"{BASE}/assign", f"{BASE}/exhaust", "/v1/annotators", "/v1/annotators/ann/token"):
        assert (await ann.post(path, json={})).json()["code"] == "forbidden", path
    assert (await lead.post("/v1/annotators", json={"annotators": [{"id": "x"}]})).status_code == 403
    assert (await lead.post("/v1/annotators/ann/token")).status_code == 403
    assert (await lead.post("/v1/next", json={})).status_code == 403
    assert (await lead.get(f"{BASE}/progress")).status_code == 200
    assert (await stranger.get(f"{BASE}/progress")).status_code == 404
    assert (await admin.get("/v1/projects/nobodys/progress")).status_code == 404
    assert (await lead.post("/v1/annotators/ann/quarantine", json={})).status_code == 403
    assert (await lead.post("/v1/annotators/ann/quarantine", json={"project": "elsewhere"})).status_code == 404
    assert (await lead.post("/v1/annotators/ann/quarantine", json={"project": make.PROJECT})).status_code == 200
    assert (await admin.post("/v1/annotators/nobody/token")).json()["code"] == "annotator_unknown"
    me = (await lead.get("/v1/me")).json()
    assert (me["role"], me["projects"]) == ("lead", [make.PROJECT])


async def test_a_new_token_replaces_the_old_one_and_is_stored_as_a_hash(replica: Replica) -> None:
    ann = await replica.person("ann")
    async with replica.client() as admin:
        fresh = (await admin.post("/v1/annotators/ann/token")).json()["token"]
        again = await admin.post("/v1/annotators", json={"annotators": [{"id": "ann"}, {"id": "admin"}]})
    assert [one["problem"]["code"] for one in again.json()["results"]] == ["annotator_exists"] * 2
    assert (await ann.get("/v1/me")).status_code == 401
    assert (await replica.client(fresh).get("/v1/me")).json()["id"] == "ann"
    assert fresh.startswith("ls_")
    stored = await replica.sql("SELECT row_to_json(a)::text AS row FROM annotators AS a")
    assert fresh not in stored[0]["row"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{", "body"),
        (b"[" * 200_000, "body"),
        (b'{"value": {"kind": "choice", "choice": "a\\u0000b"}}', "value"),
        (b'{"value": {"kind": "choice"}}', "choice"),
        (b'{"value": {"kind": "shape"}}', "value"),
        (b'{"value": {"kind": "rating", "rating": NaN}}', "rating"),
        (b'{"value": {"kind": "choice", "choice": "positive"}, "comment": "\\u0000"}', "comment"),
        (b'{"value": {"kind": "choice", "choice": "positive"}, "duration_ms": -1}', "duration_ms"),
        (b'{"value": {"kind": "choice", "choice": "positive"}, "gold": true}', "gold"),
        ('{"value": "\xff"}'.encode("latin-1"), "body"),
        (b"null", "body"),
    ],
)
async def test_bad_bodies_get_a_problem_that_says_where(replica: Replica, body: bytes, where: str) -> None:
    await replica.seed(1)
    ann = await replica.person("ann")
    task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
    headers = {"content-type": "application/json"}
    refused = await ann.post(f"/v1/leases/{task['lease_id']}/submit", content=body, headers=headers)
    assert refused.status_code in (400, 422), refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert {"code", "message", "action", "status", "title", "type"} <= problem.keys()
    if refused.status_code == 422:
        assert where in problem["message"], problem
    assert (await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})).status_code == 200


async def test_a_body_over_a_mebibyte_is_refused(replica: Replica) -> None:
    ann = await replica.person("ann")

    async def stream() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    for content in (b" " * 1_048_577, stream()):
        refused = await ann.post("/v1/next", content=content, headers={"content-type": "application/json"})
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large")


async def test_every_response_has_the_security_headers(replica: Replica) -> None:
    async with replica.client() as admin:
        for path in ("/v1/me", "/v1/nothing", f"{BASE}/progress", "/openapi.json"):
            headers = (await admin.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert headers["content-security-policy"].startswith("default-src 'none'")


async def crew(admin: httpx.AsyncClient) -> None:
    people = [{"id": name, "token": False} for name in ("w1", "w2")] + [{"id": "x1", "role": "expert"}]
    await admin.post("/v1/annotators", json={"annotators": people})


async def assign(admin: httpx.AsyncClient, *pairs: tuple[str, str]) -> list[dict[str, Any]]:
    body = {"assignments": [{"item_id": item, "annotator_id": who} for item, who in pairs]}
    found: list[dict[str, Any]] = (await admin.post(f"{BASE}/assign", json=body)).json()["results"]
    return found


async def test_leads_see_the_queue_page_by_page(replica: Replica) -> None:
    await replica.seed(5)
    admin = replica.client()
    first = (await admin.post(f"{BASE}/slots", json={"limit": 3})).json()
    rest = (await admin.post(f"{BASE}/slots", json={"limit": 3, "after": first["next"]})).json()
    names = [slot["item_id"] for slot in first["slots"] + rest["slots"]]
    assert sorted(names) == [f"i{n:06}" for n in range(5)]
    assert rest["next"] is None
    assert (await admin.post(f"{BASE}/slots", json={"after": "!"})).json()["code"] == "invalid_cursor"


async def test_leads_act_for_people(replica: Replica) -> None:
    names = await replica.seed(3)
    admin = replica.client()
    await crew(admin)
    results = await assign(
        admin, (names[0], "w1"), (names[0], "w2"), (names[1], "nobody"), ("no-item", "w1"), (names[1], "w1")
    )
    codes = [one["problem"]["code"] if one["problem"] else None for one in results]
    assert codes == [None, "no_free_slot", "annotator_unavailable", "not_open", None]

    answers = [
        {"lease_id": results[0]["lease_id"], "annotator_id": "w1", "value": CHOICE},
        {"lease_id": results[4]["lease_id"], "annotator_id": "w2", "value": CHOICE},
        {"lease_id": results[4]["lease_id"], "annotator_id": "w1", "skip_reason": "unclear"},
        {"lease_id": results[0]["lease_id"], "annotator_id": "w1", "value": CHOICE},
    ]
    told = (await admin.post("/v1/submit", json={"submissions": answers})).json()["results"]
    assert [one["receipt"] is not None for one in told] == [True, False, True, True]
    assert told[0] == told[3]  # a repeat gets the same receipt
    assert told[1]["problem"]["code"] == "lease_unknown"
    unnamed = {"submissions": [{"lease_id": results[0]["lease_id"], "value": CHOICE}]}
    assert (await admin.post("/v1/submit", json=unnamed)).status_code == 422

    await replica.handle(ESCALATIONS, make.escalation(names[0], round=1, opinions_wanted=2))
    slots = (await admin.post(f"{BASE}/slots", json={})).json()["slots"]
    assert slots[0]["item_id"] in names[:2]  # begun ones come first
    assert {slot["item_id"]: slot["taken_by"] for slot in slots} == {names[0]: ["w1"], names[1]: ["w1"], names[2]: []}
    (refused,) = await assign(admin, (names[0], "w1"))
    assert refused["problem"]["code"] == "already_taken"
    log = [tuple(row) for row in await replica.sql("SELECT action, outcome FROM request_log ORDER BY id")]
    assert ("assign", "done") in log
    assert ("assign", "annotator_unavailable") in log
    assert log.count(("submit", "answered")) == 2
    assert log.count(("skip", "skipped")) == 1
    assert log.count(("submit", "lease_unknown")) == 1


async def test_leads_end_rounds_and_look_items_up(replica: Replica) -> None:
    names = await replica.seed(2)
    admin = replica.client()
    await crew(admin)
    (lease,) = await assign(admin, (names[0], "w1"))
    answer = {"lease_id": lease["lease_id"], "annotator_id": "w1", "value": CHOICE}
    await admin.post("/v1/submit", json={"submissions": [answer]})
    ended = {"item_ids": [*names, "no-item"]}
    for expected in (["exhausted", "exhausted", "not_open"], ["already_exhausted", "already_exhausted", "not_open"]):
        statuses = (await admin.post(f"{BASE}/exhaust", json=ended)).json()["results"]
        assert [one["status"] for one in statuses] == expected
    outcomes = [one.outcome for one in await replica.published(ANNOTATIONS)]
    assert outcomes.count(ev.Outcome.EXHAUSTED) == 2
    view = (await admin.get(f"{BASE}/items/{names[0]}")).json()
    found = (view["state"], view["rounds"][0]["answered"], view["leases"][0]["annotator_id"])
    assert found == ("awaiting_decision", 1, "w1")
    assert (await admin.get(f"{BASE}/items/nothing")).json()["code"] == "item_unknown"


async def test_what_is_refused_is_logged_and_the_log_cannot_be_changed(replica: Replica) -> None:
    ann = await replica.person("ann")
    await ann.post("/v1/leases/00000000-0000-0000-0000-000000000000/submit", json={"value": CHOICE})
    await replica.housekeeping.flush()
    rows = await replica.sql("SELECT principal, action, outcome FROM request_log WHERE outcome = 'lease_unknown'")
    assert [tuple(row) for row in rows] == [("ann", "POST /v1/leases/{lease_id}/submit", "lease_unknown")]
    for statement in ("UPDATE request_log SET principal = ''", "DELETE FROM request_log"):
        with pytest.raises(Exception, match="append-only"):
            await replica.sql(statement)


async def test_the_guideline_comes_with_the_tasks(replica: Replica) -> None:
    await replica.seed(1)
    replica.publish(GUIDELINES, make.guideline_version(2), make.guideline_pointer(2))
    ann = await replica.person("ann")
    brief = (await ann.post("/v1/next", json={})).json()["projects"][make.PROJECT]
    assert brief["guideline_version"] == 2
    assert brief["guideline"]


def test_the_document_is_complete(replica: Replica) -> None:
    document = replica.api.openapi()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["security"], path
            assert {"200", "401", "422", "409"} <= operation["responses"].keys(), path
            assert operation["summary"]
    assert json.dumps(document)


async def test_what_a_lead_decides_about_a_person_is_told_to_the_others(replica: Replica) -> None:
    await replica.person("ann")
    lead = await replica.person("lea", "lead", [make.PROJECT])
    async with replica.client() as admin:
        await lead.post("/v1/annotators/ann/quarantine", json={"project": make.PROJECT, "reason": "asleep"})
        await admin.post("/v1/annotators/ann/reinstate", json={})
    marks = [(q.project_id, q.measurement.active) for q in await replica.published(QUALITY)]
    assert marks == [(make.PROJECT, True), (make.PROJECT, False)]


async def test_a_project_that_was_applied_a_moment_ago_is_looked_for(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read_on() -> None:
        replica.project(make.project_spec(project="new"))

    monkeypatch.setattr(replica.service.references.projects.table, "refresh", read_on)
    async with replica.client() as admin:
        assert (await admin.get("/v1/projects/new/progress")).status_code == 200
        assert (await admin.get("/v1/projects/none/progress")).status_code == 404
