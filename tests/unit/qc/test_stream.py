"""Answers one at a time: counts are sums over answers, a refresh is the batch, and labels don't flip."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.offline.arriving import Rule, run
from services.qc.domain.doubt import in_doubt
from services.qc.domain.em import count, fit
from services.qc.domain.methods import resolve
from services.qc.domain.stream import FIRST, Stream
from tests.support.crowds import accuracy, coin, crowd, two_kinds

CROWD = [coin(a) for a in np.linspace(0.55, 0.95, 20)]
triples = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 2)), max_size=30, unique_by=lambda one: one[:2]
)


def fed(stream: Stream, answers: list[tuple[int, int, int]]) -> Stream:
    for item, annotator, symbol in answers:
        stream.answer(item, annotator, symbol)
    return stream


@settings(deadline=None, max_examples=50)
@given(triples, st.integers(0, 30))
def test_counts_are_the_sum_over_all_answers_at_any_time(answers: list[tuple[int, int, int]], refresh_at: int) -> None:
    stream = fed(Stream(3), answers[:refresh_at])
    if len(stream):
        stream.refresh()
    fed(stream, answers[refresh_at:])
    if answers:
        assert stream.counts() == pytest.approx(count(stream.answers(), stream.posterior()), abs=1e-9)
        assert stream.counts().sum() == pytest.approx(len(answers))
        assert stream.posterior().sum(axis=1) == pytest.approx(np.ones(len(stream.posterior())))


@settings(deadline=None, max_examples=25)
@given(triples, st.randoms())
def test_between_refreshes_the_order_of_answers_does_not_matter(
    answers: list[tuple[int, int, int]], rng: object
) -> None:
    shuffled = list(answers)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = (fed(Stream(3), each) for each in (answers, shuffled))
    for item in {item for item, _, _ in answers}:
        assert one.posterior()[item] == pytest.approx(two.posterior()[item], abs=1e-12)


def test_a_refresh_is_the_batch_fit_and_a_new_number() -> None:
    answers, truth = crowd(CROWD, items=300, opinions=6)
    stream = Stream(2)
    for item, annotator, symbol in zip(answers.item, answers.annotator, answers.symbol, strict=True):
        stream.answer(int(item), int(annotator), int(symbol))
        if stream.due:
            stream.refresh()
    number = stream.snapshot
    assert stream.refresh() == number + 1
    assert stream.fitted is not None
    batch = fit(answers).posterior
    assert np.abs(stream.fitted.posterior - batch).max() < 0.01
    assert abs(accuracy(stream.posterior(), truth) - accuracy(batch, truth)) <= 2 / 300


def test_an_answer_changes_its_own_item_only_and_no_snapshot() -> None:
    stream = fed(Stream(2), [(0, 0, 1), (1, 0, 1), (1, 1, 0)])
    before = stream.posterior()
    stream.answer(0, 1, 1)
    assert (stream.posterior()[1] == before[1]).all()
    assert stream.posterior()[0, 1] > before[0, 1]
    assert stream.snapshot == 0


def test_refreshes_come_often_at_first_and_then_in_proportion() -> None:
    stream, numbers = Stream(2), []
    for place in range(20 * FIRST):
        stream.answer(place // 5, place % 5, 0)
        if stream.due:
            stream.refresh()
            numbers.append(place + 1)
    assert numbers[0] == FIRST
    assert all(0.04 * later <= later - earlier <= 0.2 * later for earlier, later in pairwise(numbers[8:]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kinds", [1, 2])
def test_after_its_refresh_the_stream_labels_as_the_batch_does(seed: int, kinds: int) -> None:
    """Everything the batch knows is in the snapshot: two kinds of items, the temperature, the vote shares."""
    made = (
        crowd(CROWD, items=300, opinions=5, seed=seed)
        if kinds == 1
        else two_kinds(12, items=300, opinions=8, seed=seed)
    )
    answers, _ = made
    stream = Stream(2)
    order = np.random.default_rng(seed).permutation(len(answers))
    for place in order.tolist():
        stream.answer(int(answers.item[place]), int(answers.annotator[place]), int(answers.symbol[place]))
        if stream.due:
            stream.refresh()
    stream.settle()
    batch = resolve(answers)
    assert stream.fitted is not None
    assert (stream.fitted.kinds is not None) == (kinds == 2)
    assert (stream.labels().argmax(axis=1) != batch.label).sum() <= 2


def test_an_item_that_a_refresh_puts_in_doubt_may_have_more_opinions() -> None:
    answers, truth = crowd(CROWD, items=500, opinions=10)
    found = run(answers, Rule(0.95, 2, 100), 0)
    assert found.reopened.any()
    capped = run(answers, Rule(0.95, 2, 2), 0)
    assert capped.used.max() == 2
    assert not capped.reopened.any(), "who has had the most opinions is not opened again"
    assert in_doubt(0.94, 0.95)
    assert not in_doubt(0.946, 0.95)
    assert accuracy(found.posterior, truth) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_stopping_saves_opinions_and_keeps_the_labels(seed: int) -> None:
    answers, truth = crowd(CROWD, items=500, opinions=10)
    found = run(answers, Rule(0.95, 2, 100), seed)
    assert found.used.mean() < 7
    assert accuracy(found.posterior, truth) > accuracy(fit(answers).posterior, truth) - 0.03
    assert len(found.answers) == found.used.sum()
    assert found.used.min() >= 2


def test_minimum_and_maximum_hold_and_equal_seeds_are_equal_runs() -> None:
    answers, _ = crowd(CROWD, items=100, opinions=8)
    bounded = run(answers, Rule(0.6, 3, 4), 1)
    assert set(bounded.used.tolist()) <= {3, 4}
    again = run(answers, Rule(0.6, 3, 4), 1)
    assert (bounded.posterior == again.posterior).all()
    assert (run(answers, Rule(0.9999, 2, 100), 1).used >= bounded.used).all()


def test_a_biased_crowd_is_not_believed_before_it_is_known() -> None:
    """Half of the people take the second class for the first: many agreeing answers are wrong until that is known."""
    blind = np.array([[0.95, 0.05], [0.6, 0.4]])
    answers, truth = crowd([blind] * 18 + [coin(0.9)] * 18, items=150, opinions=30)
    found = run(answers, Rule(0.97, 2, 100), 0)
    assert accuracy(found.posterior, truth) > 0.85
    assert found.used.mean() < 20
