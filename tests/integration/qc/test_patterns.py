"""Error patterns and experts' gold, from annotations to events; real PostgreSQL."""

from services.qc.store import Store
from shared.events import Audience, ErrorPatterns, GoldMark, Quality
from shared.topics import ANNOTATIONS, ERASURES, GOLD_ANSWERS, QUALITY
from tests.support import events as make
from tests.support.qc import Qc
from tests.support.qc_domain import policy

RULES = policy(3, 3, target=0.9)


async def patterns(qc: Qc) -> list[ErrorPatterns]:
    return [e.measurement for e in await qc.published(QUALITY) if isinstance(e.measurement, ErrorPatterns)]


async def confuse(qc: Qc, numbers: range) -> None:
    for n in numbers:
        values = {"ann": "positive", "ben": "positive", "cat": "neutral"}
        await qc.handle(ANNOTATIONS, [make.annotation(f"i{n}", by=w, value=v, policy=RULES) for w, v in values.items()])


async def test_patterns_are_published_where_they_changed(qc: Qc) -> None:
    job = qc.patterns
    await job.publish()
    assert await patterns(qc) == []
    await confuse(qc, range(7))
    qc.reference.publish(GOLD_ANSWERS, make.gold_answer())
    await qc.handle(ANNOTATIONS, [make.annotation("gold-1", by=w, value="negative", gold=True) for w in ("ann", "ben")])
    for _ in range(2):
        await job.publish()
    [found] = await patterns(qc)
    first, second = found.pairs
    assert (first.truth, first.answered, first.answers, len(first.examples)) == ("positive", "neutral", 7, 5)
    assert (second.answered, second.answers, second.examples) == ("negative", 2, ("gold-1",))
    assert (found.items[0].item_id, found.items[0].gold, found.items[0].wrong) == ("gold-1", True, {"negative": 2})
    assert (found.items[1].answers, found.items[1].wrong) == (3, {"neutral": 1})
    await qc.handle(ERASURES, [make.erasure(f"i{n}") for n in range(6)])
    await job.publish()
    assert (await patterns(qc))[-1].pairs[1].examples == ("i6",)


async def test_examples_are_few(qc: Qc) -> None:
    await confuse(qc, range(5))
    async with qc.unit() as unit:
        await Store(unit.connection).trim_disputes(make.PROJECT, 2)
    async with qc.unit() as unit:
        kept = await Store(unit.connection).list_disputes(make.PROJECT, 100)
    assert [one.key[1] for one in kept] == ["i4", "i3"]


def mark(item: str, version: int = 1) -> Quality:
    return make.quality(GoldMark(item_id=item, version=version), subject="gold", sequence=f"mark:{item}:{version}")


async def test_an_experts_decision_that_was_marked_becomes_gold(qc: Qc) -> None:
    rules = policy(2, 2, experts=True, target=0.99)
    values = {"ann": "positive", "ben": "neutral"}
    await qc.handle(ANNOTATIONS, [make.annotation(by=who, value=v, policy=rules) for who, v in values.items()])
    await qc.handle(QUALITY, [mark("i1")])
    assert await qc.published(GOLD_ANSWERS) == []  # nobody has decided it
    word = make.annotation(by="eve", value="negative", role=Audience.EXPERT, policy=rules)
    await qc.handle(ANNOTATIONS, [word])
    await confuse(qc, range(5, 6))
    await qc.handle(QUALITY, [mark("i1"), mark("i1", 2), mark("i5"), mark("nowhere")])
    [answer] = await qc.published(GOLD_ANSWERS)
    assert (answer.item_id, answer.value) == ("i1", make.choice("negative"))
    qc.reference.publish(GOLD_ANSWERS, answer)
    await qc.handle(ANNOTATIONS, [make.annotation("i1", by="dan", value="negative", gold=True, policy=rules)])
    assert (await qc.stored()).answers[("dan", "negative", "negative", "gold")] == 1
    assert await qc.stored() == await qc.recomputed()
