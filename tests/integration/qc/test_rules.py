"""Rules of the project file, from annotations to what is published; real PostgreSQL."""

from typing import Any

from services.qc.domain.trust import Trust
from services.qc.store import Store
from shared.events import (
    Action,
    Annotation,
    Ask,
    Collect,
    Collected,
    Label,
    Quarantine,
    Rule,
    RuleFired,
    Then,
    When,
)
from shared.topics import ANNOTATIONS, ESCALATIONS, LABELS, QUALITY
from tests.support import events as make
from tests.support.qc import Qc, Reference
from tests.support.qc_domain import policy

RULES = policy(1, 3, target=0.5)


def rule(name: str, do: Action, *, what: Collected = Collected.SECONDS, **when: Any) -> Rule:
    return Rule(
        name=name, collect=Collect(what=what, over=10), when=When.model_validate({"after": 5} | when),
        then=Then(do=do, for_s=3600, opinions=1),
    )  # fmt: skip


def ruled(qc: Qc, *rules: Rule) -> None:
    qc.reference = Reference(make.project_spec(rules=rules))


def fast(who: str, numbers: range, seconds: float = 0.2) -> list[Annotation]:
    return [make.annotation(f"{who}{n}", by=who, duration_ms=int(seconds * 1000), policy=RULES) for n in numbers]


async def fired(qc: Qc) -> list[tuple[str, str, int]]:
    found = [e.measurement for e in await qc.published(QUALITY)]
    return [(m.annotator_id, m.rule, m.number) for m in found if isinstance(m, RuleFired)]


async def test_each_person_is_measured_alone_in_any_batches_and_repeats(qc: Qc, qc_empty: Qc) -> None:
    ruled(qc, rule("fast", Action.PAUSE, below=1.0), rule("slow", Action.FLAG, above=100.0))
    for start in range(0, 12, 4):
        batch = [*fast("hal", range(start, start + 4)), *fast("ada", range(start, start + 4), 5.0)]
        for _ in range(2):
            await qc.handle(ANNOTATIONS, batch)
    assert await fired(qc) == [("hal", "fast", 1), ("hal", "fast", 2)]
    qc_empty.reference = qc.reference
    await qc_empty.handle(QUALITY, await qc.published(QUALITY), "rebuild_quality")
    await qc_empty.handle(LABELS, await qc.published(LABELS), "rebuild_labels")
    await qc_empty.handle(ANNOTATIONS, fast("hal", range(12)))
    assert await fired(qc_empty) == []
    await qc_empty.handle(ANNOTATIONS, fast("hal", range(20, 23)))
    assert await fired(qc_empty) == [("hal", "fast", 3)]


async def test_a_rule_puts_in_quarantine_and_labels_are_reviewed(qc: Qc) -> None:
    ruled(qc, rule("streak", Action.QUARANTINE, what=Collected.STREAK, above=7, after=1))
    await qc.handle(ANNOTATIONS, fast("hal", range(12), 5.0))
    assert await fired(qc) == [("hal", "streak", 1)]
    [mark] = [e.measurement for e in await qc.published(QUALITY) if isinstance(e.measurement, Quarantine)]
    assert (mark.annotator_id, mark.active) == ("hal", True)
    assert "rule streak: same_class_streak 8 is above 7" in mark.reason
    async with qc.unit() as unit:
        known: Trust = (await Store(unit.connection).claim_trust([(make.PROJECT, "hal")]))[make.PROJECT, "hal"]
    assert (known.quarantined, known.review) == (True, 0)


async def test_more_opinions_are_asked_beside_somebody_until_a_lead_forgives(qc: Qc) -> None:
    ruled(qc, rule("fast", Action.MORE_OVERLAP, below=1.0))
    await qc.handle(ANNOTATIONS, fast("hal", range(5)))
    await qc.handle(ANNOTATIONS, fast("hal", range(5, 6)))
    [asked] = await qc.published(ESCALATIONS)
    assert (asked.item_id, asked.ask, asked.opinions_wanted) == ("hal5", Ask.OPINION, 2)
    labels: list[Label] = await qc.published(LABELS)
    assert len(labels) == 5
    await qc.handle(ANNOTATIONS, [make.annotation("hal5", by="ben", policy=RULES)])
    assert (await qc.published(LABELS))[-1].opinions == 2
    lead = Quarantine(annotator_id="hal", active=False, reason="talked to")
    await qc.handle(QUALITY, [make.quality(lead, subject="annotator#hal", sequence="x", measured_at=make.at(1001))])
    await qc.handle(ANNOTATIONS, fast("hal", range(6, 7)))
    assert len(await qc.published(ESCALATIONS)) == 1
    assert len(await qc.published(LABELS)) == 7


async def test_an_action_ends_with_its_time(qc: Qc) -> None:
    ruled(qc, rule("fast", Action.MORE_OVERLAP, below=1.0))
    await qc.handle(ANNOTATIONS, fast("hal", range(5)))
    qc.now = make.at(1000 + 3601)
    await qc.handle(ANNOTATIONS, fast("hal", range(5, 6), 9.0))
    assert await qc.published(ESCALATIONS) == []
