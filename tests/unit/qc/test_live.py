"""Live rounds of objects, words and pixels: what is near is one opinion, what one person alone saw is a question."""

from itertools import permutations
from random import Random

import pytest

from services.qc.domain.counts import build, pack, unpack
from services.qc.domain.facts import facts_of
from services.qc.domain.fold import key_of, learn
from services.qc.domain.fusing.told import corrections, part_skills
from services.qc.domain.item import Answer, ItemState
from services.qc.domain.kinds.tolerance import distance
from shared.events import Annotation, Ask, Audience, Escalation, Label, Path, Proposal
from shared.labels import Box, Boxes, Masks, Polygons, Transcript, check_label
from tests.support import events as make
from tests.support.live import CAREFUL, CARELESS, KINDS, Live, boxes, objects, seen, things
from tests.support.qc_domain import policy


def box(x: float, label: str = "car", size: float = 100.0) -> Box:
    return Box(x=x, y=10.0, width=size, height=size, label=label)


def two(*given: Boxes, live: Live | None = None) -> list[Label | Escalation]:
    rules = policy(2, 5, target=0.9)
    told = live or Live(objects("boxes"))
    return told.give(*(make.annotation(by=f"p{n}", value=one, policy=rules) for n, one in enumerate(given)))


def test_boxes_that_differ_by_a_pixel_are_one_label() -> None:
    (label,) = two(Boxes(boxes=(box(10.0),)), Boxes(boxes=(box(11.0),)))
    assert isinstance(label, Label)
    assert label.value == Boxes(boxes=(box(10.5),))
    assert (label.path, label.evidence.agreement) == (Path.CONSENSUS, 1.0)
    (sure,) = label.evidence.sureness
    assert (sure.place, sure.votes) == (0, 2)
    assert min(sure.existence, sure.right_class, sure.extent) == label.posterior is not None
    assert label.posterior > 0.9


@pytest.mark.parametrize(
    ("other", "about"),
    [
        (Boxes(boxes=(box(10.0), box(500.0))), "existence of [1]"),
        (Boxes(boxes=(box(10.0, "dog"),)), "class of [0]"),
        (Boxes(boxes=(box(45.0),)), "extent of [0]"),
    ],
)
def test_a_lone_object_and_a_doubtful_class_or_extent_ask_for_one_more_opinion(other: Boxes, about: str) -> None:
    live = Live(objects("boxes"))
    (asked,) = two(Boxes(boxes=(box(10.0),)), other, live=live)
    assert isinstance(asked, Escalation)
    assert (asked.ask, asked.opinions_wanted) == (Ask.OPINION, 3)
    assert asked.reason.startswith(about)
    rules = policy(2, 5, target=0.7)
    (label,) = live.give(make.annotation(by="p9", value=Boxes(boxes=(box(10.0),)), policy=rules))
    assert isinstance(label, Label)
    assert isinstance(label.value, Boxes)
    assert [one.label for one in label.value.boxes] == ["car"]


def test_at_the_maximum_the_best_there_is_is_the_label_and_what_was_left_out_is_told() -> None:
    live, rules = Live(objects("boxes")), policy(2, 3, target=0.99)
    given = [Boxes(boxes=(box(10.0), box(500.0))), Boxes(boxes=(box(10.0),)), Boxes(boxes=(box(11.0),))]
    *_, label = live.give(*(make.annotation(by=f"p{n}", value=one, policy=rules) for n, one in enumerate(given)))
    assert isinstance(label, Label)
    assert isinstance(label.value, Boxes)
    assert len(label.value.boxes) == 1
    (left,) = label.evidence.left_out
    assert left.votes == 1
    assert 0.05 < left.existence < 0.5
    assert label.posterior == pytest.approx(1.0 - left.existence, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_crowd_with_a_careless_one_is_fused_better_than_anybody_and_stops_when_sure(kind: str) -> None:
    schema, write = KINDS[kind]
    rng, live = Random(3), Live(schema)
    people = {f"p{n}": CAREFUL for n in range(4)} | {"bad": CARELESS}
    fused = alone = 0.0
    items = 12 if kind in ("polygons", "tracks", "relations") else 20
    for n in range(items):
        true = things(rng, rng.randint(2, 4))
        order = rng.sample(sorted(people), len(people))
        given = [(who, write(seen(true, people[who], rng))) for who in order]
        label = live.run(f"i{n}", given)
        assert label is not None
        check_label(label.value, schema)
        fused += distance(label.value, write(true))
        alone += sum(distance(value, write(true)) for _, value in given) / len(given)
        if n % 4 == 3:
            live.snapshot()
    assert any(label.opinions < live.most for label in live.labels.values()) or kind == "relations"
    assert fused < 0.86 * alone
    known = live.parameters.fused
    bad, good = part_skills("bad", known)[0], part_skills("p0", known)[0]
    if good.words is not None and bad.words is not None:
        assert bad.words > 2 * good.words
    else:
        assert (bad.detection or 0.0) < (good.detection or 0.0)
        assert (bad.extent or 0.0) < (good.extent or 0.0)


def test_a_careless_annotator_who_is_known_decides_nothing_alone() -> None:
    rng, live = Random(5), Live(objects("boxes"), least=1, most=4)
    for n in range(12):
        true = things(rng, 3)
        order = ["bad", "p0", "p1", "p2"]
        live.run(f"i{n}", [(who, boxes(seen(true, CARELESS if who == "bad" else CAREFUL, rng))) for who in order])
        live.snapshot()
    true = things(rng, 3)
    rules = policy(1, 4, target=0.8)
    drawn = boxes([(0.9, 0.05, 0.5, "dog")])
    (asked,) = live.give(make.annotation("new", by="bad", value=drawn, policy=rules))
    assert isinstance(asked, Escalation)
    assert asked.posterior is not None
    assert asked.posterior < 0.8
    *_, label = live.give(*(make.annotation("new", by=f"p{n}", value=boxes(true), policy=rules) for n in range(2)))
    assert isinstance(label, Label)
    assert distance(label.value, boxes(true)) < 0.01


def test_facts_are_the_same_in_any_order_and_say_what_the_label_says_of_people() -> None:
    rules = policy(2, 3, target=0.99)
    given = [
        make.annotation(by="ada", value=Boxes(boxes=(box(10.0), box(300.0, "dog"))), policy=rules),
        make.annotation(by="bob", value=Boxes(boxes=(box(11.0), box(300.0))), policy=rules),
        make.annotation(by="cyd", value=Boxes(boxes=(box(900.0),)), policy=rules),
    ]
    value = Boxes(boxes=(box(10.5), box(300.0, "dog")))
    label = make.label(value=value)
    found = []
    for order in permutations([*given, label]):
        item = ItemState()
        for event in order:
            if isinstance(event, Annotation):
                item.admit(Answer.of(event))
            else:
                learn({key_of(label): item}, [(key_of(label), label, 0.0)])
        found.append(facts_of(item))
    assert all(one == found[0] for one in found)
    facts = found[0]
    assert facts.answers["ada", "", "=", "found"] == 2
    assert facts.answers["cyd", "", "!", "found"] == 2
    assert facts.answers["cyd", "", "!", "false"] == 1
    assert facts.answers["bob", "dog", "car", "class"] == 1
    assert facts.answers["ada", "", "=", "extent"] == 2
    assert facts.answers["ada", "", "=", "consensus"] == 1  # near enough as a whole
    assert facts.answers["bob", "", "!", "consensus"] == 1
    assert (facts.rounds[3], facts.pairs[3]) == (1, 0)


def test_what_becomes_of_a_proposal_is_counted() -> None:
    live, rules = Live(objects("boxes")), policy(2, 3)
    proposed = Proposal(value=Boxes(boxes=(box(10.0), box(300.0))), confidence=0.7, model_version="m1")
    for n, value in enumerate((proposed.value, Boxes(boxes=(box(10.0), box(320.0))), Boxes(boxes=(box(700.0),)))):
        shown = {"proposal": proposed, "saw_proposal": True, "policy": rules}
        live.give(make.annotation(f"i{n}", by="ada", value=value, **shown))
    live.give(make.annotation("hidden", by="ada", value=proposed.value, proposal=proposed, policy=rules))
    live.snapshot()
    told = corrections("ada", live.parameters.fused)
    assert told is not None
    assert (told.accepted, told.edited, told.replaced) == (1, 1, 1)
    assert told.distance == pytest.approx((0.0 + 1.0 - (1.0 + 80 / 120) / 2 + 1.0) / 3, abs=0.002)


def test_an_expert_settles_it_and_judges_the_others() -> None:
    live, rules = Live(objects("boxes")), policy(1, 3, experts=True)
    mine, right = Boxes(boxes=(box(10.0),)), Boxes(boxes=(box(400.0),))
    live.give(make.annotation(by="ada", value=mine, policy=rules))
    (label,) = live.give(make.annotation(by="eve", value=right, policy=rules, role=Audience.EXPERT))
    assert isinstance(label, Label)
    assert (label.path, label.value) == (Path.EXPERT, right)
    assert live.total.answers["ada", "", "!", "found"] == 1
    assert not any(who == "eve" for who, *_ in live.total.nonzero().answers)


def test_pictures_of_another_size_are_no_opinion_and_a_lone_answer_stays_as_it_was() -> None:
    one = Masks(width=4, height=4, masks=())
    small = Masks(width=2, height=2, masks=())
    live = Live(objects("masks", semantic=True), least=3, most=3)
    label = live.run("i", [("a", one), ("b", one), ("c", small)])
    assert label is not None
    assert label.value == one
    told = Live(objects("boxes"), least=1, most=1).run("j", [("a", Boxes(boxes=(box(1.0), box(50.0))))])
    assert told is not None
    assert (told.path, told.value) == (Path.SINGLE, Boxes(boxes=(box(1.0), box(50.0))))


def test_words_of_a_transcript_are_voted_on_one_by_one() -> None:
    live = Live(KINDS["transcript"][0], target=0.9)
    said = ("The cat sat down.", "The bat sat down.", "the cat sat town")
    label = live.run("i", [(f"p{n}", Transcript(text=each)) for n, each in enumerate(said)])
    assert label is not None
    assert label.value == Transcript(text="The cat sat down.")
    assert [one.place for one in label.evidence.sureness][:2] == [1, 3]


def test_counts_of_parts_are_packed_whole() -> None:
    live = Live(objects("boxes"))
    two(Boxes(boxes=(box(10.0),)), Boxes(boxes=(box(11.0),)), live=live)
    live.snapshot()
    assert ("p0", "", "=", "found") in live.total.nonzero().answers
    cells, _ = unpack(pack(live.cells()))
    assert build(live.parameters.snapshot, cells).fused == live.parameters.fused


def test_no_polygon_of_a_label_is_refused_by_the_contract() -> None:
    rng, live = Random(9), Live(*KINDS["polygons"][:1], least=3, most=3)
    write = KINDS["polygons"][1]
    for n in range(6):
        true = things(rng, 4)
        label = live.run(f"i{n}", [(f"p{k}", write(seen(true, CARELESS, rng))) for k in range(3)])
        assert label is not None
        Polygons.model_validate(label.value.model_dump())
