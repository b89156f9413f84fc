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
O(thresholds) time per audit and group. How groups share the level is said in `pooling`.

Sources: Waudby-Smith & Ramdas 2024 (betting); Angelopoulos et al. 2021 (learn then test); Wiens 2003 (fallback
procedure); Shin, Ramdas & Rinaldo 2022 (e-detectors: at the target itself a false breach comes once in PATIENCE
audits).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from operator import add

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
    """What a project asks for: error at most `target` with `confidence`; thresholds from `floor` up.

    `classes`: how many may have a certificate of their own; below two: all are judged together.
    """

    target: float
    confidence: float
    floor: float
    classes: int = 0

    @property
    def by_class(self) -> bool:
        """Whether classes are judged by themselves, too."""
        return self.classes > 1

    @property
    def risk(self) -> float:
        """Chance at most that a certificate is given to what does not deserve it, in one round of evidence."""
        return 1.0 - self.confidence

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Strictest first; the floor is the last."""
        return _thresholds(self.floor)


@lru_cache(maxsize=256)
def _thresholds(floor: float) -> tuple[float, ...]:
    return (*(one for one in GRID if one > floor), floor)


@dataclass(frozen=True, slots=True)
class Audit:
    """One item of the audit lane.

    Attributes:
        confidence: of the proposal.
        loss: see `loss_of`, in [0, 1].
        at: when people's label was made.
        symbol: the class that was proposed.
    """

    confidence: float
    loss: float
    at: datetime
    symbol: str = ""


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


def gains_of(loss: float, target: float) -> list[float]:
    """What each bet that the loss is below the target gains by an audit of this loss, as a logarithm."""
    gain = (target - loss) / (1.0 - target)
    return [math.log1p(share * gain) for share in BETS]


@dataclass(slots=True)
class Bets:
    """The bets at one threshold: log wealth per bet, the largest log evidence so far, audits and their losses."""

    wealth: list[float] = field(default_factory=lambda: [0.0] * len(BETS))
    best: float = 0.0
    audits: int = 0
    losses: float = 0.0

    def add(self, loss: float, gains: Sequence[float]) -> None:
        """Bet on the next audit that its loss is below the target; `gains`: see `gains_of`."""
        self.count(loss, gains)
        if max(self.wealth) > self.best:  # it is never less than what all bets are worth together
            self.best = max(self.best, self.mixed)

    def count(self, loss: float, gains: Sequence[float]) -> None:
        """The same where only their sum with others is looked at."""
        self.wealth = list(map(add, self.wealth, gains))
        self.audits += 1
        self.losses += loss

    @property
    def mixed(self) -> float:
        """Log evidence now: of all bets, a fifth of the stake on each."""
        top = max(self.wealth)
        return top + math.log(math.fsum(math.exp(one - top) for one in self.wealth) / len(BETS))

    def without(self, part: "Bets") -> "Bets":
        """What the same bets would be, had the audits of `part` never been among them."""
        left = Bets([all_ - own for all_, own in zip(self.wealth, part.wealth, strict=True)])
        left.audits, left.losses = self.audits - part.audits, max(0.0, self.losses - part.losses)
        left.best = max(0.0, left.mixed)
        return left


@dataclass(slots=True)
class Watch:
    """The bets that the loss above the certified threshold has risen, and the audit at which each started.

    `wealth`: the logarithm of what the best start of each bet has; `sums`: what all its starts have together.
    """

    wealth: list[float] = field(default_factory=lambda: [0.0] * len(BREACH_BETS))
    since: list[datetime | None] = field(default_factory=lambda: [None] * len(BREACH_BETS))
    sums: list[float] = field(default_factory=lambda: [0.0] * len(BREACH_BETS))

    def add(self, audit: Audit, target: float, *, sooner: bool = False) -> datetime | None:
        """One more audit above the threshold; if the bets have won: from when on the certificate was void.

        `sooner`: by all starts together (Shiryaev-Roberts), which is seen before the best one (CUSUM) and has the same
        bound on false breaches, but comes nearer to it.
        """
        for place, share in enumerate(BREACH_BETS):
            if self.wealth[place] <= 0.0:
                self.wealth[place], self.since[place] = 0.0, audit.at
            gain = share / target * (audit.loss - target)
            self.wealth[place] += math.log1p(gain)
            self.sums[place] = (self.sums[place] + 1.0) * (1.0 + gain)
        top = max(range(len(BREACH_BETS)), key=self.wealth.__getitem__)
        won = self.wealth[top] - math.log(len(BREACH_BETS)) >= math.log(PATIENCE)
        won = won or (sooner and sum(self.sums) / len(BREACH_BETS) >= PATIENCE)
        return self.since[top] if won else None

    @property
    def suspicious(self) -> bool:
        """Whether audits should come faster."""
        return max(self.wealth) >= math.log(SUSPICION)


@dataclass(slots=True)
class Evidence:
    """What is known of the proposals of one group: of one class, or of all that are judged together.

    Attributes:
        tests: of the present round of evidence, by threshold.
        watch: over what is accepted.
        certified: the lowest certified threshold; None: nothing is.
        began: the first audit of the present round of evidence: from there on nothing is proven yet.
        fresh: whether audits came since its certificate was last published; `valid_until`: what that said.
        breached: since when what was accepted is in doubt; until something is certified again.
    """

    tests: list[Bets]
    watch: Watch = field(default_factory=Watch)
    certified: float | None = None
    began: datetime | None = None
    fresh: bool = False
    valid_until: datetime | None = None
    breached: datetime | None = None

    @classmethod
    def none(cls, rules: Rules) -> "Evidence":
        """Before the first audit."""
        return cls([Bets() for _ in rules.thresholds])

    def forget(self, rules: Rules) -> None:
        """Begin the next round of evidence; what is certified stays, and is watched on."""
        self.tests, self.began = Evidence.none(rules).tests, None

    def void(self, rules: Rules, since: datetime | None = None) -> None:
        """Begin anew, with nothing certified; `since`: what was accepted since then is in doubt."""
        self.forget(rules)
        self.watch, self.certified, self.breached = Watch(), None, since

    def add(self, audit: Audit, rules: Rules) -> None:
        """One more audit of the group."""
        self.began, self.fresh = self.began or audit.at, True
        gains = gains_of(audit.loss, rules.target)
        for threshold, test in zip(rules.thresholds, self.tests, strict=True):
            if audit.confidence >= threshold:
                test.add(audit.loss, gains)

    def prove(self, rules: Rules, level: float, *, still: bool = False) -> bool:
        """Take what the tests say now; whether that is news: a lower threshold, or the same or another earned anew.

        Args:
            rules: of the project.
            level: chance at most, over the whole round, that it is news though the error is at the target or above.
            still: see `lowest`.
        """
        place = lowest(self.tests, level, still=still)
        if place is None:
            return False
        threshold = rules.thresholds[place]
        lower = self.certified is None or threshold < self.certified
        if not lower and self.tests[place].audits < ROUND:
            return False
        self.watch = Watch() if lower else self.watch
        self.certified, self.breached = threshold, None
        return True

    def counted(self, rules: Rules) -> Bets:
        """The test at the certified threshold."""
        return dict(zip(rules.thresholds, self.tests, strict=True)).get(self.certified or 2.0, Bets())

    def ended(self, level: float, *, still: bool = False) -> bool:
        """Whether the round has audits enough for the next one to begin; one that has proven nothing goes on."""
        place = lowest(self.tests, level, still=still)
        return place is not None and self.tests[place].audits >= ROUND


def lowest(tests: Sequence[Bets], level: float, *, still: bool = False) -> int | None:
    """The place of the lowest threshold that is certified at a level which all of them share; None for none.

    Args:
        tests: by threshold, strictest first.
        level: of all of them together.
        still: by the evidence that there is now, not by the most that there has been. Shares of bets are fixed, and
            log(1 + x) <= x: so it refutes that the mean loss over the whole round is at the target or above, however
            the error changed within it, while the most there has been supposes that it did not.
    """
    share, own, found = level / len(tests), 0.0, None
    for place, test in enumerate(tests):
        own += share
        needed = -math.log(own)
        if test.best >= needed and (not still or test.mixed >= needed):
            found = place
        else:
            own = 0.0
    return found
