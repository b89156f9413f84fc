"""Whether somebody answers worse than they did: a sequential test against their own earlier accuracy.

The first BASELINE judged answers give a lower confidence bound of the accuracy (Clopper-Pearson). From then on the
evidence that the accuracy has fallen below that bound is a mixture, over when it fell and by how much, of likelihood
ratios: an e-process for whoever stays at or above the bound. Half of the false-alarm rate is spent on the bound, half
on the evidence (Ville's inequality), so somebody of constant accuracy is ever alarmed about with a probability of at
most `FALSE_ALARM` per baseline, however often one looks. An alarm starts a new baseline. O(1) state and time.

Sources: Clopper & Pearson 1934; Shin, Ramdas & Rinaldo 2022, E-detectors (mixing over change times).
"""

import math
from dataclasses import dataclass, replace

from services.qc.domain.skill import beta_quantile

FALSE_ALARM = 0.02
BASELINE = 100
DROPS = (0.1, 0.2, 0.4)
LOWEST = 0.02
HALF_LIFE = 50.0
KEPT = 0.5 ** (1.0 / HALF_LIFE)
LARGEST = 1e300
MASS = 1.19
"""Above the sum of 1/(m ln^2 m) over m from 3, which is at most 1/(3 ln^2 3) + 1/ln 3."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Somebody's judged answers in one project.

    Attributes:
        base, base_correct: judged answers of the baseline.
        low: the lower bound that the baseline gave; 0 while it is incomplete.
        after, after_correct: judged answers since.
        evidence: for each of `DROPS`, that the accuracy has fallen by so much below the bound.
        recent, recent_correct: judged answers with half the weight each `HALF_LIFE` answers; never reset.
        alarms: how many there were.
    """

    base: int = 0
    base_correct: int = 0
    low: float = 0.0
    after: int = 0
    after_correct: int = 0
    evidence: tuple[float, ...] = (0.0,) * len(DROPS)
    recent: float = 0.0
    recent_correct: float = 0.0
    alarms: int = 0

    @property
    def recent_accuracy(self) -> float | None:
        return self.recent_correct / self.recent if self.recent > 0.0 else None


@dataclass(frozen=True, slots=True)
class Alarm:
    """An accuracy that has fallen; `number` counts the alarms about this person."""

    number: int
    before: float
    low: float
    since: float
    judged: int


def _bound(judged: int, correct: int) -> float:
    return beta_quantile(FALSE_ALARM / 2.0, correct, judged - correct + 1.0) if correct > 0 else 0.0


def _weight(number: int) -> float:
    """The share of the mixture that fell at this answer: 1/(m ln^2 m) with m = number + 2, which adds up to below 1."""
    place = number + 2.0
    return 1.0 / (MASS * place * math.log(place) ** 2)


def _learned(known: Drift, *, correct: bool) -> Drift:
    base, right = known.base + 1, known.base_correct + correct
    return replace(known, base=base, base_correct=right, low=_bound(base, right) if base == BASELINE else 0.0)


def judged(known: Drift, *, correct: bool) -> tuple[Drift, Alarm | None]:
    """One more judged answer."""
    recent = known.recent * KEPT + 1.0
    known = replace(known, recent=recent, recent_correct=known.recent_correct * KEPT + correct)
    if known.base < BASELINE:
        return _learned(known, correct=correct), None
    if known.low <= LOWEST:
        return known, None  # nothing to fall from
    number = known.after + 1
    start = _weight(number)
    evidence = []
    for drop, before in zip(DROPS, known.evidence, strict=True):
        bad = max(known.low - drop, LOWEST)
        ratio = bad / known.low if correct else (1.0 - bad) / (1.0 - known.low)
        evidence.append(min((before + start) * ratio, LARGEST))
    known = replace(known, after=number, after_correct=known.after_correct + correct, evidence=tuple(evidence))
    if sum(evidence) / len(DROPS) * FALSE_ALARM / 2.0 < 1.0:
        return known, None
    alarm = Alarm(
        known.alarms + 1, known.base_correct / known.base, known.low, known.recent_accuracy or 0.0, known.after
    )
    fresh = Drift(recent=known.recent, recent_correct=known.recent_correct, alarms=alarm.number)
    return fresh, alarm
