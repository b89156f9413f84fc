"""A changed guideline sends the labels of the classes it touched to people again; real PostgreSQL."""

from shared.events import Relabel, RelabelCause, RelabelPolicy
from shared.topics import ANNOTATIONS, GUIDELINES, RELABELS
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
