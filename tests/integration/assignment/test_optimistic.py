"""An answer is written without a lock before: whoever changes its rows in between is noticed."""

import asyncio

import httpx
import pytest

from shared import events as ev
from shared.topics import ANNOTATIONS
from tests.support import events as make
from tests.support.assignment import Replica

CHOICE = {"kind": "choice", "choice": "positive"}
WAITS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
ENDED = "UPDATE rounds SET ended = true"
ANOTHER_ANSWER = "UPDATE rounds SET answered = answered + 1, granted = granted + 1"
RAN_OUT = "WITH gone AS (UPDATE leases SET state = 'expired', ended_at = now()) UPDATE rounds SET active = active - 1"
LEASE_ALONE = "UPDATE leases SET state = 'expired', ended_at = now()"
"""Nothing does this; were it done, neither of the two rows may be written."""
RENEWED = "UPDATE leases SET expires_at = expires_at + interval '1 minute'"


async def begun(replica: Replica) -> tuple[httpx.AsyncClient, str]:
    """A person, and where they answer the only task."""
    policy = make.policy(auto_accept=None, gold=ev.GoldPolicy(share=0.0), overlap=ev.Overlap(min=3, max=3))
    replica.project(make.project_spec(policy=policy))
    await replica.seed(1)
    ann = await replica.person("ann")
    (task,) = (await ann.post("/v1/next", json={})).json()["tasks"]
    return ann, f"/v1/leases/{task['lease_id']}/submit"


@pytest.mark.parametrize(
    ("change", "status", "late", "counts"),
    [
        (ENDED, 200, True, (1, 0, 1)),
        (ANOTHER_ANSWER, 200, False, (2, 0, 2)),
        (RAN_OUT, 409, None, (0, 0, 1)),
        (RENEWED, 200, False, (1, 0, 1)),
        (LEASE_ALONE, 409, None, (0, 1, 1)),
    ],
)
async def test_what_changes_between_reading_and_writing_counts(
    replica: Replica, change: str, status: int, late: bool | None, counts: tuple[int, int, int]
) -> None:
    """The change is not committed when the answer is read, and is when it is written: an answer waits for its row."""
    ann, path = await begun(replica)
    async with replica.service.database.transaction() as other:
        await other.execute(change)
        answering = asyncio.create_task(ann.post(path, json={"value": CHOICE}))
        async with asyncio.timeout(10):
            while not await replica.sql(WAITS):  # noqa: ASYNC110  # a lock gives no event
                await asyncio.sleep(0.01)
    response = await answering
    assert (response.status_code, response.json().get("late")) == (status, late)
    rows = await replica.sql("SELECT answered, active, granted FROM rounds")
    assert [tuple(row) for row in rows] == [counts]
    taken = int(status == 200)
    assert [one.late for one in await replica.published(ANNOTATIONS)] == [late] * taken
    assert len(await replica.sql("SELECT FROM request_log WHERE action = 'submit'")) == taken  # refusals later
    assert counted(replica) == taken


def counted(replica: Replica) -> float:
    """The answers that the metrics tell of."""
    samples = [one for metric in replica.metrics.answers.collect() for one in metric.samples]
    return float(sum(one.value for one in samples if one.name.endswith("_total")))
