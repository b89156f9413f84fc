"""The refresh: a snapshot holds the batch, and from it the service's posterior is the offline stream's."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain.answers import Answers
from services.qc.domain.consensus import Opinion, posterior, settled
from services.qc.domain.counts import CellCount, Parameters, Source, build, digest, pack, unpack
from services.qc.domain.em import fit
from services.qc.domain.models import ORDERED, TWO_LEVELS
from services.qc.domain.refresh import Given, fits, refresh
from services.qc.domain.scale import Kind, Scale
from services.qc.domain.stream import Stream
from services.qc.domain.table import table_of
from tests.support.crowds import coin, crowd, two_kinds
from tests.support.qc_domain import NOTHING

CROWD = [coin(a, 3) for a in np.linspace(0.45, 0.95, 12)]
SCALE = Scale(Kind.CLOSED, ("k0", "k1", "k2"), 3)


def rows(answers: Answers, order: Sequence[int] | None = None) -> list[Given]:
    """Answers as the store gives them, having arrived in this order; sorted by item and arrival."""
    arrival = range(len(answers)) if order is None else order
    found = [
        Given(f"i{answers.item[p]:05}", f"p{answers.annotator[p]}", f"k{answers.symbol[p]}", seq)
        for seq, p in enumerate(arrival, start=1)
    ]
    return sorted(found, key=lambda one: (one.item_id, one.seq))


def taken(number: int, given_: Sequence[Given], before: Parameters = NOTHING, scale: Scale = SCALE) -> Parameters:
    """A snapshot, stored and read again."""
    return build(number, *unpack(pack(*refresh(given_, [], scale, before))))


def opinions(given_: Sequence[Given], item: str) -> list[Opinion]:
    return [Opinion(one.annotator_id, one.symbol) for one in given_ if one.item_id == item]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kinds", [1, 2])
def test_the_service_and_the_offline_stream_are_one_engine(seed: int, kinds: int) -> None:
    """Two snapshots, taken after the same answers: every posterior is the same, of old items and of new ones."""
    if kinds == 1:
        (answers, _), scale = crowd(CROWD, items=120, opinions=5, seed=seed), SCALE
    else:
        (answers, _), scale = two_kinds(12, items=300, opinions=8, seed=seed), Scale(Kind.CLOSED, ("k0", "k1"), 2)
    order = np.random.default_rng(seed).permutation(len(answers)).tolist()
    stream, parameters = Stream(scale.size), NOTHING
    for end in (250, len(order) * 3 // 4, len(order)):
        for place in order[:end][len(stream) :]:
            stream.answer(int(answers.item[place]), int(answers.annotator[place]), int(answers.symbol[place]))
        arrived = rows(answers, order[:end])
        mine = stream.posterior()
        for item in {one.item_id for one in arrived}:
            said = opinions(arrived, item)
            shares = posterior(said, scale, parameters)
            assert list(shares.values()) == pytest.approx(mine[int(item[1:])].tolist(), abs=1e-3)
            assert list(settled(said, scale, parameters).values()) == pytest.approx(
                stream.labels()[int(item[1:])].tolist(), abs=1e-3
            )
        assert table_of(parameters, scale.classes).temperature == pytest.approx(stream.temperature, abs=1e-3)
        stream.settle()
        parameters = taken(stream.snapshot, arrived, parameters, scale)
    assert bool(parameters.learned.hard) == (kinds == 2)


def test_a_snapshot_holds_the_batch() -> None:
    answers, _ = crowd(CROWD, items=200, opinions=6)
    cells, learned = refresh(rows(answers), [], SCALE, NOTHING)
    batch = fit(answers)
    assert learned.model == TWO_LEVELS
    assert (learned.own_answers, learned.row_answers) == (batch.priors.own_answers, batch.priors.row_answers)
    assert {one.source for one in cells} == {Source.FITTED}
    for one in cells:
        place = int(one.annotator_id[1:]), int(one.answered[1:]), int(one.truth[1:])
        assert one.weight == pytest.approx(batch.counts[place] * 1000, abs=1)
    assert sum(one.weight for one in cells) == pytest.approx(len(answers) * 1000, rel=0.01)
    assert sum(learned.mass.values()) == pytest.approx(200_000, abs=5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 5), st.randoms())
def test_the_same_answers_are_the_same_snapshot_in_whatever_order_they_are_read(seed: int, rng: object) -> None:
    answers, _ = crowd(CROWD, items=30, opinions=4, seed=seed)
    given_ = rows(answers)
    shuffled = list(given_)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    again = sorted(shuffled, key=lambda one: (one.item_id, one.seq))
    assert digest(pack(*refresh(given_, [], SCALE, NOTHING))) == digest(pack(*refresh(again, [], SCALE, NOTHING)))


def test_an_order_of_the_classes_is_used_where_the_scale_has_one() -> None:
    steps = np.arange(5)
    near = np.exp(-0.5 * ((steps[None] - steps[:, None]) / 0.9) ** 2)
    answers, _ = crowd([near / near.sum(axis=1, keepdims=True)] * 40, items=300, opinions=4)
    scale = Scale(Kind.CLOSED, tuple(f"k{n}" for n in range(5)), 5, ordered=True)
    assert refresh(rows(answers), [], scale, NOTHING)[1].model == ORDERED
    assert refresh(rows(answers), [], replace(scale, ordered=False), NOTHING)[1].model == TWO_LEVELS


def test_gold_and_experts_words_teach_what_answers_alone_do_not() -> None:
    """Two people who always differ: who is right is known from gold, or from an expert."""
    ways = ("k0", "k1")
    given_ = [
        Given(f"i{n}", who, value, n) for n in range(40) for who, value in (("a", ways[n % 2]), ("b", ways[1 - n % 2]))
    ]
    gold = [CellCount("a", one, one, Source.GOLD, 9, 9000) for one in ways]
    gold += [CellCount("b", one, other, Source.GOLD, 9, 9000) for one, other in (ways, ways[::-1])]
    told = build(1, *refresh(given_, gold, SCALE, NOTHING))
    both = [Opinion("a", "k0"), Opinion("b", "k1")]
    assert posterior(both, SCALE, told)["k0"] > 0.6
    by_expert = [one._replace(known=ways[1 - int(one.item_id[1:]) % 2]) for one in given_ if int(one.item_id[1:]) < 20]
    assert posterior(both, SCALE, taken(1, by_expert))["k1"] > 0.6
    assert posterior(both, SCALE, taken(1, given_))["k1"] == pytest.approx(0.5, abs=0.1)


def test_a_prediction_is_heard_once_by_the_snapshot_that_was_there() -> None:
    answers, _ = crowd(CROWD, items=60, opinions=5)
    order = np.random.default_rng(0).permutation(len(answers)).tolist()
    first = taken(1, rows(answers, order[:200]))
    second = taken(2, rows(answers, order), first)
    assert first.learned.through == 200
    assert second.learned.heard != first.learned.heard
    third = taken(3, rows(answers, order), second)
    assert (third.learned.heard, third.learned.through) == (second.learned.heard, 300)


def test_no_answers_and_strange_ones_are_a_snapshot_too() -> None:
    cells, learned = refresh([], [], SCALE, NOTHING)
    assert (cells, learned.through) == ([], 0)
    assert refresh([Given("i", "a", "no class any more", 5)], [], SCALE, NOTHING)[0] == []


def test_confusions_of_very_many_people_or_classes_are_not_fitted() -> None:
    assert fits(5000, SCALE)
    assert not fits(5000, Scale(Kind.CLOSED, tuple(map(str, range(200))), 200))
