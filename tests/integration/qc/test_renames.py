"""A renamed class in qc: what was stored under the former name counts as the present one; real PostgreSQL."""

import random
from typing import Any

from services.qc.store import Store
from shared.events import GoldResult, Label, Path, Relabel, RelabelCause, Skill
from shared.labels import SAME, ChoiceSchema
from shared.topics import ANNOTATIONS, ERASURES, GOLD_ANSWERS, LABELS, PROJECTS, QUALITY, RELABELS
from tests.integration.qc.test_handlers import batches, crowd
from tests.support import events as make
from tests.support.qc import Qc, Reference
from tests.support.qc_domain import policy

RENAMED = ChoiceSchema(classes=("negative", "fair", "positive"), renamed={"neutral": "fair"})


def rename(qc: Qc, label: ChoiceSchema = RENAMED, version: int = 2) -> None:
    spec = make.project_spec(label=label)
    qc.reference.publish(PROJECTS, make.project_version(version, spec=spec), make.project_pointer(version))


def ended(request: Relabel, number: int) -> Any:
    """What assignment makes of a request: a round that nobody is asked in."""
    place = make.uid("exhausted", request.item_id, number)
    return make.exhausted(request.item_id, round=number, annotation_id=place, renaming=True, project_version=2)


async def test_labels_are_given_again_under_the_new_name_and_counts_stay_those_of_the_raw_rows(qc: Qc) -> None:
    qc.settings = qc.settings.model_copy(update={"review_max_items": 7})
    await qc.handle(ANNOTATIONS, crowd(40))
    before: list[Label] = await qc.published(LABELS)
    neutral = {one.item_id for one in before if one.value == make.choice("neutral")}
    judged = (await qc.stored()).answers.total()
    rename(qc)
    assert await qc.stored() == await qc.recomputed()
    await qc.reviews.review()
    asked: list[Relabel] = await qc.published(RELABELS)
    assert {one.item_id for one in asked} == neutral
    assert {(one.cause, one.round, one.requested_by) for one in asked} == {(RelabelCause.RENAME, 1, "qc")}
    await qc.handle(ANNOTATIONS, [ended(one, 2) for one in asked])
    again = (await qc.published(LABELS))[len(before) :]
    old = {one.item_id: one for one in before}
    assert {one.item_id for one in again} == neutral
    for one in again:
        assert (one.version, one.renames, one.supersedes, one.opinions, one.cost) == (2, 1, 1, 0, 0.0)
        assert (one.value, one.path) == (make.choice("fair"), old[one.item_id].path)
    stored = await qc.stored()
    assert stored == await qc.recomputed()
    assert (stored.answers.total(), stored.labelled["neutral"], stored.labelled["fair"]) == (judged, 0, len(neutral))
    qc.now = make.at(5000)
    await qc.reviews.review()
    qc.now = make.at(9000)
    await qc.reviews.review()
    assert len(await qc.published(RELABELS)) == len(asked)


async def test_the_counts_are_the_raw_ones_wherever_in_the_stream_a_class_is_renamed(qc: Qc) -> None:
    """Answers of both names, labels decided before and after, a second rename, and repeats of all of it."""
    events, rng = crowd(30), random.Random(4)
    parts = batches(events, rng)
    twice = ChoiceSchema(classes=("negative", "okay", "positive"), renamed={"neutral": "fair", "fair": "okay"})
    for n, part in enumerate(parts):
        if n == len(parts) // 3:
            rename(qc)
        if n == 2 * len(parts) // 3:
            rename(qc, twice, 3)
        told = [_said_anew(event, n) for event in part] if n > len(parts) // 3 else part
        await qc.handle(ANNOTATIONS, told)
        assert await qc.stored() == await qc.recomputed()
    once, labels = await qc.stored(), await qc.published(LABELS)
    await qc.handle(ANNOTATIONS, events)
    await qc.handle(LABELS, labels)
    assert await qc.stored() == once == await qc.recomputed()
    assert once.answered["neutral"] == once.answered["fair"] == 0
    assert await qc.published(LABELS) == labels
    assert not qc.refused


def _said_anew(event: Any, n: int) -> Any:
    """Some people's page still has the old name, others' the new one."""
    if event.value == make.choice("neutral") and n % 2:
        return event.model_copy(update={"value": make.choice("fair")})
    return event


async def test_skill_consensus_and_snapshots_know_one_class(qc: Qc) -> None:
    await qc.handle(ANNOTATIONS, crowd(40))
    await qc.jobs.take_snapshots()
    async with qc.unit() as unit:
        before = (await qc.parameters.latest([make.PROJECT], Store(unit.connection)))[make.PROJECT]
    rename(qc)
    async with qc.unit() as unit:
        naming = qc.reference.references.projects.naming
        after = (await qc.parameters.latest([make.PROJECT], Store(unit.connection, naming)))[make.PROJECT]
    assert (after.snapshot, after.crowd.total) == (before.snapshot, before.crowd.total)
    assert after.crowd.cells["fair", "fair"] == before.crowd.cells["neutral", "neutral"]
    assert not {cell for cell in after.crowd.cells if "neutral" in cell}
    assert after.learned.mass["fair"] == before.learned.mass["neutral"]
    more = [
        make.annotation("new", by=f"ann{n}", value=name, policy=policy(2, 2), project_version=1 + n)
        for n, name in enumerate(("neutral", "fair"))
    ]
    await qc.handle(ANNOTATIONS, more)
    label: Label = (await qc.published(LABELS))[-1]
    assert (label.value, label.path, label.evidence.agreement) == (make.choice("fair"), Path.CONSENSUS, 1.0)
    assert label.project_version == 2  # the first with this name, though a round of before ended in it
    await qc.people.publish_skills()
    skills = [e.measurement for e in await qc.published(QUALITY) if isinstance(e.measurement, Skill)]
    cells = {(cell.truth, cell.answered) for one in skills for cell in one.confusion}
    assert ("fair", "fair") in cells
    assert not {cell for cell in cells if "neutral" in cell}
    await qc.jobs.take_snapshots()
    assert await qc.stored() == await qc.recomputed()


async def test_gold_of_the_old_name_counts_as_the_new_and_is_scored_once(qc: Qc) -> None:
    qc.reference.publish(GOLD_ANSWERS, *(make.gold_answer(f"g{n}", value="neutral") for n in range(3)))
    await qc.handle(ANNOTATIONS, [make.annotation(f"g{n}", by="ann", value="neutral", gold=True) for n in range(2)])
    rename(qc)
    later = make.annotation("g2", by="ann", value="fair", gold=True, project_version=2)
    await qc.handle(ANNOTATIONS, [later])
    await qc.jobs.score_gold()
    results = [e.measurement for e in await qc.published(QUALITY) if isinstance(e.measurement, GoldResult)]
    assert [(one.gold_item_id, one.correct, one.expected) for one in results] == [
        ("g0", True, "neutral"), ("g1", True, "neutral"), ("g2", True, "fair"),
    ]  # fmt: skip
    assert await qc.stored() == await qc.recomputed()
    qc.reference.publish(GOLD_ANSWERS, make.gold_answer("g0", value="positive"))
    await qc.jobs.score_gold()
    assert len(await qc.published(QUALITY)) == 4
    assert await qc.stored() == await qc.recomputed()


async def test_a_person_can_be_forgotten_after_a_rename(qc: Qc) -> None:
    """What was added to a cell under one name is taken from it under another: nothing of the person may stay."""
    await qc.handle(ANNOTATIONS, crowd(12))
    rename(qc)
    async with qc.pool.acquire() as connection:
        await connection.execute("DELETE FROM outbox")  # published
    await qc.handle(ERASURES, [make.erasure(subject="annotator", annotator_id="ann1")])
    async with qc.pool.acquire() as connection:
        for table in ("annotator_counts", "annotators", "annotations"):
            rows = await connection.fetchval(f"SELECT count(*) FROM {table} WHERE annotator_id = 'ann1'")  # noqa: S608
            assert rows == 0, table
    assert await qc.stored() == await qc.recomputed()


async def test_a_rebuilt_database_still_knows_which_labels_are_to_be_renamed(qc: Qc, qc_empty: Qc) -> None:
    await qc.handle(ANNOTATIONS, crowd(20))
    labels: list[Label] = await qc.published(LABELS)
    qc_empty.reference = Reference()
    rename(qc_empty)
    assert qc_empty.names is not SAME
    await qc_empty.handle(LABELS, labels, "rebuild_labels")
    await qc_empty.handle(ANNOTATIONS, crowd(20))
    await qc_empty.reviews.review()
    asked = {one.item_id for one in await qc_empty.published(RELABELS)}
    assert asked == {one.item_id for one in labels if one.value == make.choice("neutral")}
    assert await qc_empty.published(LABELS) == []
    assert await qc_empty.stored() == await qc_empty.recomputed()
