"""A renamed class: facts are the same whenever a replica learns of it; labels are given again, nothing is decided."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain.facts import Facts, facts_of
from services.qc.domain.fold import Context, fold, key_of, learn, rounds_of
from services.qc.domain.item import ItemState, LiveLabel, live_label
from services.qc.domain.rereview import affected, homeless
from services.qc.domain.scale import Kind, Scale
from services.qc.domain.stopping import _tie
from shared.events import Annotation, Audience, CostModel, Escalation, Label, Path, Relabel, in_present_names
from shared.labels import SAME, Names
from tests.support import events as make
from tests.support.qc import named_facts
from tests.support.qc_domain import CLASSES, NOTHING, answers, policy, state
from tests.unit.qc.test_facts import ITEMS, World, scripts

OLD = "neutral"


def _falls_as_the_old(name: str) -> bool:
    """Equal posteriors are told apart by a hash of the name: one that falls alike lets labels be compared."""
    return all(
        (_tie(f"{make.PROJECT}/{item}", name) < _tie(f"{make.PROJECT}/{item}", CLASSES[0]))
        == (_tie(f"{make.PROJECT}/{item}", OLD) < _tie(f"{make.PROJECT}/{item}", CLASSES[0]))
        for item in ITEMS
    )


NEW = next(name for n in itertools.count() if _falls_as_the_old(name := f"fair{n}"))
NAMES = Names({OLD: NEW})
PRESENT = tuple(map(NAMES.name, CLASSES))


class Renamed(World):
    """Learns of the rename at some moment; what it holds is read in present names from then on, as from the store."""

    names = SAME

    def learn_of_it(self) -> None:
        self.names = NAMES
        for item in self.items.values():
            for key, answer in item.answers.items():
                value = answer.value and NAMES.value(answer.value)
                item.answers[key] = replace(answer, value=value, symbol=answer.symbol and NAMES.symbol(answer.symbol))
            label = item.label
            if label is not None:
                symbol, weights = NAMES.symbol(label.symbol), NAMES.shares(label.weights)
                item.label = replace(label, symbol=symbol, weights=weights)

    def annotate(self, events: Sequence[Annotation]) -> None:
        scale = Scale(Kind.CLOSED, tuple(map(self.names.name, CLASSES)), len(CLASSES))
        named = [in_present_names(event, self.names) for event in events]
        contexts = {(make.PROJECT, n): Context(scale, CostModel()) for n in (1, 2)}
        folded = fold(self._touch(named), named, contexts, {make.PROJECT: NOTHING}, now=make.AT)
        self.decided += [event for _, event in folded.decided]
        for facts in folded.delta.values():
            self.total.add(facts)

    def tell(self, events: Sequence[Label | Escalation | Relabel]) -> None:
        told = [(key_of(event), event, 0.0) for event in events]
        for facts in learn(self._touch(events), told, {make.PROJECT: self.names}).values():
            self.total.add(facts)

    @property
    def comparable(self) -> object:
        labels = {key: item.label and replace(item.label, published="") for key, item in self.items.items()}
        return labels, rounds_of(self.items), {k: sorted(i.answers) for k, i in self.items.items()}


def _again(item: str, number: int = 3) -> Annotation:
    return make.exhausted(
        item, round=number, renaming=True, annotation_id=make.uid("rename", item, number), project_version=2
    )


@settings(max_examples=40, deadline=None)
@given(scripts(), st.integers(0, 2**32))
def test_the_facts_are_the_same_wherever_the_rename_comes_in(script: list[Annotation], seed: int) -> None:
    plain = Renamed()
    plain.annotate(script)
    plain.tell(plain.decided)
    expected = named_facts(plain.facts, NAMES)
    rng, other = Random(seed), Renamed()
    lanes: list[list[Any]] = [[e for e in script if e.item_id == name] for name in ITEMS]
    lanes += [[event] for event in plain.decided] + [[None]]
    while lanes := [lane for lane in lanes if lane]:
        event = rng.choice(lanes).pop(0)
        for _ in range(rng.randint(1, 2)):
            if event is None:
                other.learn_of_it()
            elif isinstance(event, Annotation):
                other.annotate([event])
            else:
                other.tell([event])
    plain.learn_of_it()
    assert named_facts(other.facts, NAMES) == expected
    assert other.comparable == plain.comparable
    _check_counts(other)
    at_rest = [(key[1], item) for key, item in other.items.items() if item.label is not None and _rests(item)]
    before = {name: item.label for name, item in at_rest if item.label is not None}
    other.annotate([_again(name, label.version + 1) for name, label in before.items()])
    assert named_facts(other.facts, NAMES) == expected
    _check_counts(other)
    for name, label in before.items():
        _check_again(other, label, name)


def _rests(item: ItemState) -> bool:
    """Whether its latest round ended in the live label: only then is that given again."""
    return item.label is not None and all(answer.round <= item.label.version for answer in item.answers.values())


def _check_counts(world: Renamed) -> None:
    recomputed = Facts()
    for item in world.items.values():
        recomputed.add(facts_of(item))
    assert named_facts(world.total, NAMES) == recomputed.nonzero()


def _check_again(world: Renamed, before: LiveLabel, name: str) -> None:
    (label,) = [e for e in world.decided if isinstance(e, Label) and e.item_id == name and e.renames is not None]
    assert (label.renames, label.path, label.opinions, label.cost) == (before.version, before.path, 0, 0.0)
    assert label.value == make.choice(before.symbol)
    assert OLD not in label.model_dump_json()
    assert live_label(label, tolerance=0.0).weights == before.weights
    assert (label.supersedes, label.version) == (before.version, before.version + 1)


def world(*events: Annotation) -> Renamed:
    found = Renamed()
    found.annotate(events)
    found.learn_of_it()
    return found


def test_a_label_is_given_again_as_it_was_and_needs_nobody() -> None:
    found = world(*answers(OLD, OLD, "positive", OLD, policy=policy(4, 4)))
    (first,) = found.decided
    found.annotate([_again("i1", 2)])
    second = found.decided[-1]
    assert isinstance(first, Label)
    assert isinstance(second, Label)
    assert (second.version, second.supersedes, second.renames) == (2, 1, 1)
    assert (second.value, second.path, second.opinions, second.cost) == (make.choice(NEW), Path.CONSENSUS, 0, 0.0)
    assert second.posterior == pytest.approx(first.posterior, abs=2e-3)  # mills
    assert second.evidence.agreement == first.evidence.agreement == 0.75
    assert [vote.value for vote in second.evidence.votes].count(make.choice(NEW)) == 3
    assert (second.project_version, second.evidence.snapshot) == (2, 0)


def test_an_experts_word_stays_his_and_a_lone_answer_stays_alone() -> None:
    expert = make.annotation(by="eva", role=Audience.EXPERT, value=OLD)
    found = world(*answers("positive", "positive", policy=policy(3, 3)), expert)
    found.annotate([_again("i1", 2)])
    label = found.decided[-1]
    assert isinstance(label, Label)
    assert (label.path, label.value, label.posterior, len(label.evidence.votes)) == (
        Path.EXPERT, make.choice(NEW), None, 3,
    )  # fmt: skip
    lone = world(make.annotation(value=OLD, policy=policy(1, 1)))
    lone.annotate([_again("i1", 2)])
    single = lone.decided[-1]
    assert isinstance(single, Label)
    assert (single.path, single.evidence.agreement, single.posterior) == (Path.SINGLE, None, None)


def test_a_rename_round_without_a_label_of_before_ends_as_any_other() -> None:
    found = Renamed()
    found.annotate([_again("i1", 2)])
    (said,) = found.decided
    assert isinstance(said, Escalation)
    twice = world(make.annotation(value=OLD, policy=policy(1, 1)))
    twice.annotate([_again("i1", 2), _again("i1", 2)])
    assert len(twice.decided) == 2


def test_a_renamed_label_can_still_be_doubted_by_what_gave_it() -> None:
    """A changed guideline and a split look at the answers of the version that it renames."""
    item: ItemState = state(answers(OLD, OLD, guideline_version=1))
    item.merge_label(live_label(make.label(value=OLD), tolerance=0.0))
    item.merge_label(live_label(make.label(version=2, value=OLD, renames=1), tolerance=0.0))
    assert affected(item, 2, {2: frozenset({OLD})}) is not None
    assert homeless(item, frozenset({"positive"})) is not None
    assert (item.label and item.label.given) == 1
