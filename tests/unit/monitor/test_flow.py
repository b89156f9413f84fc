"""The facts of an item are a join: order between topics and repeats change nothing, and every count is exact."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.monitor.domain.counters import Counts, Key, Kind
from services.monitor.domain.facts import Facts, State
from services.monitor.domain.observe import ItemKey, Observed, observe_all
from services.monitor.domain.overview import paths_of
from services.monitor.domain.windows import named
from shared.events import Evidence, Label, Path, RouteState, Vote, in_present_names
from shared.labels import Names
from tests.support import events as make

BUCKET_S = 60
IDS = ("i1", "i2", "i3")


def fold(events: Sequence[Observed], batch: int) -> tuple[dict[ItemKey, Facts], Counts]:
    """The state after handling the events in batches, as the handlers do."""
    known: dict[ItemKey, Facts] = {}
    counts: Counts = Counter()
    for start in range(0, len(events), batch):
        grown, more, _ = observe_all(known, events[start : start + batch], bucket_s=BUCKET_S)
        known |= grown
        counts.update(more)
    return known, Counter({key: n for key, n in counts.items() if n})


@st.composite
def topics(draw: st.DrawFn) -> list[list[Observed]]:
    """What items, predictions, routes, labels hold of a few items; each topic keeps its order per item."""
    items: list[Observed] = []
    predictions: list[Observed] = []
    routes: list[Observed] = []
    labels: list[Observed] = []
    for item_id in IDS:
        items += [make.item(item_id)] * draw(st.integers(0, 2))
        for generation in draw(st.lists(st.integers(0, 3), max_size=3)):
            value = draw(st.sampled_from(make.CLASSES))
            at = make.at(draw(st.integers(0, 500)))
            predictions.append(make.prediction(item_id, value=value, generation=generation, predicted_at=at))
        predictions += [make.abstention(item_id)] * draw(st.integers(0, 1))
        for round_, step in sorted(draw(st.sets(st.tuples(st.integers(1, 3), st.integers(0, 3)), max_size=4))):
            state = draw(st.sampled_from(RouteState))
            routes.append(make.route(item_id, round=round_, step=step, state=state))
        for version in draw(st.permutations(sorted(draw(st.sets(st.integers(1, 3)))))):
            evidence = Evidence(proposal=make.proposal(draw(st.sampled_from(make.CLASSES))))
            path = draw(st.sampled_from(Path))
            labels.append(make.label(item_id, version=version, path=path, evidence=evidence, cost=0.1 * version))
    return [items, predictions, routes, labels]


def repeated(draw: st.DrawFn, events: list[Observed]) -> list[Observed]:
    """The events again and again, first occurrences in order: what redelivery and republishing make of a topic."""
    out: list[Observed] = []
    for event in events:
        out.append(event)
        out += draw(st.lists(st.sampled_from(out), max_size=2))
    return out


def interleaved(rng: random.Random, streams: list[list[Observed]]) -> list[Observed]:
    left = [list(stream) for stream in streams if stream]
    out = []
    while left:
        stream = rng.choice(left)
        out.append(stream.pop(0))
        left = [one for one in left if one]
    return out


@settings(max_examples=100, deadline=None)
@given(data=st.data(), streams=topics(), seed=st.integers(0, 2**32), batch=st.integers(1, 7))
def test_any_interleaving_with_repeats_gives_the_same_facts_and_counts(
    data: st.DataObject, streams: list[list[Observed]], seed: int, batch: int
) -> None:
    plain = fold([event for stream in streams for event in stream], 1)
    noisy = [repeated(data.draw, stream) for stream in streams]  # type: ignore[arg-type]  # draws as a strategy would
    assert fold(interleaved(random.Random(seed), noisy), batch) == plain


NAMES = Names({"neutral": "fair"})


@settings(max_examples=50, deadline=None)
@given(streams=topics(), seed=st.integers(0, 2**32), place=st.integers(0, 60))
def test_the_counts_are_the_same_wherever_a_class_is_renamed(
    streams: list[list[Observed]], seed: int, place: int
) -> None:
    """What was counted before it stays under the former name, and is read with the rest."""
    order = interleaved(random.Random(seed), streams)
    late = [in_present_names(event, NAMES) if n >= place else event for n, event in enumerate(order)]
    known, counts = fold(late, 1)
    plain, expected = fold([event for stream in streams for event in stream], 1)
    assert known == plain
    assert named(counts, {make.PROJECT: NAMES}) == named(expected, {make.PROJECT: NAMES})


@pytest.mark.parametrize("more", [{"value": "fair", "renames": 1}, {"value": "positive"}], ids=["rename", "revision"])
def test_a_label_that_nobody_was_asked_for_is_a_version_and_nothing_else(more: dict[str, Any]) -> None:
    """Its votes were counted before, and what a label takes is not less for it."""
    votes = tuple(Vote(annotation_id=uuid4(), annotator_id=who, value=make.choice("neutral")) for who in "ab")
    evidence = Evidence(votes=votes, proposal=make.proposal("positive"))
    first = make.label(value="neutral", evidence=evidence, would_auto=True, inclusion_probability=0.05)
    again = first.model_copy(update={"version": 2, "opinions": 0, "cost": 0.0, "labelled_at": make.at(9000)})
    again = again.model_copy(update=more | {"value": make.choice(more["value"])})
    _, once = fold([first], 1)
    _, both = fold([first, again], 1)
    assert paths_of(make.PROJECT, both) == paths_of(make.PROJECT, once)
    both.subtract(once)
    version = {Key(make.PROJECT, kind, "consensus"): 1 for kind in (Kind.LABELS, Kind.REPLACED)}
    assert {key: n for key, n in both.items() if n} == version
    _, lost = fold([again], 1)
    seen_first = "renames" not in more  # the label before has expired, so nothing of it was counted
    assert (Kind.COMPARED in {key.kind for key in lost}) == seen_first


@settings(max_examples=50, deadline=None)
@given(streams=topics(), seed=st.integers(0, 2**32))
def test_counts_equal_what_the_events_say(streams: list[list[Observed]], seed: int) -> None:
    known, counts = fold(interleaved(random.Random(seed), streams), 3)
    by_state = Counter(facts.state for facts in known.values() if facts.state is not None)
    counted: Counter[State] = Counter()
    for key, n in counts.items():
        if key.kind == Kind.ITEMS:
            assert n > 0
            counted[State(key.part)] += n
    assert counted == by_state
    by_path = Counter(event.path for event in streams[3] if isinstance(event, Label))
    assert {Path(k.part): n for k, n in counts.items() if k.kind == Kind.LABELS} == by_path
    standing = Counter(facts.path for facts in known.values() if facts.path is not None)
    assert {one.path: one.labels for one in paths_of(make.PROJECT, counts) if one.labels} == standing


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([make.item()], State.AWAITING_PREDICTION),
        ([make.prediction(), make.item()], State.AWAITING_ROUTE),
        ([make.item(), make.prediction(), make.route()], State.QUEUED),
        ([make.route(), make.route(step=2, state=RouteState.BLOCKED)], State.BLOCKED),
        ([make.route(step=2, state=RouteState.BLOCKED), make.route()], State.BLOCKED),
        ([make.route(state=RouteState.SAMPLED_OUT)], State.SAMPLED_OUT),
        ([make.label(), make.route()], State.LABELLED),
        ([make.label(), make.route(round=2)], State.QUEUED),
        ([make.label(), make.route(round=2, state=RouteState.UNLABELABLE)], State.UNLABELABLE),
        ([make.label(version=2), make.route(round=2), make.label()], State.LABELLED),
        ([make.route(state=RouteState.ERASED), make.label()], State.ERASED),
    ],
)
def test_state_is_that_of_the_latest_round(events: list[Observed], state: State) -> None:
    known, counts = fold(events, 1)
    assert [facts.state for facts in known.values()] == [state]
    assert sum(n for key, n in counts.items() if key.kind == Kind.ITEMS) == 1


def test_a_prediction_alone_is_no_item() -> None:
    """Its item may have been refused; nothing is counted as an item until its record comes."""
    _, counts = fold([make.prediction()], 1)
    assert Kind.ITEMS not in {key.kind for key in counts}


def test_the_live_path_is_that_of_the_highest_version() -> None:
    _, counts = fold([make.label(version=2, path=Path.EXPERT), make.label(path=Path.AUTO)], 1)
    assert counts[Key(make.PROJECT, Kind.ITEMS, "labelled", "expert")] == 1
    assert counts[Key(make.PROJECT, Kind.LABELS, "auto")] == 1


def test_only_peoples_labels_are_compared_with_the_model() -> None:
    _, counts = fold([make.auto_label("i1"), make.label("i2", evidence=Evidence(proposal=make.proposal("neutral")))], 1)
    compared = {key: n for key, n in counts.items() if key.kind == Kind.COMPARED}
    assert [(key.part, key.symbol, n) for key, n in compared.items()] == [("m1", "routed:disagree", 1)]


def test_the_inclusion_probability_is_kept_as_a_weight() -> None:
    evidence = Evidence(proposal=make.proposal())
    _, counts = fold([make.label(evidence=evidence, would_auto=True, inclusion_probability=0.05)], 1)
    weights = [(key.symbol, n) for key, n in counts.items() if key.kind == Kind.COMPARED_WEIGHT]
    assert weights == [("audit:agree", 20_000_000)]
