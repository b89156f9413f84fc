"""Agreement and calibration on a real PostgreSQL: what is published, when, and that nobody erased is named again."""

from typing import Any

from shared.events import Calibration, PairAgreement
from shared.topics import ANNOTATIONS, ERASURES, GOLD_ANSWERS, QUALITY
from tests.support import events as make
from tests.support.qc import Qc
from tests.support.qc_domain import policy


async def subjects(qc: Qc) -> dict[str, Any]:
    """The newest measurement of each subject."""
    return {event.subject: event.measurement for event in await qc.published(QUALITY)}


async def test_equal_figures_are_published_once_whoever_measures(qc: Qc) -> None:
    rules = policy(2, 2)
    said = [make.annotation(f"i{n}", by=who, policy=rules, slice="medical") for n in range(5) for who in "ab"]
    await qc.handle(ANNOTATIONS, said)
    first, second = qc.agreement, qc.agreement
    for jobs in (first, first, second):
        await jobs.publish_agreement()
    events = await qc.published(QUALITY)
    assert len({event.event_id for event in events}) == len({event.subject for event in events})
    assert (await subjects(qc))["agreement#slice:medical"].rounds == 5
    before = len(events)
    await first.publish_agreement()
    assert len(await qc.published(QUALITY)) == before


async def test_posteriors_are_checked_against_gold(qc: Qc) -> None:
    gold = [make.gold_answer(item_id=f"gold-{n}") for n in range(25)]
    qc.reference.publish(GOLD_ANSWERS, *gold)
    said = [
        make.annotation(f"gold-{n}", by=who, value="positive" if n % 5 else "neutral", gold=True)
        for n in range(25)
        for who in "ab"
    ]
    await qc.handle(ANNOTATIONS, said)
    await qc.agreement.publish_agreement()
    found = (await subjects(qc))["calibration#gold"]
    assert isinstance(found, Calibration)
    assert (found.labels, found.accuracy) == (25, 0.8)
    assert sum(one.labels for one in found.bins) == 25


async def test_pairs_are_named_until_somebody_is_erased(qc: Qc) -> None:
    rules = policy(3, 3)
    values = ("positive", "negative", "neutral")
    said = [
        make.annotation(f"i{n}", by=who, value=values[(n + shift * (n % 4 == 0)) % 3], policy=rules)
        for n in range(30)
        for shift, who in enumerate(("ann", "bob", "cyd"))
    ]
    await qc.handle(ANNOTATIONS, said)
    jobs = qc.agreement
    await jobs.publish_agreement()
    found = (await subjects(qc))["agreement#pairs"]
    assert isinstance(found, PairAgreement)
    assert {(one.first, one.second) for one in found.pairs} == {("ann", "bob"), ("ann", "cyd"), ("bob", "cyd")}
    assert all(one.alpha is not None and one.ac1 is not None for one in found.pairs)
    async with qc.pool.acquire() as connection:
        await connection.execute("DELETE FROM outbox")  # it was published
    await qc.handle(ERASURES, [make.erasure(subject="annotator", annotator_id="bob")])
    await jobs.publish_agreement()
    again = (await subjects(qc))["agreement#pairs"]
    assert {(one.first, one.second) for one in again.pairs} == {("ann", "cyd")}
