"""Whether somebody's answers to gold may still be given the benefit of the doubt: a test that may be looked at always.

The evidence is a mixture, over the answer at which somebody may have become bad, of the likelihood ratios of an
unacceptable accuracy against an acceptable one. For whoever is never below acceptable it is an e-process: it ever
reaches 1 / `false_alarm` with probability at most `false_alarm`, however long and however often one looks (Ville's
inequality). A change after k good answers costs no more than the factor k (k + 1), so that later decay is caught too.

Sources: Wald 1945 (the ratio); Shin, Ramdas & Rinaldo 2022, E-detectors (mixing over change times). O(1) a result.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from services.qc.domain.scale import Kind, Scale
from shared.events import GoldPolicy

LARGEST = 1e300
HALFWAY, NEAR_CHANCE, BELOW = 0.5, 0.15, 0.9
"""Where the default limits lie between guessing and perfect; and how far below acceptable unacceptable is at least."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Accuracies on gold: at least `acceptable` is good work, `unacceptable` is what the test looks for.

    `first`: answers to gold that somebody begins with; `passed`: the share of them that must be right.
    """

    acceptable: float
    unacceptable: float
    false_alarm: float
    first: int = 0
    passed: float = 0.0


@dataclass(frozen=True, slots=True)
class Trust:
    """Somebody in one project.

    Attributes:
        answers, correct: scored answers to gold since `since`.
        evidence: that they are below what is acceptable; from 0.
        quarantined, reason, changed_at: as decided last, here or by a lead.
        since: answers that arrived up to this number were forgiven by a lead.
        review: their items are reviewed from this answer on; None where there is nothing to review.
    """

    answers: int = 0
    correct: int = 0
    evidence: float = 0.0
    quarantined: bool = False
    reason: str = ""
    changed_at: datetime | None = None
    since: int = 0
    review: int | None = None


def limits(policy: GoldPolicy, scale: Scale) -> Limits:
    """A project's limits; by default halfway between guessing and perfect, and a little better than guessing."""
    chance = 0.0 if scale.kind in (Kind.NUMERIC, Kind.FUSED) else 1.0 / scale.size
    acceptable = policy.acceptable if policy.acceptable is not None else chance + HALFWAY * (1.0 - chance)
    near_chance = min(chance + NEAR_CHANCE * (1.0 - chance), BELOW * acceptable)
    unacceptable = policy.unacceptable if policy.unacceptable is not None else near_chance
    unacceptable = min(unacceptable, BELOW * acceptable)
    return Limits(acceptable, unacceptable, policy.false_alarm, policy.calibration, policy.calibration_pass or 0.0)


def heard(known: Trust, rules: Limits, *, correct: bool) -> Trust:
    """One more result."""
    number = known.answers + 1
    bad, good = rules.unacceptable, rules.acceptable
    ratio = bad / good if correct else (1.0 - bad) / (1.0 - good)
    evidence = min((known.evidence + 1.0 / (number * (number + 1.0))) * ratio, LARGEST)
    return replace(known, answers=number, correct=known.correct + correct, evidence=evidence)


def heard_again(known: Trust, rules: Limits, results: Iterable[bool]) -> Trust:
    """All results anew, in order: a gold answer was corrected."""
    fresh = replace(known, answers=0, correct=0, evidence=0.0)
    for correct in results:
        fresh = heard(fresh, rules, correct=correct)
    return fresh


def convicted(known: Trust, rules: Limits) -> bool:
    """Whether the evidence is enough, or too few of the first answers were right, and nothing was decided yet."""
    return not known.quarantined and (known.evidence * rules.false_alarm >= 1.0 or _failed(known, rules))


def _failed(known: Trust, rules: Limits) -> bool:
    return known.answers == rules.first > 0 and known.correct / known.answers < rules.passed


def quarantine(known: Trust, rules: Limits, now: datetime) -> Trust:
    """Decide it; every item they answered is to be reviewed."""
    if _failed(known, rules):
        reason = f"calibration: {known.correct} of {known.answers} right, below {rules.passed:.0%}"
        return condemned(known, reason, now)
    reason = (
        f"gold: {known.correct} of {known.answers} right, below {rules.acceptable:.0%};"
        f" chance of a false alarm at most {rules.false_alarm:.2%}"
    )
    return condemned(known, reason, now)


def condemned(known: Trust, reason: str, now: datetime) -> Trust:
    """In quarantine for this reason; every item they answered is to be reviewed."""
    return replace(known, quarantined=True, reason=reason, changed_at=now, review=0)


def told(known: Trust, *, active: bool, reason: str, at: datetime, latest: int) -> Trust:
    """What was decided elsewhere, by a lead or by an earlier database; the newest word holds.

    Args:
        known: as it stands.
        active: quarantined, or reinstated.
        reason: why.
        at: when it was decided.
        latest: the number of the newest answer that arrived; a reinstated person starts afresh after it.
    """
    if known.changed_at is not None and at <= known.changed_at:
        return known
    if active:
        return replace(known, quarantined=True, reason=reason, changed_at=at, review=0)
    return Trust(changed_at=at, reason=reason, since=latest)
