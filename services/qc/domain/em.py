"""Batch EM: from all answers of a project to posteriors, counts and strengths.

The E-step takes what an item itself added to its annotators' counts out again (cavity; collapsed variational Bayes of
order zero, Asuncion et al. 2009), which keeps an annotator with few answers from confirming themselves. Above
CAVITY_AT_MOST answers that correction is small and left out, and a step is two sparse matrix products.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from services.qc.domain.answers import Answers, Floats, Ints, Whole
from services.qc.domain.rows import TINY, Expect, Priors, column_evidence, columns, expected_columns, learn_strengths

CAVITY_AT_MOST = 200_000
MANY_CLASSES = 8
SMALL = 1e-3
"""Of what an item added to a count, as a share of it: below, two terms of the series of its logarithm are exact."""
STEPS = 80
SETTLED = 1e-3
SETTLED_MEAN = 2e-5
RELEARN = frozenset({2, 3, 5, 8, 13, 21, 34, 55})


@dataclass(frozen=True)
class Kinds:
    """Two kinds of items in each class, which people answer differently; the kinds of a class stand side by side.

    Attributes:
        counts: (annotators, answered, classes * 2).
        mass: (classes * 2,); items by class and kind.
    """

    counts: Floats
    mass: Floats


@dataclass(frozen=True)
class Fitted:
    """What EM found.

    Attributes:
        posterior: (items, classes); P(truth | answers).
        counts: (annotators, answered, truth); answers by the posterior of their items.
        mass: (classes,); items by class.
        priors: with the strengths in use.
        steps: of EM.
        expect: what the model assumes about people.
        kinds: where items of one class are of two kinds.
    """

    posterior: Floats
    counts: Floats
    mass: Floats
    priors: Priors
    steps: int
    expect: Expect = expected_columns
    kinds: Kinds | None = None

    def expected(self) -> Floats:
        """The prior mean of each annotator's columns; shape of `counts`."""
        return self.expect(self.counts, self.priors)


def softmax(scores: Floats) -> Floats:
    """Along the last axis."""
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    found: Floats = shares / shares.sum(axis=-1, keepdims=True)
    return found


def vote_shares(answers: Answers) -> Floats:
    """The share of each class among an item's answers; even where it has none. (items, classes)."""
    given = np.maximum(answers.opinions, 1.0)[:, None]
    found: Floats = np.where(answers.opinions[:, None] > 0, answers.votes / given, 1.0 / answers.classes)
    return found


def count(answers: Answers, posterior: Floats) -> Floats:
    """Answers by annotator, class given and truth: (annotators, answered, truth)."""
    cells: Floats = answers.by_cell @ posterior
    return cells.reshape(answers.annotators, answers.classes, answers.classes)


def class_logs(mass: Floats, priors: Priors) -> Floats:
    """The log of the class prior: how many items of each class there are; (classes,)."""
    seen = mass + priors.class_items
    found: Floats = np.log(seen / seen.sum())
    return found


def sum_by_item(answers: Answers, values: Floats) -> Floats:
    """Sums over the answers of each item: (answers, classes) -> (items, classes)."""
    found = np.zeros((answers.items, values.shape[1]))
    used, starts = np.unique(answers.item, return_index=True)
    if len(used):
        found[used] = np.add.reduceat(values, starts, axis=0)
    return found


def cavity(answers: Answers, posterior: Floats, counts: Floats, expected: Floats, strength: float) -> Floats:
    """P(this answer | truth) from the counts without its own item; (answers, classes)."""
    own = posterior[answers.item]
    top = (counts + strength * expected)[answers.annotator, answers.symbol] - own
    bottom = (counts.sum(axis=1) + strength)[answers.annotator] - own
    found: Floats = np.maximum(top, TINY) / np.maximum(bottom, TINY)
    return np.minimum(found, 1.0)


def cavity_evidence(answers: Answers, posterior: Floats, counts: Floats, expected: Floats, strength: float) -> Floats:
    """Log likelihood of the answers of each item under each truth, from the counts without it; (items, classes).

    Where there are many classes, most items add next to nothing to most counts, and sparse products with the series of
    log(1 - share) do; the others are looked at answer by answer.
    """
    if answers.classes < MANY_CLASSES:
        return sum_by_item(answers, np.log(cavity(answers, posterior, counts, expected, strength)))
    top = np.maximum(counts + strength * expected, TINY)
    bottom = np.maximum(counts.sum(axis=1, keepdims=True) + strength, TINY)
    top, bottom = top.reshape(-1, answers.classes), np.broadcast_to(bottom, top.shape).reshape(-1, answers.classes)
    plain = answers.by_item @ np.log(np.minimum(top / bottom, 1.0))
    first = posterior * (answers.by_item @ (1.0 / top))
    second = answers.by_item @ (1.0 / top**2 - 1.0 / bottom**2)
    item, truth = np.nonzero(first > SMALL)
    change: Floats = posterior * (answers.by_item @ (1.0 / bottom)) - first - 0.5 * posterior**2 * second
    change[item, truth] = _logs_without(answers, posterior, top, bottom, (item, truth))
    change += plain
    return change


def _logs_without(answers: Answers, posterior: Floats, top: Floats, bottom: Floats, at: tuple[Whole, Whole]) -> Floats:
    """What taking an item out of its annotators' counts changes of its log likelihood; (cells,).

    Args:
        answers: of all items.
        posterior: (items, classes).
        top: (annotators * answered, truth).
        bottom: likewise.
        at: item and truth of each cell.
    """
    number = answers.opinions.astype(np.int64)
    times = number[at[0]]
    cell = np.repeat(np.arange(len(times)), times)
    item, truth = np.repeat(at[0], times), np.repeat(at[1], times)
    among = np.arange(len(cell)) - (np.cumsum(times) - times)[cell]
    given = answers.cell[(np.cumsum(number) - number)[item] + among]
    own, above, below = posterior[item, truth], top[given, truth], bottom[given, truth]
    logs = np.log(np.maximum(above - own, TINY) * below / (np.maximum(below - own, TINY) * above))
    found: Floats = np.bincount(cell, logs, minlength=len(times)).astype(np.float64)
    return found


def evidence(answers: Answers, counts: Floats, expected: Floats, strength: float) -> Floats:
    """Log likelihood of the answers of each item under each truth, without the cavity; (items, classes)."""
    logs = np.log(np.maximum(columns(counts, expected, strength), TINY)).reshape(-1, answers.classes)
    found: Floats = answers.by_item @ logs
    return found


def clamp(posterior: Floats, known: Ints | None) -> Floats:
    """Items whose truth is known have all of their mass there; changes `posterior`."""
    if known is not None:
        fixed = np.nonzero(known >= 0)[0]
        posterior[fixed] = 0.0
        posterior[fixed, known[fixed]] = 1.0
    return posterior


def _with(beside: Floats | None, counts: Floats) -> Floats:
    return counts if beside is None else counts + beside


def fit(
    answers: Answers,
    *,
    priors: Priors | None = None,
    expect: Expect = expected_columns,
    learn: bool = True,
    start: Floats | None = None,
    known: Ints | None = None,
    prior_scores: Floats | None = None,
    beside: Floats | None = None,
    steps: int = STEPS,
) -> Fitted:
    """Fit the two-level model.

    Args:
        answers: of one project.
        priors: absent: the defaults.
        expect: what is assumed about people: two levels, or an ordered scale.
        learn: whether the strengths are learned.
        start: (items, classes); posteriors to go on from. Absent: vote shares.
        known: (items,); the true class, -1 where it is not known.
        prior_scores: (items, classes); log P(truth) beside the class prior, such as a model's prediction.
        beside: (annotators, answered, truth); counts from elsewhere, such as gold, that count with those fitted.
        steps: at most.
    """
    chosen = priors or Priors()
    posterior = clamp((vote_shares(answers) if start is None else start).copy(), known)
    close = len(answers) <= CAVITY_AT_MOST
    step = 0
    for step in range(1, steps + 1):
        counts = _with(beside, count(answers, posterior))
        if learn and step in RELEARN:
            chosen = learn_strengths(counts, chosen, expect)
        expected = expect(counts, chosen)
        if close:
            scores = cavity_evidence(answers, posterior, counts, expected, chosen.row_answers)
        else:
            scores = evidence(answers, counts, expected, chosen.row_answers)
        scores += class_logs(posterior.sum(axis=0), chosen)
        if prior_scores is not None:
            scores += prior_scores
        found = clamp(softmax(scores), known)
        moved = np.abs(found - posterior)
        posterior = found
        if step > max(RELEARN & set(range(6))) and (moved.max() < SETTLED or moved.mean() < SETTLED_MEAN):
            break
    return Fitted(posterior, _with(beside, count(answers, posterior)), posterior.sum(axis=0), chosen, step, expect)


def model_evidence(fitted: Fitted) -> float:
    """A lower bound of the log marginal likelihood, by which models of the same answers are compared."""
    q = fitted.posterior
    entropy = -float((q * np.log(np.maximum(q, 1e-300))).sum())
    mass = fitted.mass + fitted.priors.class_items
    classes = float(gammaln(mass).sum() - gammaln(mass.sum()))
    return entropy + classes + column_evidence(fitted.counts, fitted.expected(), fitted.priors.row_answers)
