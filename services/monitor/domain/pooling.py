"""One certificate for classes together, and one of its own for each class whose audits suffice.

All classes begin in the pool, which is judged as one. Each also collects evidence of its own. A class of which there
are audits enough (`sufficient`) leaves the pool: from then on it is accepted from its own threshold, a lower or a
stricter one, or not at all, and nothing leans on it. It leaves sooner where its own evidence certifies a threshold at
or below the pool's, the rest stays certified, and both cover no less of the audits than before. A class
whose audits show an error that has risen above the target is excluded: what was accepted of it is in doubt, and nothing
more is, until it has earned a certificate of its own; the others' stand (without it the rest's error is lower),
unless it is more than half of the pool: then all of that is withdrawn. A class has fewer audits than the pool: so by
itself it is judged by what its whole round says now, not by the most that it has said before, and a breach of it is
sought from all starts together.

The level, 1 - confidence, is shared so that in one round of evidence of each group the chance that any certificate is
ever given to what does not deserve it is at most that:

- a quarter goes to the classes' own tests, evenly over the classes of the project;
- three quarters to the pool: the set of classes that it is judged for may shrink within a round, by what the audits
  say, so every set that it can become has a level of its own: 3/4 for none gone, and a quarter of it more for each
  one gone, over the number of sets with as many gone. The bets of a set are the sums of those of its classes (their
  shares are fixed), so what is left needs no new audits.

Sources: Angelopoulos et al. 2021 (learn then test: any procedure that controls the family-wise error may choose);
Vovk & Wang 2021 and Waudby-Smith & Ramdas 2024 (products of bets, Ville's inequality at all times).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.monitor.domain.certificate import Audit, Bets, Evidence, Rules, Watch, gains_of, lowest

OWN_LEVEL = 0.25
GONE = 0.25
MAX_CLASSES = 64
"""Classes that may have a certificate of their own: those of which audits come first. The others stay in the pool."""
ENOUGH = 4.0
"""Times the audits that a class without any error needs to be certified."""
LOOKS = 10
"""Audits of the pool between two looks at who might leave it."""


class Place(StrEnum):
    POOLED = "pooled"
    OWN = "own"
    EXCLUDED = "excluded"


@dataclass(slots=True)
class OfClass:
    """One class.

    Attributes:
        own: its own evidence; `certified` is in force where it has left the pool, else what it could leave with; the
            watch is over what is accepted of it, by whichever certificate.
        part: its part of the bets of the pool's present round.
    """

    own: Evidence
    part: list[Bets]
    place: Place = Place.POOLED


@dataclass(slots=True)
class Groups:
    """Everything known of one model in one project; `gone`: classes that left the pool in its present round."""

    pool: Evidence
    classes: dict[str, OfClass] = field(default_factory=dict)
    gone: int = 0

    @classmethod
    def none(cls, rules: Rules) -> "Groups":
        """Before the first audit."""
        return cls(Evidence.none(rules))

    def threshold(self, symbol: str) -> float | None:
        """From which confidence proposals of a class are accepted; None: not at all."""
        one = self.classes.get(symbol)
        if one is None or one.place is Place.POOLED:
            return self.pool.certified
        return one.own.certified if one.place is Place.OWN else None

    def evidence(self, symbol: str) -> Evidence:
        """What decides on a class: its own where it is not in the pool."""
        one = self.classes.get(symbol)
        return self.pool if one is None or one.place is Place.POOLED else one.own

    @property
    def pooled(self) -> list[OfClass]:
        """The classes in the pool of which there are audits."""
        return [one for one in self.classes.values() if one.place is Place.POOLED]


@dataclass(frozen=True, slots=True)
class Granted:
    """Proposals from `threshold` up have an error below the target; also said when it is earned anew.

    `symbol`: the class; None: the pool, which is all that is not by itself.
    """

    threshold: float
    audits: int
    error: float
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """They have it no more; what was accepted since then is in doubt (None: nothing is, only more is not proven)."""

    threshold: float
    since: datetime | None
    symbol: str | None = None


Decision = Granted | Withdrawn


def own_level(rules: Rules) -> float:
    """The level of one class's own tests."""
    return OWN_LEVEL * rules.risk / min(rules.classes, MAX_CLASSES)


def pool_level(rules: Rules, gone: int) -> float:
    """The level of the pool's tests, where so many classes left it in this round of evidence."""
    if not rules.by_class:
        return rules.risk
    sets = math.comb(min(rules.classes, MAX_CLASSES), gone)
    return (1.0 - OWN_LEVEL) * rules.risk * (1.0 - GONE) * GONE**gone / sets


def sufficient(rules: Rules) -> int:
    """Audits from which a class is judged by itself: about what an error of a third of the target needs to be shown."""
    return math.ceil(ENOUGH * math.log(len(rules.thresholds) / own_level(rules)) / rules.target)


def weigh(known: Groups, audits: Iterable[Audit], rules: Rules) -> list[Decision]:
    """Add audits, in the order in which they came, to what is known; what that decides, in order."""
    return [decision for audit in audits for decision in _weigh_one(known, audit, rules)]


def _weigh_one(known: Groups, audit: Audit, rules: Rules) -> Iterator[Decision]:
    one = _class(known, audit.symbol, rules)
    pooled = one is None or one.place is Place.POOLED
    if pooled:
        known.pool.began = known.pool.began or audit.at
    void = _breached(known, one, audit, rules)
    if void is not None:
        yield void
        return
    if one is not None:
        one.own.add(audit, rules)
        yield from _own(one, audit.symbol, rules)
    if pooled and one is not None and one.place is Place.POOLED:
        _add(one.part, audit, rules)
    if one is None or one.place is Place.POOLED:
        known.pool.add(audit, rules)
        yield from _pool(known, rules)


def _class(known: Groups, symbol: str, rules: Rules) -> OfClass | None:
    if not rules.by_class:
        return None
    if symbol not in known.classes and len(known.classes) < MAX_CLASSES:
        known.classes[symbol] = OfClass(Evidence.none(rules), Evidence.none(rules).tests)
    return known.classes.get(symbol)


def _add(part: list[Bets], audit: Audit, rules: Rules) -> None:
    gains = gains_of(audit.loss, rules.target)
    for threshold, bets in zip(rules.thresholds, part, strict=True):
        if audit.confidence >= threshold:
            bets.count(audit.loss, gains)


def _breached(known: Groups, one: OfClass | None, audit: Audit, rules: Rules) -> Withdrawn | None:
    """What the audit makes void: the class's acceptance, else the pool's."""
    threshold = known.threshold(audit.symbol)
    if threshold is None or audit.confidence < threshold:
        return None
    if one is not None:
        since = one.own.watch.add(audit, rules.target, sooner=one.place is Place.OWN)
        if since is not None and not _is_most(known, one):
            return _exclude(known, one, audit.symbol, Withdrawn(threshold, since, audit.symbol), rules)
        if since is not None:
            return _void(known, threshold, since, rules)
        if one.place is Place.OWN:
            return None
    since = known.pool.watch.add(audit, rules.target)
    return None if since is None else _void(known, threshold, since, rules)


def _is_most(known: Groups, one: OfClass) -> bool:
    """Whether a class is more than half of the pool, of whose rest then too little is known."""
    return one.place is Place.POOLED and 2 * one.part[-1].audits > known.pool.tests[-1].audits


def _void(known: Groups, threshold: float, since: datetime, rules: Rules) -> Withdrawn:
    """Nothing of the pool is accepted from here on."""
    since = min(since, known.pool.began or since)
    known.pool.void(rules, since)
    for member in known.pooled:
        member.own.void(rules)
    _new_round(known, rules)
    return Withdrawn(threshold, since)


def _exclude(known: Groups, one: OfClass, symbol: str, void: Withdrawn, rules: Rules) -> Withdrawn:
    """Nothing of the class is accepted from here on; the pool goes on without its audits."""
    since = void.since
    began = known.evidence(symbol).began
    if since is not None and began is not None:
        since = min(since, began)
    if one.place is Place.POOLED:
        _leave(known, [one], rules)
    one.place = Place.EXCLUDED
    one.own.void(rules, since)
    return Withdrawn(void.threshold, since, symbol)


def _leave(known: Groups, leaving: list[OfClass], rules: Rules) -> None:
    known.pool.tests = _rest(known, leaving)
    known.pool.watch = Watch()
    known.gone += len(leaving)
    for one in leaving:
        one.part = Evidence.none(rules).tests


def _rest(known: Groups, leaving: list[OfClass]) -> list[Bets]:
    """The tests of the pool without some classes."""
    tests = known.pool.tests
    for one in leaving:
        tests = [test.without(part) for test, part in zip(tests, one.part, strict=True)]
    return tests


def _new_round(known: Groups, rules: Rules) -> None:
    known.gone = 0
    for one in known.pooled:
        one.part = Evidence.none(rules).tests


def _own(one: OfClass, symbol: str, rules: Rules) -> Iterator[Decision]:
    """What a class's own evidence has shown; in the pool it only says what the class could leave with."""
    if one.place is Place.POOLED:
        place = lowest(one.own.tests, own_level(rules), still=True)
        one.own.certified = None if place is None else rules.thresholds[place]
        return
    if one.own.prove(rules, own_level(rules), still=True):
        one.place = Place.OWN
        yield _granted(one.own, rules, symbol)
    unproven = one.own.certified is None and one.own.tests[-1].audits >= sufficient(rules)
    if unproven or one.own.ended(own_level(rules), still=True):  # what it was like long ago is not held against it
        one.own.forget(rules)


def _pool(known: Groups, rules: Rules) -> Iterator[Decision]:
    if known.pool.prove(rules, pool_level(rules, known.gone)):
        yield _granted(known.pool, rules, None)
    if known.pool.ended(pool_level(rules, known.gone)):
        known.pool.forget(rules)
        _new_round(known, rules)
    elif known.pool.tests[-1].audits % LOOKS == 0:
        yield from _part(known, rules)


def _part(known: Groups, rules: Rules) -> Iterator[Decision]:
    """Let those go whose audits suffice, and those who can stand alone where no less is accepted without them."""
    limit = known.pool.certified
    due = {symbol: one for symbol, one in known.classes.items() if _suffices(one, rules)}
    ready = {symbol: one for symbol, one in known.classes.items() if _stands_alone(one, limit)}
    leaving = due | ready
    if ready and _covered(known, leaving, rules) < _above(known.pool.tests, limit, rules):
        leaving = due
    if not leaving:
        return
    _leave(known, list(leaving.values()), rules)
    for symbol, one in leaving.items():
        one.own.watch = Watch()
        one.place = Place.EXCLUDED if one.own.certified is None else Place.OWN
        yield Withdrawn(limit or 1.0, None, symbol) if one.own.certified is None else _granted(one.own, rules, symbol)
        if one.own.ended(own_level(rules), still=True):
            one.own.forget(rules)
    place = lowest(known.pool.tests, pool_level(rules, known.gone))
    known.pool.certified = None if place is None else rules.thresholds[place]
    if known.pool.certified is not None:
        yield _granted(known.pool, rules, None)
    elif limit is not None:
        yield Withdrawn(limit, None)


def _suffices(one: OfClass, rules: Rules) -> bool:
    """Whether there are audits enough of a class in the pool to judge it by itself."""
    return one.place is Place.POOLED and one.own.tests[-1].audits >= sufficient(rules)


def _stands_alone(one: OfClass, limit: float | None) -> bool:
    """Whether a class in the pool has shown a threshold that is not above the pool's."""
    own = one.own.certified
    return one.place is Place.POOLED and own is not None and (limit is None or own <= limit)


def _covered(known: Groups, leaving: Mapping[str, OfClass], rules: Rules) -> int:
    """Audits of the pool's round that are accepted with these classes apart; -1: nothing of the rest would be."""
    rest = _rest(known, list(leaving.values()))
    place = lowest(rest, pool_level(rules, known.gone + len(leaving)))
    if place is None:
        return -1
    return rest[place].audits + sum(_above(one.part, one.own.certified, rules) for one in leaving.values())


def _above(tests: list[Bets], threshold: float | None, rules: Rules) -> int:
    """Audits from a threshold up."""
    return dict(zip(rules.thresholds, tests, strict=True)).get(threshold or 2.0, Bets()).audits


def _granted(evidence: Evidence, rules: Rules, symbol: str | None) -> Granted:
    bets = evidence.counted(rules)
    error = bets.losses / bets.audits if bets.audits else 0.0
    return Granted(evidence.certified or 0.0, bets.audits, error, symbol)
