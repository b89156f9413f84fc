"""The audit log over the API: every answer and change is in it, pages hold, nothing secret is, limits refuse."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.topics import ANNOTATIONS, ERASURES
from tests.support import events as make
from tests.support.assignment import ADMIN_TOKEN, Replica

CHOICE = {"kind": "choice", "choice": "positive"}
BROKEN = (
    "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'it went away' USING ERRCODE = 'lock_not_available'; END $$"
)
SECRET = "a comment that says too much"


async def test_who_did_what_is_found_again(replica: Replica) -> None:
    await replica.seed(4)
    ann = await replica.person("ann")
    tasks = (await ann.post("/v1/next", json={"count": 3})).json()["tasks"]
    leases = [task["lease_id"] for task in tasks]
    answer = {"value": CHOICE, "comment": SECRET}
    assert (await ann.post(f"/v1/leases/{leases[0]}/submit", json=answer)).status_code == 200
    assert (await ann.post(f"/v1/leases/{leases[1]}/skip", json={"reason": "unclear"})).status_code == 200
    batch = [
        {"lease_id": leases[2], **answer},
        {"lease_id": leases[0], "value": {"kind": "choice", "choice": "negative"}},
    ]
    assert (await ann.post("/v1/submit", json={"submissions": batch})).status_code == 200
    assert (await ann.post(f"/v1/leases/{leases[0]}/renew")).status_code == 409
    await replica.housekeeping.flush()
    async with replica.client() as admin:
        page = (await admin.get("/v1/audit", params={"principal": "ann"})).json()
        found = [(one["action"], one["outcome"], one["lease_id"], one["project"]) for one in page["lines"]]
        assert found == [
            ("POST /v1/leases/{lease_id}/renew", "lease_finished", None, None),
            ("submit", "lease_finished", leases[0], None),
            ("submit", "answered", leases[2], make.PROJECT),
            ("skip", "skipped", leases[1], make.PROJECT),
            ("submit", "answered", leases[0], make.PROJECT),
        ]
        of_lease = (await admin.get("/v1/audit", params={"lease_id": leases[0], "outcome": "answered"})).json()
        assert [one["principal"] for one in of_lease["lines"]] == ["ann"]
        everything = (await admin.get("/v1/audit")).text
        assert (await admin.get("/v1/audit", params={"since": "2100-01-01T00:00:00Z"})).json()["lines"] == []
        assert (await admin.get("/v1/audit", params={"nonsense": "1"})).status_code == 422
    for secret in (SECRET, "positive", "text of", ADMIN_TOKEN, "ls_"):
        assert secret not in everything


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "k1"}])
async def test_a_line_stands_and_falls_with_its_effect(replica: Replica, headers: dict[str, str]) -> None:
    """With and without a transaction of several statements."""
    await replica.seed(1)
    ann = await replica.person("ann")
    (task,) = (await ann.post("/v1/next", json={})).json()["tasks"]
    await replica.sql(BROKEN)
    await replica.sql("CREATE TRIGGER broken BEFORE INSERT ON request_log EXECUTE FUNCTION broken()")
    refused = await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE}, headers=headers)
    assert refused.status_code == 503
    assert await replica.sql("SELECT FROM request_log WHERE action = 'submit'") == []
    assert [row["state"] for row in await replica.sql("SELECT state FROM leases")] == ["active"]
    assert await replica.published(ANNOTATIONS) == []


async def test_pages_hold_while_lines_are_added(replica: Replica) -> None:
    async with replica.client() as admin:
        for n in range(7):
            await admin.post("/v1/annotators", json={"annotators": [{"id": f"p{n}"}]})
        seen, before = [], None
        while True:
            query: dict[str, Any] = {"action": "add", "limit": 3} | ({} if before is None else {"before": before})
            page = (await admin.get("/v1/audit", params=query)).json()
            seen += [one["subject"] for one in page["lines"]]
            await admin.post("/v1/annotators", json={"annotators": [{"id": f"later{len(seen)}"}]})
            before = page["next"]
            if before is None:
                break
    assert seen == [f"p{n}" for n in reversed(range(7))]


async def test_changes_are_said_in_the_log_when_they_stand(replica: Replica) -> None:
    with capture_logs() as said:
        async with replica.client() as admin:
            await admin.post("/v1/annotators", json={"annotators": [{"id": "ann"}]})
            await admin.post("/v1/annotators/ann/token")
    told = [(one["action"], one["subject"], one["principal"]) for one in said if one["event"] == "audit"]
    assert told == [("add", "ann", "admin"), ("token", "ann", "admin")]
    assert "ls_" not in str(said)


async def test_an_erased_person_is_named_no_more(replica: Replica) -> None:
    await replica.seed(1)
    ann = await replica.person("ann")
    (task,) = (await ann.post("/v1/next", json={})).json()["tasks"]
    await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    await replica.sql("DELETE FROM outbox")  # as if it had been published
    await replica.handle(ERASURES, make.erasure(subject="annotator", annotator_id="ann"))
    async with replica.client() as admin:
        lines = (await admin.get("/v1/audit")).json()["lines"]
    assert {"ann"}.isdisjoint({one["principal"] for one in lines} | {one["subject"] for one in lines})
    assert [one["principal"] for one in lines if one["action"] == "submit"] == ["erased"]


async def test_who_calls_too_often_is_told_when_to_come_back(assignment_url: str) -> None:
    one = Replica(assignment_url, {"calls_per_s": 0.5, "calls_burst": 5})
    await one.service.database.connect()
    one.project()
    try:
        ann, bob = await one.person("ann"), await one.person("bob")
        answers = [await ann.post("/v1/next", json={}) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[-1].json()["code"] == "rate_limited"
        assert int(answers[-1].headers["retry-after"]) in (1, 2)
        assert answers[-1].headers["cache-control"] == "no-store"
        assert (await ann.get("/v1/me")).status_code == 429
        assert (await bob.get("/v1/me")).status_code == 200
        await one.housekeeping.flush()
        rows = await one.sql("SELECT principal FROM request_log WHERE outcome = 'rate_limited'")
        assert {row["principal"] for row in rows} == {"ann"}
    finally:
        await one.service.database.close()
