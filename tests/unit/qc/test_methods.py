"""The batch methods: better than votes where people differ, never worse for a useless prediction, blind to names."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qc.domain.answers import Answers, answers_of
from services.qc.domain.calibration import mean_temperature, reliability
from services.qc.domain.em import cavity, cavity_evidence, count, fit, model_evidence, sum_by_item, vote_shares
from services.qc.domain.methods import choose, resolve
from services.qc.domain.models import Method
from services.qc.domain.ordinal import ordinal_columns
from services.qc.domain.rows import Priors, columns, expected_columns
from services.qc.domain.subtypes import fit_subtypes
from tests.support.crowds import accuracy, coin, constant, crowd

triples = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=40)
MIXED = [coin(0.9), coin(0.9), coin(0.55), coin(0.55), coin(0.55), coin(0.55), coin(0.5), coin(0.5)]


def of(answers: list[tuple[int, int, int]]) -> Answers:
    item, annotator, symbol = zip(*answers, strict=True)
    return answers_of(item, annotator, symbol, (6, 5, 3))


@pytest.mark.parametrize("method", list(Method))
@settings(deadline=None, max_examples=25)
@given(answers=triples)
def test_posteriors_add_up_whatever_the_answers(method: Method, answers: list[tuple[int, int, int]]) -> None:
    found = resolve(of(answers), method, ordered=True).posterior
    assert found.shape == (6, 3)
    assert np.isfinite(found).all()
    assert found.sum(axis=1) == pytest.approx(np.ones(6))


@settings(deadline=None, max_examples=25)
@given(triples, st.permutations([0, 1, 2]), st.permutations([0, 1, 2, 3, 4]), st.permutations(range(6)))
def test_names_of_classes_people_and_items_say_nothing(
    answers: list[tuple[int, int, int]], classes: list[int], people: list[int], items: list[int]
) -> None:
    there = fit(of(answers)).posterior
    renamed = of([(items[i], people[w], classes[s]) for i, w, s in answers])
    assert fit(renamed).posterior[np.array(items)][:, np.array(classes)] == pytest.approx(there, abs=2e-3)


def test_the_order_in_which_answers_came_changes_no_bit() -> None:
    answers, _ = crowd(MIXED, items=60, opinions=4, seed=1)
    shuffled = np.random.default_rng(0).permutation(len(answers))
    again = answers_of(
        answers.item[shuffled], answers.annotator[shuffled], answers.symbol[shuffled], (60, len(MIXED), 2)
    )
    assert (resolve(answers).posterior == resolve(again).posterior).all()


def test_good_people_outweigh_many_poor_ones() -> None:
    answers, truth = crowd(MIXED, items=600, opinions=6)
    votes = accuracy(vote_shares(answers), truth)
    for method in (Method.ONE_COIN, Method.DAWID_SKENE, Method.DEFAULT, Method.WEIGHTED_MAJORITY):
        assert accuracy(resolve(answers, method).posterior, truth) > votes + 0.05, method


def test_biased_people_need_columns_and_not_one_coin() -> None:
    """Half of the people say the second class too often, the others the first: accuracies alone can't tell."""
    yes, no = np.array([[0.5, 0.5], [0.02, 0.98]]), np.array([[0.98, 0.02], [0.5, 0.5]])
    answers, truth = crowd([yes] * 6 + [no] * 6, items=500, opinions=6)
    coins, full = (accuracy(resolve(answers, m).posterior, truth) for m in (Method.ONE_COIN, Method.DAWID_SKENE))
    assert full > coins + 0.05
    assert fit(answers).priors.row_answers < 20


def test_one_coin_crowds_are_found_to_be_that() -> None:
    answers, truth = crowd([coin(a, 6) for a in np.linspace(0.4, 0.9, 60)], items=150, opinions=9)
    fitted = fit(answers)
    assert fitted.priors.row_answers >= 50
    assert accuracy(fitted.posterior, truth) > 0.97


def test_spammers_and_inverted_people_do_not_flip_the_labels() -> None:
    people = [coin(0.75)] * 8 + [constant(2, 0)] * 3 + [coin(0.2)] * 2
    answers, truth = crowd(people, items=400, opinions=5)
    assert accuracy(resolve(answers).posterior, truth) > accuracy(vote_shares(answers), truth) + 0.03


def test_an_order_is_used_where_errors_follow_it() -> None:
    steps = np.arange(5)
    people = []
    for bias in np.random.default_rng(1).normal(0.0, 0.6, 40):
        near = np.exp(-0.5 * ((steps[None] - steps[:, None] - bias) / 0.9) ** 2)
        people.append(near / near.sum(axis=1, keepdims=True))
    answers, _ = crowd(people, items=300, opinions=4)
    assert model_evidence(fit(answers, expect=ordinal_columns)) > model_evidence(fit(answers)) + 10
    assert "ordered" in resolve(answers, ordered=True).model
    coins, _ = crowd([coin(0.6, 5)] * 40, items=300, opinions=4)
    assert "ordered" not in resolve(coins, ordered=True).model


def test_two_kinds_of_items_are_found_where_hard_ones_mislead() -> None:
    """The first class has easy and hard items, and who is misled by the hard ones is not who errs elsewhere."""
    rng = np.random.default_rng(0)
    people = []
    for _ in range(30):
        easy, hard, other = rng.beta(20, 1.5), rng.beta(2, 1.2), rng.beta(3, 1.2)
        people.append(np.array([[easy, 1 - easy, 0], [hard, 1 - hard, 0], [1 - other, other, 0]]))
    three, kind = crowd(people, items=1500, opinions=8, mix=(0.55, 0.25, 0.2))
    answers = answers_of(three.item, three.annotator, three.symbol, (1500, 30, 2))
    truth = (kind == 2).astype(np.int32)
    plain = fit(answers)
    split, found = fit_subtypes(answers, plain)
    assert found > model_evidence(plain) + 10
    assert accuracy(split.posterior, truth) > accuracy(plain.posterior, truth) + 0.05
    assert "two kinds" in resolve(answers).model
    even, _ = crowd([coin(0.8)] * 30, items=300, opinions=6)
    plain = fit(even)
    assert fit_subtypes(even, plain)[1] < model_evidence(plain)


def test_two_answers_an_item_are_too_few_to_tell_kinds_of_items_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a first snapshot could take all items for one class, and all people for guessing."""
    split: Any = object()
    monkeypatch.setattr("services.qc.domain.methods.fit_subtypes", lambda *_, **__: (split, np.inf))
    few, enough = (
        answers_of(np.repeat(np.arange(6), n), np.tile(np.arange(n), 6), np.arange(6 * n) % 2, (7, n, 2))
        for n in (2, 3)
    )
    assert choose(few)[0] is not split
    assert choose(enough)[0] is split


def test_an_item_is_taken_out_of_its_counts_exactly_where_there_are_many_classes() -> None:
    rng = np.random.default_rng(7)
    answers = answers_of(np.repeat(np.arange(40), 4), np.tile(np.arange(4), 40), rng.integers(0, 12, 160), (40, 4, 12))
    posterior = rng.dirichlet(np.full(12, 0.05), 40)
    counts, priors = count(answers, posterior), Priors()
    model = (answers, posterior, counts, expected_columns(counts, priors), priors.row_answers)
    exact = sum_by_item(answers, np.log(cavity(*model)))
    assert np.abs(cavity_evidence(*model) - exact).max() < 1e-8


def test_a_known_truth_stays_and_teaches() -> None:
    people = [coin(0.9)] * 2 + [coin(0.1)] * 3
    answers, truth = crowd(people, items=300, opinions=3)
    known = np.full(300, -1, dtype=np.int32)
    known[:40] = truth[:40]
    found = resolve(answers, known=known).posterior
    assert (found[:40].argmax(axis=1) == truth[:40]).all()
    assert found[:40].max(axis=1) == pytest.approx(np.ones(40))
    assert accuracy(found[40:], truth[40:]) > 0.8 > accuracy(resolve(answers).posterior[40:], truth[40:])


def test_a_useful_prediction_is_heard_and_a_useless_one_changes_nothing() -> None:
    answers, truth = crowd([coin(0.65)] * 20, items=500, opinions=3)
    rng = np.random.default_rng(0)
    good = np.where(np.eye(2, dtype=bool)[np.where(rng.random(500) < 0.9, truth, 1 - truth)], 0.9, 0.1)
    alone = resolve(answers, Method.DAWID_SKENE)
    helped = resolve(answers, Method.DAWID_SKENE, predictions=good)
    assert helped.prediction_weight > 0
    assert accuracy(helped.posterior, truth) > accuracy(alone.posterior, truth) + 0.05
    dice = rng.dirichlet((0.3, 0.3), 500)
    for useless in (dice, 1.0 - good):
        found = resolve(answers, Method.DAWID_SKENE, predictions=useless)
        assert found.prediction_weight == 0.0
        assert (found.posterior == alone.posterior).all()


def test_a_lone_answer_has_no_agreement_in_it() -> None:
    answers = answers_of([0, 1, 1], [0, 0, 1], [1, 1, 1], (2, 2, 2))
    lone, both = resolve(answers).posterior[:, 1]
    assert lone < 0.9 < both


def test_a_stranger_is_the_crowd() -> None:
    counts = np.zeros((2, 2, 2))
    counts[0] = [[80.0, 20.0], [20.0, 80.0]]
    found = columns(counts, expected_columns(counts, Priors()), Priors().row_answers)
    assert found[1] == pytest.approx(np.array([[0.8, 0.2], [0.2, 0.8]]), abs=1e-6)
    assert found.sum(axis=1) == pytest.approx(np.ones((2, 2)))


def test_people_who_err_together_are_found_to_be_too_sure() -> None:
    rng = np.random.default_rng(2)
    answers, truth = crowd([coin(0.9)] * 30, items=500, opinions=8, seed=2)
    hard = (rng.random(500) < 0.4)[answers.item] & (rng.random(len(answers)) < 0.5)
    misled = answers_of(
        answers.item, answers.annotator, np.where(hard, 1 - truth[answers.item], answers.symbol), (500, 30, 2)
    )
    assert mean_temperature((answers, fit(answers))) > 0.6
    assert mean_temperature((misled, fit(misled))) < 0.55


def test_reliability_by_hand_and_debiased() -> None:
    sure = reliability(np.full(100, 0.9), np.arange(100) < 60, bins=1)
    assert sure is not None
    assert sure.error**2 == pytest.approx(0.3**2 - 0.6 * 0.4 / 99)
    assert sure.bins[0].labels == 100
    rng = np.random.default_rng(1)
    posterior = rng.uniform(0.5, 1.0, 4000)
    honest = reliability(posterior, rng.random(4000) < posterior)
    assert honest is not None
    assert honest.error < 0.04
    assert reliability(np.ones(1), np.ones(1, dtype=bool)) is None
