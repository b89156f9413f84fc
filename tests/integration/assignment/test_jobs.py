"""What time does: overdue predictions, blocked and exhausted rounds, refreshes, project changes, tallies."""

from services.assignment.domain.states import State
from services.assignment.jobs import Sweeper
from shared import events as ev
from shared.labels import ChoiceSchema
from shared.topics import ANNOTATIONS, ITEMS, MODELS, PREDICTIONS, QUALITY, REFRESHES, ROUTES
from tests.support import events as make
from tests.support.assignment import Replica

CHOICE = {"kind": "choice", "choice": "positive"}
QUICK = make.policy(
    auto_accept=None,
    overlap=ev.Overlap(min=1, max=3),
    blocked_after_s=0.001,
    unresolved_after_s=0.001,
    prediction_timeout_s=0.001,
)


async def states(replica: Replica) -> dict[str, int]:
    async with replica.client() as admin:
        body = (await admin.get(f"/v1/projects/{make.PROJECT}/progress")).json()
    return {name: number for name, number in body["states"].items() if number}


async def test_an_item_without_a_prediction_goes_to_people_in_time(replica: Replica) -> None:
    replica.project(make.project_spec(policy=QUICK))
    replica.settings.job_chunk_rows = 2
    await replica.handle(ITEMS, *(make.item(f"i{n}") for n in range(5)))
    await replica.handle(PREDICTIONS, make.prediction("i0"))
    await replica.queue.route_overdue()
    await replica.queue.route_overdue()
    assert await states(replica) == {"queued": 5}
    reasons = [route.reason for route in await replica.published(ROUTES)]
    assert sum("no prediction within" in reason for reason in reasons) == 4


async def test_a_round_that_nobody_present_may_answer_is_blocked_then_exhausted(replica: Replica) -> None:
    replica.project(make.project_spec(policy=QUICK))
    await replica.seed(3)
    await replica.sweeper.sweep()
    assert await states(replica) == {"blocked": 3}
    await replica.sweeper.sweep()
    assert await states(replica) == {"awaiting_decision": 3}
    told = await replica.published(ANNOTATIONS)
    assert {(one.outcome, one.annotator_id, one.round) for one in told} == {(ev.Outcome.EXHAUSTED, None, 1)}
    ann = await replica.person("ann")
    assert (await ann.post("/v1/next", json={})).json()["tasks"] == []
    await replica.sweeper.sweep()
    assert len(await replica.published(ANNOTATIONS)) == 3


async def test_somebody_who_comes_back_unblocks(replica: Replica) -> None:
    patient = QUICK.model_copy(update={"unresolved_after_s": 1000.0, "blocked_after_s": 5.0})
    replica.project(make.project_spec(policy=patient))
    await replica.seed(2)
    await replica.sql("UPDATE rounds SET waiting_since = now() - interval '6 seconds'")
    await replica.sweeper.sweep()
    assert await states(replica) == {"blocked": 2}
    ann = await replica.person("ann")
    task = (await ann.post("/v1/next", json={})).json()["tasks"][0]  # blocked ones are there to be taken
    assert await states(replica) == {"blocked": 1, "leased": 1}
    await replica.housekeeping.flush()
    await replica.sweeper.sweep()
    assert await states(replica) == {"queued": 1, "leased": 1}
    steps = [(route.item_id, route.step, route.state.value) for route in await replica.published(ROUTES)]
    assert len(set(steps)) == len(steps) == 6
    await ann.post(f"/v1/leases/{task['lease_id']}/skip", json={"reason": "unclear"})
    await replica.sql("UPDATE rounds SET waiting_since = now() - interval '6 seconds'")
    await replica.sweeper.sweep()
    assert await states(replica) == {"queued": 1, "blocked": 1}  # ann may not have it again, and is alone


async def test_a_quarantined_person_does_not_count_as_present(replica: Replica) -> None:
    replica.project(make.project_spec(policy=QUICK.model_copy(update={"blocked_after_s": 5.0})))
    await replica.seed(1)
    ann = await replica.person("ann")
    await ann.get("/v1/me")
    await replica.housekeeping.flush()
    await replica.sql("UPDATE rounds SET waiting_since = now() - interval '6 seconds'")
    await replica.sweeper.sweep()
    assert await states(replica) == {"queued": 1}
    mark = ev.Quarantine(annotator_id="ann", active=True, reason="gold")
    await replica.handle(QUALITY, make.quality(measurement=mark))
    await replica.sweeper.sweep()
    assert await states(replica) == {"blocked": 1}


async def test_an_older_quarantine_mark_changes_nothing(replica: Replica) -> None:
    on, off = (ev.Quarantine(annotator_id="ann", active=active, reason="") for active in (True, False))
    later = make.quality(measurement=off, sequence="2", measured_at=make.at(20))
    earlier = make.quality(measurement=on, sequence="1", measured_at=make.at(10))
    await replica.handle(QUALITY, later, earlier)
    await replica.handle(QUALITY, earlier)
    assert [tuple(row) for row in await replica.sql("SELECT active FROM quarantines")] == [(False,)]


async def test_a_new_model_refreshes_what_nobody_has_seen_once(replica: Replica) -> None:
    replica.project(make.project_spec(policy=QUICK.model_copy(update={"blocked_after_s": 1000.0})))
    for n in range(3):
        await replica.handle(ITEMS, make.item(f"i{n}", text=f"text of i{n}"))
        await replica.handle(PREDICTIONS, make.prediction(f"i{n}", source="shop", client="ios-7"))
    ann = await replica.person("ann")
    task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
    await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    (told,) = await replica.published(ANNOTATIONS)
    assert (told.proposal.source, told.proposal.client) == ("shop", "ios-7")
    replica.publish(MODELS, make.model_version("m2"), make.model_pointer("m2", generation=9))
    settings = replica.settings.model_copy(update={"job_chunk_rows": 1})
    sweeper = Sweeper(replica.service, settings, replica.metrics)
    await sweeper.sweep()  # on and on, chunk by chunk: nobody shall work in the order of the former model
    for _ in range(3):
        assert len(await replica.published(REFRESHES)) == 2
        await sweeper.sweep()
    refreshes = await replica.published(REFRESHES)
    assert len({one.item_id for one in refreshes}) == len(refreshes) == 2
    assert refreshes[0].content.text.startswith("text of ")
    assert refreshes[0].generation == 9
    assert {(one.source, one.client) for one in refreshes} == {("shop", "ios-7")}


async def test_a_class_that_goes_closes_and_reopens_rounds(replica: Replica) -> None:
    await replica.seed(3)
    ann = await replica.person("ann")
    task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
    await replica.queue.supersede_outdated()
    assert len(await replica.published(ROUTES)) == 3
    replica.project(make.project_spec(label=ChoiceSchema(classes=("negative", "positive"))), version=2)
    replica.settings.job_chunk_rows = 2
    await replica.queue.supersede_outdated()
    await replica.queue.supersede_outdated()
    told = [(one.round, one.state.value, one.project_version) for one in (await replica.published(ROUTES))[3:]]
    assert sorted(told) == [(1, "superseded", 1)] * 3 + [(2, "queued", 2)] * 3
    late = await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    assert late.json()["late"] is True
    assert await states(replica) == {"queued": 3}


async def test_tallies_stay_small_and_true(replica: Replica) -> None:
    for first in range(0, 40, 10):
        await replica.seed(10, first=first)
    await replica.housekeeping.fold()
    await replica.housekeeping.fold()
    rows = await replica.sql("SELECT name, delta FROM tallies")
    assert [tuple(row) for row in rows] == [("open", 40)]
    await replica.housekeeping.gauge()
    sample = replica.service.registry.get_sample_value
    labels = {"project": make.PROJECT, "state": State.QUEUED.value}
    assert sample("labelstream_assignment_items_by_state", labels) == 40
