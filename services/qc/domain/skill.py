"""An annotator's accuracy with a 95 % credible interval, from counts."""

import math
from dataclasses import dataclass

STEPS = 60
TAIL = 0.025
MAX_TERMS = 300
SMALL = 1e-14
TINY = 1e-300


@dataclass(frozen=True, slots=True)
class SkillEstimate:
    """Posterior mean and interval of the accuracy; `judged` and `correct` are answers, rounded."""

    accuracy: float
    low: float
    high: float
    judged: int
    correct: int


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function (Lentz's method; Numerical Recipes 6.4)."""
    c, d = 1.0, 1.0 / _nonzero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, MAX_TERMS):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0)),
        ):
            d = 1.0 / _nonzero(1.0 + factor * d)
            c = _nonzero(1.0 + factor / c)
            value *= c * d
        if abs(c * d - 1.0) < SMALL:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) for X ~ Beta(a, b): the regularised incomplete beta function."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x with P(X <= x) = p for X ~ Beta(a, b), by bisection to 2^-60."""
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        if beta_cdf(middle, a, b) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def skill(judged: int, correct_mills: int) -> SkillEstimate:
    """Accuracy from `judged` answers, of which `correct_mills` / 1000 were right by the posterior of their labels.

    Prior: Beta(1, 1), so that nothing judged is 0.5 between 0.025 and 0.975.
    """
    right = correct_mills / 1000.0
    a, b = 1.0 + right, 1.0 + max(judged - right, 0.0)
    return SkillEstimate(a / (a + b), beta_quantile(TAIL, a, b), beta_quantile(1.0 - TAIL, a, b), judged, round(right))
