"""Facts are a join: any interleaving, repeats and replays give the same; what was decided is not decided again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain.counts import Parameters
from services.qc.domain.facts import Facts, facts_of
from services.qc.domain.fold import ItemKey, fold, key_of, learn, rounds_of
from services.qc.domain.item import Admission, Answer, ItemState, live_label
from shared.events import Annotation, Audience, Escalation, Label, Path, Relabel, SkipReason
from tests.support import events as make
from tests.support.qc_domain import CLASSES, CONTEXT, NOTHING, answers, known, policy, state

CONTEXTS = {(make.PROJECT, 1): CONTEXT}
ITEMS = ("i1", "i2", "i3")
PEOPLE = ("ada", "bob", "cyd", "dan", "eve")


@dataclass
class World:
    """Items folded in memory, as the handlers do it in PostgreSQL."""

    parameters: Parameters = NOTHING
    items: dict[ItemKey, ItemState] = field(default_factory=dict)
    total: Facts = field(default_factory=Facts)
    decided: list[Label | Escalation] = field(default_factory=list)

    def _touch(self, events: Sequence[Any]) -> dict[ItemKey, ItemState]:
        return {key_of(e): self.items.setdefault(key_of(e), ItemState()) for e in events}

    def annotate(self, events: Sequence[Annotation]) -> None:
        parameters = {make.PROJECT: self.parameters}
        folded = fold(self._touch(events), events, CONTEXTS, parameters, now=make.AT)
        self.decided += [event for _, event in folded.decided]
        for facts in folded.delta.values():
            self.total.add(facts)

    def tell(self, events: Sequence[Label | Escalation | Relabel]) -> None:
        for facts in learn(self._touch(events), [(key_of(e), e, 0.0) for e in events]).values():
            self.total.add(facts)

    @property
    def facts(self) -> Facts:
        return self.total.nonzero()

    @property
    def state(self) -> object:
        labels = {key: item.label for key, item in self.items.items()}
        return labels, rounds_of(self.items), {k: sorted(i.answers) for k, i in self.items.items()}


@st.composite
def scripts(draw: st.DrawFn) -> list[Annotation]:
    """Annotations of three items, in the order of their partitions: two rounds, skips, late ones, an expert."""
    events = []
    rules = draw(st.sampled_from([policy(1, 2), policy(2, 3, experts=True), policy(2, 4, target=0.8)]))
    for name in ITEMS:
        people = draw(st.permutations(PEOPLE))
        cut = draw(st.integers(1, 5))
        for n, who in enumerate(people):
            more: dict[str, Any] = {"round": 1 if n < cut else 2, "policy": rules, "by": who}
            kind = draw(st.sampled_from(["answer", "answer", "answer", "skip", "late", "expert"]))
            if kind == "skip":
                events.append(make.skip(name, why=SkipReason.UNCLEAR, **more))
            else:
                role = Audience.EXPERT if kind == "expert" else Audience.ANNOTATOR
                value = draw(st.sampled_from(CLASSES[:2]))
                events.append(make.annotation(name, value=value, late=kind == "late", role=role, **more))
        if draw(st.booleans()):
            events.append(make.exhausted(name, round=2, policy=rules, annotation_id=make.uid("end", name)))
    return events


def _interleaved(rng: Random, script: Sequence[Annotation], told: Sequence[Label | Escalation | Relabel]) -> list[Any]:
    """Every event once or twice, annotations of one item in order, the rest anywhere."""
    lanes: list[list[Any]] = [[e for e in script if e.item_id == name] for name in ITEMS]
    lanes += [[event] for event in told for _ in range(rng.randint(1, 2))]
    order = []
    while lanes := [lane for lane in lanes if lane]:
        order.append(rng.choice(lanes).pop(0))
        if rng.random() < 0.5:
            order.append(order[-1])
    return order


@settings(max_examples=60, deadline=None)
@given(scripts(), st.integers(0, 2**32), st.integers(0, len(ITEMS)))
def test_any_interleaving_of_topics_with_repeats_gives_the_same_facts(
    script: list[Annotation], seed: int, doubted: int
) -> None:
    auto = [make.auto_label(name) for name in ITEMS[:1]]
    doubts = [make.relabel(name) for name in ITEMS[:doubted]]
    plain = World()
    plain.tell(doubts)
    plain.annotate(script)
    plain.tell([*plain.decided, *auto, *doubts])
    other = World()
    other.tell(doubts)  # each is known before anybody is asked for its round
    for event in _interleaved(Random(seed), script, [*plain.decided, *auto, *doubts]):
        if isinstance(event, Annotation):
            other.annotate([event])
        else:
            other.tell([event])
    assert other.facts == plain.facts
    assert other.state == plain.state
    assert {e.event_id for e in other.decided} <= {e.event_id for e in plain.decided}
    recomputed = Facts()
    for item in plain.items.values():
        recomputed.add(facts_of(item))
    assert recomputed.nonzero() == plain.facts


@settings(max_examples=60, deadline=None)
@given(scripts(), st.booleans(), st.integers(0, len(ITEMS)))
def test_a_rebuilt_service_reads_its_output_first_and_decides_nothing_again(
    script: list[Annotation], learned: bool, doubted: int
) -> None:
    plain, doubts = World(), [make.relabel(name) for name in ITEMS[:doubted]]
    plain.tell(doubts)
    plain.annotate(script)
    rebuilt = World(known(dict.fromkeys(PEOPLE, (60, 59))) if learned else NOTHING)
    rebuilt.tell([*doubts, *plain.decided])
    for event in script:
        rebuilt.annotate([event])
    assert rebuilt.decided == []
    assert rebuilt.facts == plain.facts
    assert rebuilt.state == plain.state


def test_a_known_id_with_other_content_or_a_second_answer_is_a_conflict() -> None:
    item = state(answers("positive"))
    first = answers("positive")[0]
    assert item.admit(Answer.of(first)) is Admission.DUPLICATE
    assert item.admit(Answer.of(answers("negative")[0])) is Admission.CONFLICT
    again = make.annotation(by="ann0", value="negative", annotation_id=make.uid("other"), round=2)
    assert item.admit(Answer.of(again)) is Admission.CONFLICT
    assert [a.symbol for a in item.answers.values()] == ["positive"]
    skip = make.skip(by="ann0", annotation_id=make.uid("skip"))
    assert item.admit(Answer.of(skip)) is Admission.NEW


def _judged(label: Label, *events: Annotation) -> dict[tuple[str, str, str], int]:
    item = state(events)
    item.merge_label(live_label(label, tolerance=0.0))
    return {key[:3]: count for key, count in facts_of(item).answers.items() if count}


def test_people_are_judged_by_labels_that_people_made_together() -> None:
    mix = {"positive": 0.9, "negative": 0.1}
    two = answers("positive", "negative")
    assert _judged(make.label(distribution=mix), *two) == {
        ("ann0", "positive", "positive"): 1,
        ("ann1", "positive", "negative"): 1,
    }
    assert _judged(make.auto_label(), *two) == {}
    assert _judged(make.label(path=Path.SINGLE), *two) == {}
    expert = make.annotation(by="expert", role=Audience.EXPERT, value="negative")
    by_expert = make.label(path=Path.EXPERT, value="negative")
    assert set(_judged(by_expert, *two, expert)) == {
        ("ann0", "negative", "positive"),
        ("ann1", "negative", "negative"),
    }


def test_a_label_judges_answers_up_to_its_round_and_late_ones_too() -> None:
    late = make.annotation(by="late", value="negative", late=True)
    second = make.annotation(by="second", value="positive", round=2)
    judged = _judged(make.label(), *answers("positive"), late, second)
    assert {key[0] for key in judged} == {"ann0", "late"}
    assert {key[0] for key in _judged(make.label(version=2), *answers("positive"), late, second)} == {
        "ann0",
        "late",
        "second",
    }


def test_a_new_label_moves_the_counts_and_leaves_nothing_behind() -> None:
    world = World()
    world.annotate(answers("positive", "positive", policy=policy(2, 2)))
    before = world.facts
    assert before.labelled == {"positive": 1}
    world.tell([make.label(version=2, value="negative")])
    assert world.facts.labelled == {"negative": 1}
    assert {key[1] for key in world.facts.answers} == {"negative"}
    assert sum(world.facts.weights.values()) == sum(before.weights.values()) == 2000


def test_agreement_counts_ended_rounds_of_two_or_more() -> None:
    world = World()
    world.annotate(answers("positive", "positive", "negative", policy=policy(3, 3)))
    assert (world.facts.rounds, world.facts.pairs) == ({3: 1}, {3: 1})
    open_one = World()
    open_one.annotate(answers("positive", "negative", policy=policy(3, 3)))
    assert open_one.facts.rounds == {}


@pytest.mark.parametrize(("ended", "expected"), [(None, 2), ("unlabelable", 1)])
def test_what_a_label_supersedes(ended: str | None, expected: int) -> None:
    item = state(answers("positive"))
    item.merge_label(live_label(make.label(version=1), tolerance=0.0))
    if ended is not None:
        item.merge_escalation(make.escalation(round=2, ask=ended))  # type: ignore[arg-type]
    assert item.superseded_by(3) == expected
    assert item.superseded_by(1) is None
