"""From which confidence the model's proposals may be accepted unseen: a bound on their error that holds at all times.

Evidence are the blind audits: a uniform share of the items of each confidence, labelled by people. People err too, so
the loss of one is the probability that the proposal is wrong, given what they answered, where the error is just the
target (`loss_of`): its mean is at least the target exactly where the error is. For each threshold a betting martingale
tests that the mean loss above it is at least the target: thresholds that it refutes are certified, at a level that they
share (strictest first, each passes its own on when it is refuted). So the chance that a certificate is ever given, in
one round of evidence, to a threshold whose error is at or above the target is at most 1 - confidence, however often one
looks. What holds may stop to hold: above the certified threshold a second martingale, which may start at any audit,
bets that the loss has risen above the target; when it has won, the certificate is void, from the audit where it started
or from where the present round of evidence began, whichever is earlier, and all evidence begins anew.
O(thresholds) time per audit and state per project.

Sources: Waudby-Smith & Ramdas 2024 (betting); Angelopoulos et al. 2021 (learn then test); Wiens 2003 (fallback
procedure); Shin, Ramdas & Rinaldo 2022 (e-detectors: at the target itself a false breach comes once in PATIENCE
audits).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

GRID = (0.999, 0.995, 0.99, 0.98, 0.97, 0.95, 0.925, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)
BETS = (0.1, 0.25, 0.5, 0.75, 0.95)
"""Shares of the largest bet that can never lose everything."""
BREACH_BETS = (0.05, 0.1, 0.2, 0.4)
PATIENCE = 200.0
SUSPICION = 3.0
"""Evidence of a breach from which audits are drawn as often as at the start, until it is gone."""
SUREST = 0.001
"""No answer of people is taken as surer than this."""
ROUND = 500
"""Audits above the threshold after which a certificate is earned anew, so that it never stands on the distant past."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a project asks for: error at most `target` with `confidence`; thresholds from `floor` up."""

    target: float
    confidence: float
    floor: float

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Strictest first; the floor is the last."""
        return (*(one for one in GRID if one > self.floor), self.floor)


@dataclass(frozen=True, slots=True)
class Audit:
    """One item of the audit lane.

    Attributes:
        confidence: of the proposal.
        loss: see `loss_of`, in [0, 1].
        at: when people's label was made.
    """

    confidence: float
    loss: float
    at: datetime


def loss_of(share: float, prior: float, target: float) -> float:
    """P(the proposal is wrong | people's answers), were the error of proposals the target.

    Args:
        share: what people's posterior gives to the proposal.
        prior: of the proposal in that posterior; too high a prior is conservative.
        target: the error.
    """
    share, prior = min(max(share, SUREST), 1.0 - SUREST), min(max(prior, SUREST), 1.0 - SUREST)
    against = (1.0 - share) / share * prior / (1.0 - prior)
    return target * against / (1.0 - target + target * against)


@dataclass(slots=True)
class Bets:
    """The bets at one threshold: log wealth per bet, the largest log evidence so far, audits and their losses."""

    wealth: list[float] = field(default_factory=lambda: [0.0] * len(BETS))
    best: float = 0.0
    audits: int = 0
    losses: float = 0.0

    def add(self, loss: float, target: float) -> None:
        """Bet on the next audit that its loss is below the target."""
        largest = 1.0 / (1.0 - target)
        gain = target - loss
        self.wealth = [had + math.log1p(share * largest * gain) for had, share in zip(self.wealth, BETS, strict=True)]
        top = max(self.wealth)
        mixed = top + math.log(math.fsum(math.exp(one - top) for one in self.wealth) / len(BETS))
        self.best = max(self.best, mixed)
        self.audits += 1
        self.losses += loss


@dataclass(slots=True)
class Watch:
    """The bets that the loss above the certified threshold has risen, and the audit at which each started."""

    wealth: list[float] = field(default_factory=lambda: [0.0] * len(BREACH_BETS))
    since: list[datetime | None] = field(default_factory=lambda: [None] * len(BREACH_BETS))

    def add(self, audit: Audit, target: float) -> datetime | None:
        """One more audit above the threshold; if the bets have won: from when on the certificate was void."""
        for place, share in enumerate(BREACH_BETS):
            if self.wealth[place] <= 0.0:
                self.wealth[place], self.since[place] = 0.0, audit.at
            self.wealth[place] += math.log1p(share / target * (audit.loss - target))
        top = max(range(len(BREACH_BETS)), key=self.wealth.__getitem__)
        won = self.wealth[top] - math.log(len(BREACH_BETS)) >= math.log(PATIENCE)
        return self.since[top] if won else None

    @property
    def suspicious(self) -> bool:
        """Whether audits should come faster."""
        return max(self.wealth) >= math.log(SUSPICION)


@dataclass(slots=True)
class Evidence:
    """Everything known of one model in one project.

    Attributes:
        tests: of the present round of evidence, by threshold.
        watch: only while something is certified.
        certified: the lowest certified threshold; None: nothing is.
        began: the first audit of the present round of evidence: from there on nothing is proven yet.
    """

    tests: list[Bets]
    watch: Watch = field(default_factory=Watch)
    certified: float | None = None
    began: datetime | None = None

    @classmethod
    def none(cls, rules: Rules) -> "Evidence":
        """Before the first audit."""
        return cls([Bets() for _ in rules.thresholds])


@dataclass(frozen=True, slots=True)
class Granted:
    """The proposals from `threshold` up have an error below the target; also said when it is earned anew."""

    threshold: float
    audits: int
    error: float


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """They have it no more: what was accepted since then is in doubt."""

    threshold: float
    since: datetime


Decision = Granted | Withdrawn


def lowest(tests: Sequence[Bets], rules: Rules) -> int | None:
    """The place of the lowest threshold that is certified; None for none."""
    share = (1.0 - rules.confidence) / len(tests)
    level, found = 0.0, None
    for place, test in enumerate(tests):
        level += share
        if test.best >= -math.log(level):
            found = place
        else:
            level = 0.0
    return found


def weigh(known: Evidence, audits: Iterable[Audit], rules: Rules) -> list[Decision]:
    """Add audits, in the order in which they came, to what is known; what that decides, in order."""
    said: list[Decision] = []
    for audit in audits:
        said += _weigh_one(known, audit, rules)
    return said


def _weigh_one(known: Evidence, audit: Audit, rules: Rules) -> Iterable[Decision]:
    known.began = known.began or audit.at
    if known.certified is not None and audit.confidence >= known.certified:
        since = known.watch.add(audit, rules.target)
        if since is not None:
            void, since = known.certified, min(since, known.began)
            known.tests, known.watch, known.certified, known.began = Evidence.none(rules).tests, Watch(), None, None
            yield Withdrawn(void, since)
            return
    for threshold, test in zip(rules.thresholds, known.tests, strict=True):
        if audit.confidence >= threshold:
            test.add(audit.loss, rules.target)
    place = lowest(known.tests, rules)
    if place is None:
        return
    threshold, test = rules.thresholds[place], known.tests[place]
    if known.certified is None or threshold < known.certified or test.audits >= ROUND:
        if known.certified is None or threshold < known.certified:
            known.watch = Watch()
        known.certified = threshold
        yield Granted(threshold, test.audits, test.losses / test.audits)
    if test.audits >= ROUND:
        known.tests, known.began = Evidence.none(rules).tests, None
