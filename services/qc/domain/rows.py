"""What an annotator is expected to answer: confusion columns under a two-level prior whose strengths are learned.

A column says how likely an answer is under each truth. Its prior is made of the annotator's own accuracy on the
diagonal and the crowd's confusions off it; the own accuracy is shrunk to the crowd's, which is anchored. So a new
annotator is the crowd, and a spammer, whose columns are flat, adds about no evidence. How many answers each level of
the prior is worth is chosen by the marginal likelihood of the counts: where people's confusions are alike, or class
names mean nothing, this becomes the one-coin model, and where they differ full Dawid-Skene.

Sources: Dawid & Skene 1979; Kim & Ghahramani 2012 (priors on the rows); Minka 2000, "Estimating a Dirichlet
distribution" (strengths by marginal likelihood). Counts have the shape (annotators, answered, truth) throughout.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaln, gammaln

from services.qc.domain.answers import Floats

ROW_ANSWERS = np.array([1.0, 2, 3, 5, 8, 12, 20, 32, 50, 80, 130, 200, 400, 1000])
OWN_ANSWERS = np.array([2.0, 3, 4, 6, 8, 12, 16, 24, 40])
TINY = 1e-9
LEARN_FROM = 1000


@dataclass(frozen=True, slots=True)
class Priors:
    """The assumptions before any answer, none of them tuned to a dataset.

    Attributes:
        accuracy, accuracy_answers: the crowd's accuracy, and how many answers that assumption is worth. Without this
            anchor all labels can flip together.
        own_answers: how many answers the crowd's accuracy is worth against an annotator's own; learned.
        row_answers: how many answers the expected column is worth against an annotator's own counts; learned.
        class_items: how many items of each class were seen before any, so that no class dies out.
        gold: how many answers one gold answer is worth.
    """

    accuracy: float = 0.8
    accuracy_answers: float = 50.0
    own_answers: float = 8.0
    row_answers: float = 5.0
    class_items: float = 10.0
    gold: float = 2.0


def _diagonal(counts: Floats) -> Floats:
    found: Floats = np.einsum("...kk->...", counts)
    return found


def crowd_accuracy(counts: Floats, priors: Priors) -> float:
    """The crowd's accuracy, anchored, and never below guessing."""
    total = float(counts.sum()) + priors.accuracy_answers
    found = (float(_diagonal(counts).sum()) + priors.accuracy_answers * priors.accuracy) / total
    return float(max(found, 1.0 / counts.shape[-1] + TINY))


def crowd_confusion(pooled: Floats) -> Floats:
    """How the wrong answers are spread, (answered, truth): the columns off the diagonal add up to 1."""
    wrong = (pooled + 1.0) * (1.0 - np.eye(len(pooled)))
    found: Floats = wrong / np.maximum(wrong.sum(axis=0), TINY)
    return found


def expected_columns(counts: Floats, priors: Priors, crowd: Floats | None = None) -> Floats:
    """The prior mean of each annotator's columns, same shape as `counts`.

    Args:
        counts: answers by truth, of the annotators asked about.
        priors: with the strengths.
        crowd: counts of all annotators together, (answered, truth); absent: those of `counts`.
    """
    pooled = counts.sum(axis=0) if crowd is None else crowd
    classes = counts.shape[-1]
    accuracy = crowd_accuracy(pooled, priors)
    own = (_diagonal(counts) + priors.own_answers * accuracy) / (counts.sum(axis=(1, 2)) + priors.own_answers)
    expected: Floats = (1.0 - own)[:, None, None] * crowd_confusion(pooled)
    expected[:, np.arange(classes), np.arange(classes)] = own[:, None]
    return expected


Expect = Callable[..., Floats]
"""counts, priors -> the prior mean of the columns: what a kind of model assumes about people."""


def columns(counts: Floats, expected: Floats, strength: float) -> Floats:
    """The posterior mean of each annotator's columns: P(answered | truth); (annotators, answered, truth)."""
    top = counts + strength * expected
    found: Floats = top / (counts.sum(axis=1, keepdims=True) + strength)
    return found


def column_evidence(counts: Floats, expected: Floats, strength: float) -> float:
    """The log marginal likelihood of the counts under Dirichlet columns with this mean and strength."""
    prior = np.maximum(strength * expected, TINY)
    rows = gammaln(strength) - gammaln(counts.sum(axis=1) + strength)
    return float(rows.sum() + (gammaln(counts + prior) - gammaln(prior)).sum())


def column_evidences(counts: Floats, expected: Floats) -> list[float]:
    """The evidence of every strength on the grid. Cells that nobody used say nothing, and are left out."""
    used = counts > TINY
    seen, mean, totals = counts[used], expected[used], counts.sum(axis=1)
    totals = totals[totals > TINY]
    found = []
    for strength in ROW_ANSWERS:
        prior = np.maximum(strength * mean, TINY)
        rows = gammaln(strength) - gammaln(totals + strength)
        found.append(float(rows.sum() + (gammaln(seen + prior) - gammaln(prior)).sum()))
    return found


def _leaning(value: Floats | float, centre: float, width: float) -> Floats | float:
    """A normal prior on the logarithm, so that few counts don't choose an extreme."""
    found: Floats = -0.5 * (np.log(np.asarray(value) / centre) / width) ** 2
    return found


def learn_strengths(counts: Floats, priors: Priors, expect: Expect = expected_columns) -> Priors:
    """The priors with both strengths at their likeliest, on a grid; from at most LEARN_FROM annotators."""
    counts = counts[:: len(counts) // LEARN_FROM + 1]
    base = Priors()
    total, correct = counts.sum(axis=(1, 2)), _diagonal(counts)
    accuracy = crowd_accuracy(counts.sum(axis=0), priors)
    up, down = OWN_ANSWERS[:, None] * accuracy, OWN_ANSWERS[:, None] * (1.0 - accuracy)
    own = (betaln(correct + up, total - correct + down) - betaln(up, down)).sum(axis=1)
    best = OWN_ANSWERS[int(np.argmax(own + _leaning(OWN_ANSWERS, base.own_answers, 1.0)))]
    chosen = replace(priors, own_answers=float(best))
    expected = expect(counts, chosen)
    rows = column_evidences(counts, expected)
    found = ROW_ANSWERS[int(np.argmax(np.array(rows) + _leaning(ROW_ANSWERS, base.row_answers, 1.0)))]
    return replace(chosen, row_answers=float(found))
