"""What has become too old is forgotten: in bounded steps, never what somebody may still need."""

import time
from collections.abc import AsyncGenerator
from itertools import pairwise
from typing import Any

import pytest

from shared.topics import ITEMS, LABELS, PREDICTIONS, RELABELS
from tests.support import events as make
from tests.support.assignment import Replica

OLD = "UPDATE items SET received_at = received_at - interval '40 days'"


@pytest.fixture
async def small(replica: Replica) -> AsyncGenerator[Replica]:
    """Transactions of four rows, so that everything takes many of them."""
    one = Replica(replica.url, {"job_chunk_rows": 4, "retention_budget_s": 20})
    await one.service.database.connect()
    one.project()
    yield one
    await one.service.database.close()


async def contents(replica: Replica) -> dict[str, bool]:
    """Item -> whether its content and its prediction are there."""
    rows = await replica.sql("SELECT item_id, content IS NOT NULL AS c, guess IS NOT NULL AS g FROM items")
    assert all(row["c"] == row["g"] for row in rows)
    return {row["item_id"]: row["c"] for row in rows}


async def test_contents_go_once_their_items_are_old_and_at_rest(small: Replica) -> None:
    names = await small.seed(30)
    await small.handle(LABELS, *(make.label(name) for name in names[:20]))
    await small.retention.forget()
    assert all((await contents(small)).values())
    await small.sql(OLD)
    await small.sql("DELETE FROM retention")
    await small.seed(2, first=100)
    await small.retention.forget()
    held = {name for name, there in (await contents(small)).items() if there}
    assert held == {*names[20:], "i000100", "i000101"}
    guesses = await small.sql("SELECT count(*) FROM rounds WHERE guess IS NOT NULL")
    assert guesses[0][0] == len(held)

    await small.handle(LABELS, *(make.label(name) for name in names[20:25]))
    await small.retention.forget()
    held = {name for name, there in (await contents(small)).items() if there}
    assert held == {*names[25:], "i000100", "i000101"}
    assert [row[0] for row in await small.sql("SELECT item_id FROM kept_contents ORDER BY 1")] == names[25:]


async def test_the_next_run_goes_on_where_the_last_one_ended(small: Replica) -> None:
    names = await small.seed(12)
    await small.handle(LABELS, *(make.label(name) for name in names))
    await small.sql(f"{OLD} - interval '2 hours' * substr(item_id, 2)::int")
    small.settings.retention_budget_s = 0.000_001
    left = [12]
    for _ in range(40):
        await small.retention.forget()
        left.append(sum((await contents(small)).values()))
    assert left[-1] == 0
    assert left == sorted(left, reverse=True)
    assert max(before - after for before, after in pairwise(left)) <= 4


async def test_an_item_without_content_is_labelled_for_good(small: Replica) -> None:
    """No later round opens: nobody could be shown anything. A late prediction or repeat brings nothing back."""
    await small.seed(1)
    await small.handle(LABELS, make.label("i000000"))
    await small.sql(OLD)
    await small.retention.forget()
    await small.handle(RELABELS, make.relabel("i000000"))
    await small.handle(PREDICTIONS, make.prediction("i000000", generation=7))
    await small.handle(ITEMS, make.item("i000000", text="text of i000000"))
    assert await contents(small) == {"i000000": False}
    (row,) = await small.sql("SELECT standing, round FROM items")
    assert tuple(row) == ("labelled", 1)
    assert small.refused == []


async def test_a_relabel_of_an_item_that_has_its_content_opens_a_round(small: Replica) -> None:
    await small.seed(1)
    await small.handle(LABELS, make.label("i000000"))
    await small.handle(RELABELS, make.relabel("i000000"))
    (row,) = await small.sql("SELECT standing, round FROM items")
    assert tuple(row) == ("open", 2)


async def test_old_leases_and_log_lines_go_and_answers_stay(small: Replica) -> None:
    ann = await small.person("ann")
    await small.seed(12)
    tasks: list[Any] = (await ann.post("/v1/next", json={"count": 10})).json()["tasks"]
    answer = {"lease_id": tasks[0]["lease_id"], "value": {"kind": "choice", "choice": "positive"}}
    await ann.post("/v1/submit", json={"submissions": [answer]})
    await small.sql("UPDATE leases SET expires_at = now() - interval '1 s' WHERE state = 'active'")
    await small.queue.expire_leases()
    await small.retention.forget()
    assert await states(small) == {"answered": 1, "expired": 9}
    await small.sql("UPDATE leases SET ended_at = ended_at - interval '8 days'")
    await small.retention.forget()
    assert await states(small) == {"answered": 1}

    await small.sql("TRUNCATE request_log")
    old = "INSERT INTO request_log (at, principal, action, outcome, subject) SELECT now() - interval '91 days',"
    await small.sql(f"{old} 'old', 'a', 'o', 's' FROM generate_series(1, 10)")
    await small.sql("INSERT INTO request_log (principal, action, outcome, subject) VALUES ('young', 'a', 'o', 's')")
    await small.retention.forget()
    assert [row[0] for row in await small.sql("SELECT principal FROM request_log")] == ["young"]


async def states(replica: Replica) -> dict[str, int]:
    return {row["state"]: row["n"] for row in await replica.sql("SELECT state, count(*) AS n FROM leases GROUP BY 1")}


async def test_forgetting_reads_by_index_and_never_the_whole_table(replica: Replica) -> None:
    await replica.seed(1)
    await replica.sql(
        "INSERT INTO items (project_id, item_id, standing, round, ending, content_hash, content, received_at)"
        " SELECT $1, 'b' || n, 'labelled', 1, 5, 'h', repeat('x', 200), now() - interval '1 hour' * (100000 - n) / 100"
        " FROM generate_series(1, 100000) AS n",
        make.PROJECT,
    )
    await replica.sql("ANALYZE items")
    await replica.sql("DELETE FROM retention")
    replica.settings.content_kept_days = 41
    replica.settings.retention_budget_s = 0.000_001
    await replica.retention.forget()
    plan = "\n".join(
        row[0]
        for row in await replica.sql(
            "EXPLAIN (ANALYZE, BUFFERS) SELECT item_id FROM items WHERE received_at >= now() - interval '1001 hours'"
            " AND received_at < now() - interval '1000 hours' AND content IS NOT NULL"
        )
    )
    assert "items_age" in plan, plan


async def test_a_run_ends_when_nothing_is_due_any_more(small: Replica) -> None:
    await small.seed(3)
    await small.handle(LABELS, make.label("i000000"))
    await small.sql(OLD)
    started = time.monotonic()
    await small.retention.forget()
    assert time.monotonic() - started < small.settings.retention_budget_s / 2
    assert sorted((await contents(small)).values()) == [False, True, True]
