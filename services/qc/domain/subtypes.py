"""Items of one class that people answer differently: each class splits into an easy and a hard kind of item.

Dawid-Skene takes the answers to an item as independent given its class. On real items they are not: a hard item
misleads many people at once, and the model then takes the misled for another class. Two kinds of item
per class, each with its own columns (all shrunk to the annotator's common ones), tell the two apart. Whether they are
needed is decided by the marginal likelihood of the answers, without any truth.

Source: Li, Rubinstein & Cohn 2019, "Exploiting worker correlation for label aggregation in crowdsourcing" (there with
random starts and fixed priors).
"""

from dataclasses import replace

import numpy as np
from scipy.special import gammaln

from services.qc.domain.answers import Answers, Floats, Ints
from services.qc.domain.em import Fitted, Kinds, clamp, class_logs, softmax, sum_by_item, vote_shares
from services.qc.domain.rows import ROW_ANSWERS, TINY, Priors, column_evidence, columns

KINDS = 2
KIND_ITEMS = 0.05
STEPS = 100
SETTLED = 1e-3
LEARN_EVERY = 5


def _start(answers: Answers, posterior: Floats) -> Floats:
    """Each class split by how much the people disagree about the item; (items, classes * kinds)."""
    votes = vote_shares(answers)
    doubt = 1.0 - (votes**2).sum(axis=1)
    rank = np.empty(answers.items)
    rank[np.argsort(doubt, kind="stable")] = (np.arange(answers.items) + 0.5) / max(answers.items, 1)
    split = 0.1 + 0.8 * rank
    found: Floats = np.stack([posterior * (1.0 - split)[:, None], posterior * split[:, None]], axis=2)
    return found.reshape(answers.items, -1)


def _strength(counts: Floats, expected: Floats) -> float:
    return float(ROW_ANSWERS[int(np.argmax([column_evidence(counts, expected, one) for one in ROW_ANSWERS]))])


def kind_logs(kinds: Kinds, priors: Priors) -> Floats:
    """The log of the prior of each class and kind; (classes * 2,)."""
    by_class = kinds.mass.reshape(-1, KINDS)
    seen = by_class + KIND_ITEMS
    inside = np.log(seen / seen.sum(axis=1, keepdims=True)).reshape(-1)
    found: Floats = np.repeat(class_logs(by_class.sum(axis=1), priors), KINDS) + inside
    return found


def kind_columns(counts: Floats, expected: Floats, strength: float) -> Floats:
    """Log P(answered | class, kind), shaped as `counts`: (annotators, answered, classes * 2); `expected`: by class."""
    found: Floats = np.log(np.maximum(columns(counts, np.repeat(expected, KINDS, axis=2), strength), TINY))
    return found


def _gathered(answers: Answers, parts: Floats, beside: Floats | None) -> tuple[Floats, Floats]:
    """Counts by kind and by class; gold is clear by nature, so what is counted beside is of the first kind."""
    counts = (answers.by_cell @ parts).reshape(answers.annotators, answers.classes, -1)
    if beside is not None:
        counts[:, :, ::KINDS] += beside
    return counts, counts.reshape(answers.annotators, answers.classes, -1, KINDS).sum(axis=3)


def fit_subtypes(
    answers: Answers, base: Fitted, *, known: Ints | None = None, beside: Floats | None = None, steps: int = STEPS
) -> tuple[Fitted, float]:
    """Fit two kinds of item per class, from a fit with one.

    Args:
        answers: of one project.
        base: the fit with one kind.
        known: as of `em.fit`.
        beside: as of `em.fit`.
        steps: at most.

    Returns:
        The fit, with classes again (kinds summed up), and its evidence, comparable with `model_evidence`.
    """
    classes = answers.classes
    parts = _start(answers, base.posterior)
    priors, strength = base.priors, base.priors.row_answers
    step = 0
    for step in range(1, steps + 1):
        counts, whole = _gathered(answers, parts, beside)
        expected = np.repeat(base.expect(whole, priors), KINDS, axis=2)
        if step % LEARN_EVERY == 1:
            strength = _strength(counts, expected)
        scores = sum_by_item(answers, np.log(_cavity(answers, parts, counts, expected, strength)))
        scores += kind_logs(Kinds(counts, parts.sum(axis=0)), priors)
        found = _clamp(softmax(scores), known, classes)
        moved = np.abs(found - parts).max()
        parts = found
        if step > LEARN_EVERY and moved < SETTLED:
            break
    fitted = Fitted(base.posterior, base.counts, base.mass, replace(priors, row_answers=strength), step, base.expect)
    return _summary(answers, parts, fitted, beside)


def _cavity(answers: Answers, parts: Floats, counts: Floats, expected: Floats, strength: float) -> Floats:
    own = parts[answers.item]
    top = (counts + strength * expected)[answers.annotator, answers.symbol] - own
    bottom = (counts.sum(axis=1) + strength)[answers.annotator] - own
    found: Floats = np.minimum(np.maximum(top, TINY) / np.maximum(bottom, TINY), 1.0)
    return found


def _clamp(parts: Floats, known: Ints | None, classes: int) -> Floats:
    if known is None:
        return parts
    by_class = parts.reshape(len(parts), classes, KINDS)
    inside = by_class / np.maximum(by_class.sum(axis=2, keepdims=True), TINY)
    fixed: Floats = clamp(by_class.sum(axis=2), known)[:, :, None] * inside
    return fixed.reshape(len(parts), -1)


def _summary(answers: Answers, parts: Floats, fitted: Fitted, beside: Floats | None) -> tuple[Fitted, float]:
    priors = fitted.priors
    by_class = parts.reshape(answers.items, answers.classes, KINDS)
    posterior = by_class.sum(axis=2)
    counts, whole = _gathered(answers, parts, beside)
    expected = np.repeat(fitted.expect(whole, priors), KINDS, axis=2)
    kinds = by_class.sum(axis=0) + KIND_ITEMS
    mass = posterior.sum(axis=0) + priors.class_items
    inside = gammaln(kinds).sum() - gammaln(kinds.sum(axis=1)).sum()
    inside -= len(kinds) * (KINDS * gammaln(KIND_ITEMS) - gammaln(KINDS * KIND_ITEMS))
    entropy = -(parts * np.log(np.maximum(parts, 1e-300))).sum()
    found = entropy + gammaln(mass).sum() - gammaln(mass.sum()) + inside
    found += column_evidence(counts, expected, priors.row_answers)
    split = replace(
        fitted, posterior=posterior, counts=whole, mass=posterior.sum(axis=0), kinds=Kinds(counts, parts.sum(axis=0))
    )
    return split, float(found)
