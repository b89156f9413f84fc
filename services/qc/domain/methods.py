"""From all answers of a project to a posterior for each item, by a method of choice.

The default picks its own complexity by marginal likelihood: how far people differ (the strengths of the prior),
whether an order of the classes explains their errors, whether items of one class are of two kinds. On real crowds the
vote share knows something that no model of independent answers does, so a label's posterior is the mean of the calmed
model's and the vote share; a lone answer has no share to speak of.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Answers, Floats, Ints
from services.qc.domain.calibration import mean_temperature, tempered
from services.qc.domain.em import Fitted, clamp, count, evidence, fit, model_evidence, softmax, vote_shares
from services.qc.domain.models import ONE_COIN, ORDERED, TWO_LEVELS, Method
from services.qc.domain.ordinal import ordinal_columns
from services.qc.domain.rows import Priors, crowd_accuracy, expected_columns
from services.qc.domain.subtypes import fit_subtypes

SUBTYPES_AT_MOST = 150_000
"""Answers times classes; above that, kinds of items are not looked for."""
SUBTYPES_FROM = 3
"""Nor below so many answers an item: two answers cannot tell kinds from classes (Kruskal 1977 asks for three views)."""
CERTAIN = 1e6
ROUNDS = 10
TINY = 1e-12
PREDICTION_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
RAREST = 1e-6
WORTH = 2.0
"""A prediction is heard only where it explains the answers better by this much, in nats."""


@dataclass(frozen=True)
class Consensus:
    """Posteriors of all items.

    Attributes:
        posterior: (items, classes); the label is the likeliest class.
        model: what was fitted, in words.
        fitted: the model of people; None where there is none.
        temperature: of the model's posterior.
        prediction_weight: of the model's prediction as one more annotator; 0: not heard.
    """

    posterior: Floats
    model: str
    fitted: Fitted | None = None
    temperature: float = 1.0
    prediction_weight: float = 0.0

    @property
    def label(self) -> Ints:
        """The likeliest class of each item; of equal ones the first. (items,)."""
        found: Ints = self.posterior.argmax(axis=1).astype(np.int32)
        return found


def one_coin_columns(counts: Floats, priors: Priors, crowd: Floats | None = None) -> Floats:
    """Columns of people who differ in their accuracy only; as `rows.expected_columns`."""
    classes = counts.shape[-1]
    pooled = counts.sum(axis=0) if crowd is None else crowd
    right = np.einsum("...kk->...", counts) + priors.own_answers * crowd_accuracy(pooled, priors)
    own = right / (counts.sum(axis=(1, 2)) + priors.own_answers)
    wrong = np.broadcast_to(((1.0 - own) / max(classes - 1, 1))[:, None, None], counts.shape).copy()
    wrong[:, np.arange(classes), np.arange(classes)] = own[:, None]
    return wrong


def _majority(answers: Answers, known: Ints | None) -> Consensus:
    return Consensus(clamp(vote_shares(answers).copy(), known), "vote shares")


def _weighted_majority(answers: Answers, known: Ints | None) -> Consensus:
    """Votes weighted by K * accuracy - 1 (Li & Yu 2014, "Error rate bounds and iterative weighted majority voting")."""
    shares = vote_shares(answers)
    posterior = clamp(shares.copy(), known)
    for _ in range(ROUNDS):
        counts = count(answers, posterior)
        right = np.einsum("wkk->w", counts) + 1.0
        weights = np.maximum(answers.classes * right / (counts.sum(axis=(1, 2)) + 2.0) - 1.0, 0.0)
        whole = answers.by_item @ (np.repeat(weights, answers.classes)[:, None] * _given(answers))
        total = whole.sum(axis=1, keepdims=True)
        hard = np.where(total > 0.0, whole / np.maximum(total, TINY), shares)
        posterior = clamp(np.eye(answers.classes)[hard.argmax(axis=1)], known)
    return Consensus(clamp(hard, known), "weighted vote shares")


def _given(answers: Answers) -> Floats:
    """Which class a cell stands for: (annotators * classes, classes)."""
    found: Floats = np.tile(np.eye(answers.classes), (answers.annotators, 1))
    return found


def _fit_one_coin(answers: Answers, known: Ints | None, beside: Floats | None) -> Fitted:
    priors = Priors(row_answers=CERTAIN)
    return fit(answers, priors=priors, expect=one_coin_columns, learn=False, known=known, beside=beside)


def _one_coin(answers: Answers, known: Ints | None) -> Consensus:
    fitted = _fit_one_coin(answers, known, None)
    return Consensus(fitted.posterior, ONE_COIN, fitted)


def choose(
    answers: Answers, known: Ints | None = None, *, ordered: bool = False, beside: Floats | None = None
) -> tuple[Fitted, str]:
    """The model of people that the answers speak for, and its name in `table.MODELS`; arguments as of `em.fit`.

    With two kinds of items in each class where those explain the answers better.
    """
    fitted, name = fit(answers, known=known, beside=beside), TWO_LEVELS
    if ordered and answers.classes > 2:  # noqa: PLR2004  # two classes are always in order
        other = fit(answers, known=known, expect=ordinal_columns, beside=beside)
        if model_evidence(other) > model_evidence(fitted):
            fitted, name = other, ORDERED
    enough = len(answers) >= SUBTYPES_FROM * int((answers.opinions > 0).sum())
    if enough and len(answers) * answers.classes <= SUBTYPES_AT_MOST:
        split, found = fit_subtypes(answers, fitted, known=known, beside=beside)
        if found > model_evidence(fitted):
            fitted = split
    return fitted, name


def fit_by(
    method: Method, answers: Answers, known: Ints | None, *, ordered: bool, beside: Floats
) -> tuple[Fitted, str]:
    """What a method learns about people, and the name of its model; arguments as of `em.fit`."""
    match method:
        case Method.DEFAULT:
            return choose(answers, known, ordered=ordered, beside=beside)
        case Method.DAWID_SKENE:
            return fit(answers, known=known, beside=beside), TWO_LEVELS
        case Method.ORDINAL:
            return fit(answers, known=known, expect=ordinal_columns, beside=beside), ORDERED
        case Method.ONE_COIN:
            return _fit_one_coin(answers, known, beside), ONE_COIN
        case Method.MAJORITY | Method.WEIGHTED_MAJORITY:
            found = (_majority if method is Method.MAJORITY else _weighted_majority)(answers, known).posterior
            return Fitted(found, count(answers, found) + beside, found.sum(axis=0), Priors(), 1), ONE_COIN


def blended(model: Floats, temperature: float, votes: Floats) -> Floats:
    """The label's posterior: the model's, tempered half way, and the share of two votes or more, half each.

    Args:
        model: (items, classes).
        temperature: of it.
        votes: (items, classes); how many were given.
    """
    calmed, number = (model + tempered(model, temperature)) / 2.0, votes.sum(axis=1, keepdims=True)
    weight = np.where(number > 1.0, 0.5, 0.0)
    found: Floats = (1.0 - weight) * calmed + weight * (votes / np.maximum(number, 1.0))
    return found


def with_predictions(
    answers: Answers, fitted: Fitted, predictions: Floats, known: Ints | None, beside: Floats | None = None
) -> tuple[Fitted, float]:
    """The predictions as one more annotator, with the weight under which people's answers are likeliest.

    A prediction that tells nothing, or the wrong thing, gets no weight: the result is then that without it.

    `predictions` are (items, classes), even where there is none; the rest is as of `em.fit`.
    """
    logs = evidence(answers, fitted.counts, fitted.expected(), fitted.priors.row_answers)
    prior = fitted.mass + fitted.priors.class_items
    base = np.log(prior / prior.sum())
    heard = np.log(np.maximum(predictions, RAREST))
    found = []
    for weight in PREDICTION_WEIGHTS:
        shares = softmax(base + weight * heard)
        top = logs.max(axis=1, keepdims=True)
        found.append(float((np.log((shares * np.exp(logs - top)).sum(axis=1)) + top[:, 0]).sum()))
    best = int(np.argmax(found))
    if found[best] - found[0] <= WORTH:
        return fitted, 0.0
    weight = PREDICTION_WEIGHTS[best]
    again = fit(
        answers, priors=fitted.priors, expect=fitted.expect, learn=False, start=fitted.posterior, known=known,
        prior_scores=weight * heard, beside=beside,
    )  # fmt: skip
    return again, weight


def resolve(
    answers: Answers,
    method: Method = Method.DEFAULT,
    *,
    ordered: bool = False,
    known: Ints | None = None,
    predictions: Floats | None = None,
) -> Consensus:
    """Posteriors of all items.

    Args:
        answers: of one project.
        method: which model of people.
        ordered: the classes stand from lowest to highest.
        known: (items,); the true class, -1 where it is not known.
        predictions: (items, classes); a model's distribution, heard as one more annotator by the methods with a model
            of people; rows of an item without a prediction are even. None: switched off.
    """
    simple: dict[Method, Callable[[Answers, Ints | None], Consensus]] = {
        Method.MAJORITY: _majority,
        Method.WEIGHTED_MAJORITY: _weighted_majority,
        Method.ONE_COIN: _one_coin,
    }
    if method in simple:
        return simple[method](answers, known)
    if method is Method.DEFAULT:
        fitted, name = choose(answers, known, ordered=ordered)
        name = name if fitted.kinds is None else f"{name}, two kinds of items"
    else:
        expect = ordinal_columns if method is Method.ORDINAL else expected_columns
        fitted, name = fit(answers, known=known, expect=expect), "two levels"
    weight = 0.0
    if predictions is not None:
        fitted, weight = with_predictions(answers, fitted, predictions, known)
    if method is not Method.DEFAULT:
        return Consensus(fitted.posterior, name, fitted, prediction_weight=weight)
    temperature = mean_temperature((answers, fitted))
    posterior = clamp(blended(fitted.posterior, temperature, answers.votes), known)
    return Consensus(posterior, name, fitted, temperature, weight)
