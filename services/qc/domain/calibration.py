"""Posteriors that mean what they say: a temperature learned without truth, and what is measured where truth is known.

People err together on a hard item, so posteriors of a model that takes their answers as independent are too sure. How
much too sure shows in the answers themselves: leave one out, predict it from the others of its item, and choose the
temperature under which what people really answered is likeliest.
"""

from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Answers, Bools, Floats
from services.qc.domain.em import Fitted, cavity, class_logs, softmax, sum_by_item

TEMPERATURES = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
"""Exponents of the likelihood; 1: taken at its word."""
AT_MOST = 100_000
TINY = 1e-12
BINS = 10


def _likelihoods(answers: Answers, fitted: Fitted) -> Floats:
    """The log likelihood of answers given the others of their items, by temperature; zeros where nothing is shared."""
    shared = answers.opinions[answers.item] > 1
    step = int(shared.sum()) // AT_MOST + 1
    chosen = answers.only(shared & (answers.item % step == 0))
    if not len(chosen):
        return np.zeros(len(TEMPERATURES))
    likely = cavity(chosen, fitted.posterior, fitted.counts, fitted.expected(), fitted.priors.row_answers)
    logs = np.log(likely)
    others = sum_by_item(chosen, logs)[chosen.item] - logs
    prior = class_logs(fitted.mass, fitted.priors)
    return np.array(
        [np.log(np.maximum((softmax(t * others + prior) * likely).sum(axis=1), TINY)).sum() for t in TEMPERATURES]
    )


def mean_temperature(found: tuple[Answers, Fitted] | None) -> float:
    """The exponent that predicts each answer best from the others of its item, averaged over what is still possible.

    With no answers that is half way between deaf and taken at its word.
    """
    logs = np.zeros(len(TEMPERATURES)) if found is None else _likelihoods(*found)
    return float(softmax(logs) @ TEMPERATURES)


def heard_by(earlier: Floats, told: Floats, prior: Floats) -> Floats:
    """The log likelihood of answers given those before them, by temperature.

    Args:
        earlier: (answers, classes); the scores of the item before each answer.
        told: (answers, classes); log P(the answer | truth).
        prior: (classes,); log P(class).
    """
    likely = np.exp(told)
    return np.array([np.log((softmax(prior + t * earlier) * likely).sum(axis=1)).sum() for t in TEMPERATURES])


def tempered(posterior: Floats, temperature: float) -> Floats:
    """The posterior to the power of the temperature, adding up to 1."""
    return softmax(temperature * np.log(np.maximum(posterior, TINY)))


@dataclass(frozen=True, slots=True)
class Bin:
    """Labels of about the same posterior: how many, the mean posterior, how many of them are right."""

    labels: int
    posterior: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability curve with bins of equal mass, and the debiased calibration error that it comes to.

    The error is the root of the mean squared gap between posterior and accuracy, less what chance alone adds to it in
    bins of this size (Kumar, Liang & Ma 2019, "Verified uncertainty calibration").
    """

    bins: tuple[Bin, ...]
    error: float


def reliability(posterior: Floats, right: Bools, bins: int = BINS) -> Reliability | None:
    """How the posteriors of labels compare with how often they are right.

    Args:
        posterior: (labels,); of the label that was given.
        right: (labels,); whether it is the truth.
        bins: at most; a bin has two labels or more.

    Returns:
        None for fewer than two labels.
    """
    number = min(bins, len(posterior) // 2)
    if number == 0:
        return None
    found, squared = [], 0.0
    for part in np.array_split(np.argsort(posterior, kind="stable"), number):
        accuracy, mean = float(right[part].mean()), float(posterior[part].mean())
        chance = accuracy * (1.0 - accuracy) / (len(part) - 1)
        squared += len(part) / len(posterior) * ((mean - accuracy) ** 2 - chance)
        found.append(Bin(len(part), mean, accuracy))
    return Reliability(tuple(found), float(np.sqrt(max(squared, 0.0))))
