"""A changed guideline sends the labels of the classes it touched to people again; real PostgreSQL."""

from shared.events import Relabel, RelabelCause, RelabelPolicy
from shared.labels import ChoiceSchema
from shared.topics import ANNOTATIONS, GOLD_ANSWERS, GUIDELINES, LABELS, PROJECTS, QUALITY, RELABELS
from tests.support import events as make
from tests.support.qc import Qc, Reference
from tests.support.qc_domain import policy

RULES = policy(1, 1)


async def give(qc: Qc, value: str, numbers: range, *, guideline: int = 1, round_: int = 1, by: str = "ann") -> None:
    await qc.handle(
        ANNOTATIONS,
        [
            make.annotation(f"{value}{n}", by=by, value=value, policy=RULES, guideline_version=guideline, round=round_)
            for n in numbers
        ],
    )


async def asked(qc: Qc) -> list[str]:
    found: list[Relabel] = await qc.published(RELABELS)
    assert {(one.cause, one.round, one.requested_by) for one in found} <= {(RelabelCause.GUIDELINE, 1, "qc")}
    return [one.item_id for one in found]


async def test_a_change_reopens_its_labels_in_chunks_within_the_budget_and_resumes(qc: Qc) -> None:
    spec = make.project_spec(policy=make.policy(relabel=RelabelPolicy(review_per_day=5)))
    qc.reference = Reference(spec)
    qc.settings = qc.settings.model_copy(update={"review_max_items": 3})
    first = make.guideline_version(1, touched_classes=())
    qc.reference.publish(GUIDELINES, first, make.guideline_pointer(1))
    await give(qc, "neutral", range(8))
    await give(qc, "positive", range(4))
    await qc.reviews.review()
    assert await asked(qc) == []
    qc.reference.publish(GUIDELINES, make.guideline_version(2, touched_classes=("neutral",)), make.guideline_pointer(2))
    for _ in range(6):
        await qc.reviews.review()  # each time another replica
    assert await asked(qc) == [f"neutral{n}" for n in range(5)]
    qc.now = make.at(1000 + 86_400)
    for _ in range(6):
        await qc.reviews.review()
    assert await asked(qc) == [f"neutral{n}" for n in range(8)]
    await give(qc, "neutral", range(4), guideline=2, round_=2, by="ben")  # given again, under the new one
    await give(qc, "neutral", range(20, 21))  # its round was open when the guideline changed
    qc.now = make.at(1000 + 3 * 86_400)
    for _ in range(9):
        await qc.reviews.review()
    later = (await asked(qc))[8:]
    assert sorted(later) == ["neutral20", *(f"neutral{n}" for n in range(4, 8))]
    qc.now = make.at(1000 + 9 * 86_400)
    for _ in range(9):
        await qc.reviews.review()
    assert len(await asked(qc)) == 13


SPLIT = ("negative", "fair", "mixed", "positive")


async def test_a_split_class_sends_its_labels_to_people_again_and_its_answers_count_no_more(qc: Qc) -> None:
    await give(qc, "neutral", range(4))
    await give(qc, "positive", range(3))
    spec = make.project_spec(label=ChoiceSchema(classes=SPLIT))
    qc.reference.publish(PROJECTS, make.project_version(2, spec=spec), make.project_pointer(2))
    for _ in range(3):
        await qc.reviews.review()
    found: list[Relabel] = await qc.published(RELABELS)
    assert {(one.cause, one.round) for one in found} == {(RelabelCause.SCHEMA, 1)}
    assert [one.item_id for one in found] == [f"neutral{n}" for n in range(4)]
    again = make.annotation("neutral0", by="ben", value="mixed", round=2, policy=RULES, project_version=2)
    await qc.handle(ANNOTATIONS, [again])
    label = (await qc.published(LABELS))[-1]
    assert (label.version, label.value, label.supersedes) == (2, make.choice("mixed"), 1)
    assert [vote.annotator_id for vote in label.evidence.votes] == ["ben"]
    assert await qc.stored() == await qc.recomputed()


async def test_gold_of_a_class_that_is_gone_convicts_nobody(qc: Qc) -> None:
    qc.reference.publish(GOLD_ANSWERS, *(make.gold_answer(f"gold-{n}", value="neutral") for n in range(20)))
    spec = make.project_spec(label=ChoiceSchema(classes=SPLIT))
    qc.reference.publish(PROJECTS, make.project_version(2, spec=spec), make.project_pointer(2))
    given = [make.annotation(f"gold-{n}", by="ann", value="fair", gold=True, project_version=2) for n in range(20)]
    await qc.handle(ANNOTATIONS, given)
    await qc.jobs.score_gold()
    await qc.plans.plan()
    assert await qc.published(QUALITY) == []
