"""Labels that are fused, on a real PostgreSQL: what is stored is what the rows say, and a replay gives the same."""

from random import Random

from shared.events import Agreement, Annotation, Label, Outcome, Path, Proposal, Skill
from shared.labels import LabelValue, Rating, RatingSchema
from shared.topics import ANNOTATIONS, ESCALATIONS, LABELS, QUALITY
from tests.support import events as make
from tests.support.live import CAREFUL, CARELESS, KINDS, seen, things
from tests.support.qc import Qc, Reference
from tests.support.qc_domain import policy

RULES = policy(2, 4, target=0.9)
PEOPLE = {"ada": CAREFUL, "bob": CAREFUL, "cyd": CAREFUL, "bad": CARELESS}


def crowd(kind: str, items: int, rng: Random) -> list[Annotation]:
    """Four opinions on each item, each in sight of a proposal that one of them gave, and the end of the supply."""
    write, events = KINDS[kind][1], []
    for n in range(items):
        true = things(rng, 3)
        given: dict[str, LabelValue] = {who: write(seen(true, one, rng)) for who, one in PEOPLE.items()}
        shown = Proposal(value=write(true), confidence=0.7, model_version="m1")
        for who in rng.sample(sorted(PEOPLE), 4):
            more = {"proposal": shown, "saw_proposal": who != "cyd", "policy": RULES}
            events.append(make.annotation(f"i{n}", by=who, value=given[who], **more))
        events.append(make.exhausted(f"i{n}", policy=RULES))
    return events


async def test_fused_labels_count_what_their_rows_say_and_a_replay_decides_nothing_again(qc: Qc, qc_empty: Qc) -> None:
    for one in (qc, qc_empty):
        one.reference = Reference(make.project_spec(label=KINDS["boxes"][0]))
    events = crowd("boxes", 12, Random(1))
    for at in range(0, len(events), 7):
        await qc.handle(ANNOTATIONS, events[at : at + 7] + events[at : at + 2])
        await qc.jobs.take_snapshots()
    labels: list[Label] = await qc.published(LABELS)
    assert {label.item_id for label in labels} == {f"i{n}" for n in range(12)}
    assert {label.path for label in labels} == {Path.CONSENSUS}
    assert any(label.evidence.snapshot > 0 for label in labels)
    assert any(label.opinions < 4 for label in labels)
    stored = await qc.stored()
    assert stored == await qc.recomputed()
    assert {source for *_, source in stored.answers} == {"consensus", "found", "false", "class", "extent", "proposal"}
    assert sum(n for (who, *_, source), n in stored.answers.items() if source == "proposal" and who == "ada") == 12
    assert not any(source == "proposal" and who == "cyd" for who, *_, source in stored.answers)

    await qc_empty.handle(LABELS, labels, "rebuild_labels")
    await qc_empty.handle(ESCALATIONS, await qc.published(ESCALATIONS), "rebuild_escalations")
    for at in range(0, len(events), 11):
        await qc_empty.handle(ANNOTATIONS, events[at : at + 11])
    assert await qc_empty.stored() == stored == await qc_empty.recomputed()
    assert not await qc_empty.published(LABELS)


async def test_skills_by_part_corrections_and_agreement_are_published(qc: Qc) -> None:
    qc.reference = Reference(make.project_spec(label=KINDS["spans"][0]))
    await qc.handle(ANNOTATIONS, crowd("spans", 10, Random(2)))
    await qc.people.publish_skills()
    await qc.agreement.publish_agreement()
    told = [event.measurement for event in await qc.published(QUALITY)]
    skills = {one.annotator_id: one for one in told if isinstance(one, Skill)}
    (good,), (bad,) = skills["ada"].parts, skills["bad"].parts
    assert good.detection is not None
    assert bad.detection is not None
    assert good.detection > bad.detection
    assert skills["ada"].judged == good.answers <= 10
    done = skills["bad"].corrections
    assert done is not None
    assert done.accepted + done.edited + done.replaced == 10
    assert skills["cyd"].corrections is None
    (agreed,) = [one for one in told if isinstance(one, Agreement)]
    assert (agreed.metric, agreed.rounds) == ("distance", 10)
    assert agreed.alpha is not None
    assert {"alpha_u", "pairwise_f1"} <= agreed.measures.keys()


async def test_an_erased_person_leaves_counts_and_an_erased_item_none(qc: Qc) -> None:
    qc.reference = Reference(make.project_spec(label=KINDS["transcript"][0]))
    events = crowd("transcript", 6, Random(3))
    await qc.handle(ANNOTATIONS, events)
    async with qc.unit() as unit:
        await qc.erasing._eraser.erase_person("bad", unit)
    stored = await qc.stored()
    assert stored == await qc.recomputed()
    assert not any(who == "bad" for who, *_ in stored.answers)
    assert any(who == "" and source == "words" for who, *_, source in stored.answers)
    async with qc.unit() as unit:
        await qc.erasing._eraser.erase_items([(make.PROJECT, f"i{n}") for n in range(6)], unit)
        assert await unit.connection.fetchval("SELECT count(*) FROM items WHERE label_value IS NOT NULL") == 0
    assert not (await qc.stored()).answers
    assert sum(event.outcome is Outcome.ANSWERED for event in events) == 24


def known_of_people(skills: list[Skill]) -> None:
    """Who leans by 20 and who does not is told of them, with what is known of it."""
    leans = {one.annotator_id: one.parts[0] for one in skills}
    assert set(leans) == {"ada", "ben", "cyd", "high"}
    for who, offset in (("ada", 0.0), ("high", 20.0)):
        low, high = leans[who].intervals["offset"]
        assert low - 1.5 < offset < high + 1.5
        assert high - low < 4.0
        assert 1.0 < (leans[who].deviation or 0.0) < 4.0
        assert leans[who].answers >= 16


async def test_numbers_are_judged_by_what_is_known_of_people_and_a_replay_decides_nothing_again(
    qc: Qc, qc_empty: Qc
) -> None:
    spec = make.project_spec(label=RatingSchema(min=0, max=100))
    for one in (qc, qc_empty):
        one.reference = Reference(spec)
    rng, rules = Random(4), policy(2, 4, target=0.9)
    events = []
    for n in range(24):
        true = rng.uniform(20.0, 80.0)
        for who, lean in (("ada", 0.0), ("ben", 0.0), ("cyd", 0.0), ("high", 20.0)):
            value = Rating(rating=round(min(true + rng.gauss(lean, 2.0), 100.0), 2))
            events.append(make.annotation(f"i{n}", by=who, value=value, policy=rules))
    for at in range(0, len(events), 16):
        await qc.handle(ANNOTATIONS, events[at : at + 16])
        await qc.jobs.take_snapshots()
    labels: list[Label] = await qc.published(LABELS)
    known = [label for label in labels if label.posterior is not None]
    assert len(known) > 10
    assert all(label.evidence.error is not None and label.evidence.snapshot > 0 for label in known)
    for label in known[-5:]:
        given = {one.annotator_id: one.value for one in label.evidence.votes}
        own = [value.rating for who, value in given.items() if who != "high" and isinstance(value, Rating)]
        assert isinstance(label.value, Rating)
        assert own[0] - 6.0 < label.value.rating < own[0] + 6.0
    stored = await qc.stored()
    assert stored == await qc.recomputed()

    await qc.people.publish_skills()
    known_of_people([e.measurement for e in await qc.published(QUALITY) if isinstance(e.measurement, Skill)])

    await qc_empty.handle(LABELS, labels, "rebuild_labels")
    await qc_empty.handle(ESCALATIONS, await qc.published(ESCALATIONS), "rebuild_escalations")
    await qc_empty.handle(ANNOTATIONS, events)
    assert await qc_empty.stored() == stored
    assert not await qc_empty.published(LABELS)
