"""Items through their rounds: handlers, leases, answers, escalations, labels."""

from typing import Any

from services.assignment.jobs import Accepting
from shared import events as ev
from shared.topics import ANNOTATIONS, ESCALATIONS, ITEMS, LABELS, PREDICTIONS, QUALITY, RELABELS, ROUTES
from tests.support import events as make
from tests.support.assignment import Replica

CHOICE = {"kind": "choice", "choice": "positive"}


async def standings(replica: Replica) -> dict[str, str]:
    return {row["item_id"]: row["standing"] for row in await replica.sql("SELECT item_id, standing FROM items")}


async def progress(replica: Replica) -> dict[str, Any]:
    async with replica.client() as admin:
        response = await admin.get(f"/v1/projects/{make.PROJECT}/progress")
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_sure_predictions_are_accepted_and_the_others_go_to_people(replica: Replica) -> None:
    replica.project(make.project_spec(policy=make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.0))))
    await replica.handle(ITEMS, make.item("sure"), make.item("unsure"), make.item("later"))
    await replica.handle(
        PREDICTIONS, make.prediction("sure", confidence=0.95), make.prediction("unsure", confidence=0.5)
    )
    assert await standings(replica) == {"sure": "labelled", "unsure": "open", "later": "awaiting_prediction"}
    (label,) = await replica.published(LABELS)
    assert (label.item_id, label.path, label.version, label.posterior) == ("sure", ev.Path.AUTO, 1, None)
    (route,) = await replica.published(ROUTES)
    assert (route.item_id, route.state) == ("unsure", ev.RouteState.QUEUED)
    assert "below the threshold" in route.reason
    assert len(await replica.sql("SELECT FROM rounds")) == 1
    found = await progress(replica)
    assert found["items"] == 3
    assert {k: n for k, n in found["states"].items() if n} == {"labelled": 1, "queued": 1, "awaiting_prediction": 1}


async def test_a_prediction_may_come_before_its_item(replica: Replica) -> None:
    await replica.handle(PREDICTIONS, make.prediction("i1"))
    assert await standings(replica) == {"i1": "parked"}
    assert (await progress(replica))["items"] == 0
    await replica.handle(ITEMS, make.item("i1"))
    assert await standings(replica) == {"i1": "open"}
    assert (await progress(replica))["states"]["queued"] == 1


async def test_the_same_item_again_is_counted_and_another_content_is_refused(replica: Replica) -> None:
    await replica.handle(ITEMS, make.item("i1"), make.item("i1"))
    await replica.handle(ITEMS, make.item("i1"), make.item("i1", text="something else"))
    assert (await progress(replica))["duplicates"] == 2
    assert replica.refused == [("items.v1", "id_conflict")]
    await replica.handle(ITEMS, make.item("i2", project_id="nobodys"), make.item("i3", content=_features()))
    assert replica.refused[1:] == [("items.v1", "unknown_project"), ("items.v1", "content_kind")]


async def test_the_first_content_stands_whatever_else_its_batch_holds(replica: Replica) -> None:
    """The first of all, not the first of the batch."""
    same, other = make.item("i1"), make.item("i1", text="something else")
    await replica.handle(ITEMS, same)
    await replica.handle(ITEMS, other, same, other, same)
    assert replica.refused == [("items.v1", "id_conflict")] * 2
    await replica.handle(PREDICTIONS, make.prediction("i2"))
    await replica.handle(ITEMS, make.item("i2"), make.item("i2", text="something else"), make.item("i2"))
    assert replica.refused == [("items.v1", "id_conflict")] * 3
    await replica.handle(ITEMS, make.item("i3"), make.item("i3", text="something else"), make.item("i3"))
    assert replica.refused == [("items.v1", "id_conflict")] * 4
    found = await progress(replica)
    assert (found["items"], found["duplicates"]) == (3, 4)


def _features() -> ev.FeaturesContent:
    return ev.FeaturesContent(features=(1.0, 2.0))


async def test_a_class_that_the_project_lacks_is_refused(replica: Replica) -> None:
    await replica.handle(ITEMS, make.item("i1"))
    wrong = make.prediction("i1").model_copy(update={"value": make.choice("sideways")})
    await replica.handle(PREDICTIONS, wrong)
    assert replica.refused == [("predictions.v1", "unknown_label")]
    assert await standings(replica) == {"i1": "awaiting_prediction"}


async def test_an_item_from_first_answer_to_label_to_second_round(replica: Replica) -> None:
    await replica.seed(1)
    ann, bob = await replica.person("ann"), await replica.person("bob")
    task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
    assert task["proposal"]["value"] == CHOICE
    done = await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    assert done.status_code == 200
    assert (await progress(replica))["states"]["awaiting_decision"] == 1
    (annotation,) = await replica.published(ANNOTATIONS)
    assert (annotation.annotator_id, annotation.round, annotation.late, annotation.saw_proposal) == (
        "ann",
        1,
        False,
        True,
    )
    assert str(annotation.annotation_id) == done.json()["annotation_id"]

    await replica.handle(ESCALATIONS, make.escalation("i000000", round=1, opinions_wanted=2))
    assert (await ann.post("/v1/next", json={})).json()["tasks"] == []  # never the same item twice
    second = (await bob.post("/v1/next", json={})).json()["tasks"][0]
    await replica.handle(LABELS, make.label("i000000", version=1))
    late = await bob.post(f"/v1/leases/{second['lease_id']}/submit", json={"value": CHOICE})
    assert late.json()["late"] is True
    assert await standings(replica) == {"i000000": "labelled"}

    await replica.handle(RELABELS, make.relabel("i000000", round=1))
    assert await standings(replica) == {"i000000": "open"}
    assert (await ann.post("/v1/next", json={})).json()["tasks"] == []
    cyd = await replica.person("cyd")
    assert len((await cyd.post("/v1/next", json={})).json()["tasks"]) == 1
    routes = [(route.round, route.step, route.state.value) for route in await replica.published(ROUTES)]
    assert routes == [(1, 1, "queued"), (1, 2, "queued"), (2, 1, "queued")]


async def test_a_relabel_waits_for_its_round_and_the_last_round_is_the_last(replica: Replica) -> None:
    await replica.seed(1)
    await replica.handle(RELABELS, make.relabel("i000000", round=1))
    assert await standings(replica) == {"i000000": "open"}
    await replica.handle(LABELS, make.label("i000000", version=1))
    rows = await replica.sql("SELECT number, ended FROM rounds ORDER BY number")
    assert [tuple(row) for row in rows] == [(1, True), (2, False)]
    await replica.handle(LABELS, make.label("i000000", version=2), make.label("i000000", version=3))
    await replica.handle(RELABELS, make.relabel("i000000", round=3))
    assert await standings(replica) == {"i000000": "labelled"}


async def test_a_later_model_may_accept_an_item_that_nobody_has_seen(replica: Replica) -> None:
    replica.project(make.project_spec(policy=make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.0))))
    await replica.seed(2)
    ann = await replica.person("ann")
    seen = (await ann.post("/v1/next", json={})).json()["tasks"]
    assert len(seen) == 1
    better = [make.prediction(f"i{n:06}", confidence=0.99, generation=2, model_version="m2") for n in range(2)]
    await replica.handle(PREDICTIONS, *better)
    assert sorted((await standings(replica)).values()) == ["labelled", "open"]
    older = [make.prediction(f"i{n:06}", confidence=0.1, generation=1) for n in range(2)]
    await replica.handle(PREDICTIONS, *older)
    assert sorted((await standings(replica)).values()) == ["labelled", "open"]
    assert (await ann.post("/v1/next", json={})).json()["tasks"] == []


async def test_an_expert_gets_what_is_for_experts(replica: Replica) -> None:
    await replica.seed(1)
    ann, eve = await replica.person("ann"), await replica.person("eve", "expert")
    assert (await eve.post("/v1/next", json={})).json()["tasks"] == []
    task = (await ann.post("/v1/next", json={})).json()["tasks"][0]
    await ann.post(f"/v1/leases/{task['lease_id']}/skip", json={"reason": "unclear"})
    await replica.handle(ESCALATIONS, make.escalation("i000000", round=1, ask=ev.Ask.EXPERT, opinions_wanted=1))
    bob = await replica.person("bob")
    assert (await bob.post("/v1/next", json={})).json()["tasks"] == []
    task = (await eve.post("/v1/next", json={"count": 5})).json()["tasks"][0]
    assert (await eve.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})).status_code == 200
    roles = [(a.role.value, a.outcome.value) for a in await replica.published(ANNOTATIONS)]
    assert roles == [("annotator", "skipped"), ("expert", "answered")]


async def test_qc_ends_a_round_without_a_label(replica: Replica) -> None:
    await replica.seed(2)
    await replica.handle(
        ESCALATIONS,
        make.escalation("i000000", round=1, ask=ev.Ask.UNLABELABLE),
        make.escalation("i000001", round=1, ask=ev.Ask.UNRESOLVED),
        make.escalation("i000001", round=1, ask=ev.Ask.UNRESOLVED),
    )
    assert await standings(replica) == {"i000000": "unlabelable", "i000001": "unresolved"}
    states = [route.state.value for route in await replica.published(ROUTES)]
    assert states == ["queued", "queued", "unlabelable", "unresolved"]
    ann = await replica.person("ann")
    assert (await ann.post("/v1/next", json={})).json()["tasks"] == []


async def test_a_database_that_was_lost_comes_back_from_the_topics(replica: Replica) -> None:
    spec = make.project_spec(policy=make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.0)))
    replica.project(spec)
    items = [make.item(f"i{n}", text=str(n)) for n in range(4)]
    predictions = [make.prediction(f"i{n}", confidence=c) for n, c in enumerate((0.99, 0.5, 0.6, 0.7))]
    await replica.handle(ITEMS, *items)
    await replica.handle(PREDICTIONS, *predictions)
    ann = await replica.person("ann")
    for task in (await ann.post("/v1/next", json={"count": 2})).json()["tasks"]:
        await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    escalations = [
        make.escalation("i1", round=1, opinions_wanted=2),
        make.escalation("i3", round=1, ask=ev.Ask.UNLABELABLE),
    ]
    labels, relabels = [make.label("i2", version=1)], [make.relabel("i2", round=1)]
    await replica.handle(ESCALATIONS, *escalations)
    await replica.handle(LABELS, *labels)
    await replica.handle(RELABELS, *relabels)
    before = await _facts(replica)
    said = {topic: await replica.published(topic) for topic in (ROUTES, LABELS, ANNOTATIONS)}
    said[LABELS] += labels
    assert {route.round for route in said[ROUTES]} == {1, 2}
    await replica.sql("TRUNCATE items, rounds, leases, tallies, outbox")

    for topic in (ROUTES, LABELS, ANNOTATIONS):
        await replica.rebuild(topic, *said[topic], *said[topic])  # as a relay leaves them that died too early
        await replica.rebuild(topic, *said[topic])
    await replica.handle(PREDICTIONS, *predictions)
    await replica.handle(ESCALATIONS, *escalations)
    await replica.handle(LABELS, *labels)
    await replica.handle(RELABELS, *relabels)
    await replica.handle(ITEMS, *items)
    assert await _facts(replica) == before
    assert await replica.published() == []


async def _facts(replica: Replica) -> list[tuple[Any, ...]]:
    items = await replica.sql("SELECT item_id, standing, round, label_version, content_hash FROM items ORDER BY 1")
    rounds = await replica.sql(
        "SELECT item_id, number, audience, wanted, answered, skipped, granted, ended, free, would_auto, priority, step,"
        " project_version, guess IS NULL AND NOT ended FROM rounds ORDER BY 1, 2"
    )
    tallies = await replica.sql("SELECT name, sum(delta) FROM tallies GROUP BY 1 HAVING sum(delta) <> 0 ORDER BY 1")
    return [tuple(row) for row in (*items, *rounds, *tallies)]


def certificate(number: int, **more: Any) -> ev.Quality:
    fields = {
        "number": number, "state": "granted", "generation": 1, "model_version": "m1", "threshold": 0.9,
        "target_error": 0.03, "confidence": 0.95, "audit_share": 0.0, "valid_until": make.at(10**9),
    }  # fmt: skip
    return make.quality(ev.Certificate(**(fields | more)), subject="certificate", sequence=f"{number}")


def of_classes(number: int) -> ev.Quality:
    """What a reader that knows no classes must not accept: one of them is bad."""
    terms: dict[str, Any] = {"audit_share": 0.0, "valid_until": make.at(10**9)}
    classes = (
        ev.ClassCertificate(symbol="negative", breached_since=make.AT, **terms),
        ev.ClassCertificate(symbol="positive", threshold=0.93, **terms),
    )
    return certificate(number, state="withdrawn", classes=classes, rest=ev.CertificateTerms(threshold=0.94, **terms))


async def test_with_a_guarantee_nothing_is_accepted_but_under_the_newest_certificate(replica: Replica) -> None:
    auto = ev.AutoAccept(threshold=0.8, audit_share=0.0, guarantee=ev.Guarantee(target_error=0.03, starting_share=0.5))
    replica.project(make.project_spec(policy=make.policy(auto_accept=auto)))

    async def arrive(item_id: str, value: str = "neutral", version: str = "m1") -> str:
        said = make.prediction(item_id, confidence=0.95, generation=1, value=value, model_version=version)
        await replica.handle(ITEMS, make.item(item_id))
        await replica.handle(PREDICTIONS, said)
        return (await standings(replica))[item_id]

    assert await arrive("before") == "open"
    await replica.handle(QUALITY, certificate(1))
    assert await arrive("certified") == "labelled"
    assert await arrive("another", version="m2") == "open"  # your system has another model now
    (label,) = await replica.published(LABELS)
    assert label.evidence.certificate == certificate(1).event_id
    await replica.handle(QUALITY, certificate(3, state="withdrawn"), certificate(2))
    assert await arrive("withdrawn") == "open"
    await replica.handle(QUALITY, certificate(2, threshold=0.8))  # an older one, again
    assert await arrive("still") == "open"
    await replica.handle(QUALITY, of_classes(4))
    assert await arrive("others") == "labelled"
    assert await arrive("excluded", "negative") == "open"
    assert await arrive("own", "positive") == "labelled"
    labels = {label.item_id: label.evidence for label in await replica.published(LABELS)}
    assert (labels["others"].certified_class, labels["own"].certified_class) == (None, "positive")
    # as a process of the release before does, which knows no classes
    await replica.sql("UPDATE certificates SET number = 5, threshold = 0.99, valid_until = $1", make.at(10**9))
    assert await arrive("stale", "positive") == "open"
    await replica.handle(QUALITY, of_classes(6))
    assert await arrive("told", "positive") == "labelled"


async def test_a_slice_of_items_has_a_policy_of_its_own(replica: Replica) -> None:
    """First match by metadata; the route names the slice, and the round, its blindness and its answers keep to it."""
    accepting = make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.0), gold=ev.GoldPolicy(share=0.0))
    manual = accepting.model_copy(
        update={"auto_accept": None, "overlap": ev.Overlap(min=3, max=3), "blind_share": 1.0, "preset": "full_manual"}
    )
    medical = ev.Slice(name="medical", when=ev.SliceOf(metadata={"domain": ("medical",)}), policy=manual)
    spec = make.project_spec(policy=accepting, slices=(medical,))
    replica.project(spec, version=2)
    await replica.handle(PREDICTIONS, make.prediction("early", confidence=0.99))
    await replica.handle(
        ITEMS,
        make.item("m", metadata={"domain": "medical"}),
        make.item("early", metadata={"domain": "medical"}),
        make.item("plain", metadata={"domain": "sport"}),
        make.item("shown"),
    )
    await replica.handle(
        PREDICTIONS, *(make.prediction(name, confidence=0.99) for name in ("m", "plain")), make.prediction("shown")
    )
    routes = {route.item_id: route for route in await replica.published(ROUTES)}
    assert {name: (one.slice, one.opinions_wanted) for name, one in routes.items()} == {
        "m": ("medical", 3), "early": ("medical", 3), "shown": (None, 1),
    }  # fmt: skip
    assert (await standings(replica))["plain"] == "labelled"
    ann = await replica.person("ann")
    tasks = (await ann.post("/v1/next", json={"count": 10})).json()["tasks"]
    assert sorted(task["proposal"] is None for task in tasks) == [False, True, True]
    for task in tasks:
        await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    given = {one.item_id: one for one in await replica.published(ANNOTATIONS)}
    assert given["m"].policy == manual
    assert {name: one.slice for name, one in given.items()} == {"m": "medical", "early": "medical", "shown": None}
    assert not given["m"].saw_proposal
    assert given["shown"].policy == accepting
    replica.project(make.project_spec(policy=accepting), version=3)  # the slice is gone: its open rounds keep it
    bea = await replica.person("bea")
    for task in (await bea.post("/v1/next", json={"count": 2})).json()["tasks"]:
        assert task["proposal"] is None
        await bea.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    assert [one.policy for one in (await replica.published(ANNOTATIONS))[-2:]] == [manual, manual]
    await replica.handle(RELABELS, make.relabel("plain"), make.relabel("m"))
    await replica.handle(LABELS, make.label("m", opinions=3))
    last = {route.item_id: route for route in await replica.published(ROUTES)}
    assert [(last[name].round, last[name].slice) for name in ("plain", "m")] == [(2, None), (2, None)]


async def test_slices_are_read_back_from_the_routes(replica: Replica) -> None:
    await replica.rebuild(ROUTES, make.route("i1", slice="medical", project_version=2))
    manual = make.policy(auto_accept=None, overlap=ev.Overlap(min=3, max=3))
    medical = ev.Slice(name="medical", when=ev.SliceOf(metadata={"domain": ("medical",)}), policy=manual)
    replica.project(make.project_spec(slices=(medical,)), version=2)
    await replica.handle(ITEMS, make.item("i1", metadata={"domain": "medical"}))
    ann = await replica.person("ann")
    (task,) = (await ann.post("/v1/next", json={})).json()["tasks"]
    await ann.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": CHOICE})
    (given,) = await replica.published(ANNOTATIONS)
    assert given.policy == manual


async def test_what_waits_untouched_is_accepted_when_a_certificate_covers_it(replica: Replica) -> None:
    """Not what is begun, drawn for an audit, less sure, or of another model; and nothing under a withdrawn one."""
    auto = ev.AutoAccept(threshold=0.5, audit_share=0.0, guarantee=ev.Guarantee(target_error=0.03, starting_share=0.5))
    spec = make.project_spec(policy=make.policy(auto_accept=auto, gold=ev.GoldPolicy(share=0.0)))
    replica.project(spec)
    replica.settings.job_chunk_rows = 2
    sure = [f"i{n:02}" for n in range(30)]
    await replica.handle(ITEMS, *(make.item(name) for name in (*sure, "doubt", "other")))
    await replica.handle(
        PREDICTIONS,
        *(make.prediction(name, confidence=0.95, generation=1) for name in sure),
        make.prediction("doubt", confidence=0.7, generation=1),
        make.prediction("other", confidence=0.99, generation=0),
    )
    audits = {route.item_id for route in await replica.published(ROUTES) if route.would_auto}
    assert 3 < len(audits & set(sure)) < 27
    ann = await replica.person("ann")
    await ann.post("/v1/next", json={})
    (begun,) = [row["item_id"] for row in await replica.sql("SELECT item_id FROM rounds WHERE granted > 0")]
    job = Accepting(replica.service, replica.settings, replica.metrics)
    await job.accept()
    assert "labelled" not in (await standings(replica)).values()
    await replica.handle(QUALITY, certificate(1, state="withdrawn"))
    await job.accept()
    assert "labelled" not in (await standings(replica)).values()
    await replica.handle(QUALITY, certificate(2))
    for _ in range(8):
        await job.accept()
    done = {name for name, state in (await standings(replica)).items() if state == "labelled"}
    assert done == set(sure) - audits - {begun}
    labels = await replica.published(LABELS)
    assert {label.item_id for label in labels} == done
    assert {label.evidence.certificate for label in labels} == {certificate(2).event_id}
    await replica.handle(QUALITY, certificate(3, threshold=0.6))
    for _ in range(8):
        await job.accept()
    assert (await standings(replica))["doubt"] == "labelled"
    assert (await standings(replica))["other"] == "open"
