"""Rules of the project file, evaluated one observation at a time.

The state of a rule is its last observations, at most 200 numbers, whatever the person does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import NamedTuple

from services.qc.domain.scale import symbol_of
from shared.events import Annotation, Collected, Outcome, Rule

SHOWN, SAME = 2, 1
"""Bits of an observation of `proposal_copying`: the proposal was shown; the answer was as proposed."""


class Observation(NamedTuple):
    """One thing seen of a person. `symbol` is the answer, for streaks."""

    what: Collected
    value: float = 0.0
    symbol: str = ""


@dataclass(slots=True)
class RuleState:
    """One rule for one person.

    Attributes:
        what: what was collected; another one starts afresh.
        seen: the last observations; of a streak its length.
        last: the answer that a streak is of.
    """

    what: str = ""
    seen: list[float] = field(default_factory=list)
    last: str = ""


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule's condition holds: on this value, of so many observations; the `number`th time for this person."""

    rule: Rule
    number: int
    value: float
    observations: int


def observed(event: Annotation) -> Iterator[Observation]:
    """What one annotation shows."""
    skipped = event.outcome is Outcome.SKIPPED
    yield Observation(Collected.SKIPS, float(skipped))
    if event.value is None:
        return
    symbol = symbol_of(event.value)
    yield Observation(Collected.SECONDS, event.duration_ms / 1000.0)
    yield Observation(Collected.STREAK, symbol=symbol)
    if event.proposal is not None:
        same = symbol == symbol_of(event.proposal.value)
        yield Observation(Collected.COPYING, float(event.saw_proposal * SHOWN + same * SAME))
        if event.saw_proposal:
            yield Observation(Collected.PROPOSALS, float(same))


def judged_as(*, correct: bool, gold: bool) -> Observation:
    """An answer was told right or wrong."""
    return Observation(Collected.GOLD if gold else Collected.CONSENSUS, float(correct))


def _copying(seen: list[float]) -> tuple[float, int]:
    """How much more often proposals are answered when they are shown; and the smaller number of the two kinds."""
    shown = [int(one) & SAME for one in seen if int(one) & SHOWN]
    hidden = [int(one) & SAME for one in seen if not int(one) & SHOWN]
    if not shown or not hidden:
        return 0.0, 0
    return fmean(shown) - fmean(hidden), min(len(shown), len(hidden))


def _measure(what: Collected, seen: list[float]) -> tuple[float, int]:
    """The value that the condition is about, and how many observations it stands on."""
    match what:
        case Collected.STREAK:
            return seen[0], int(seen[0])
        case Collected.SECONDS:
            return median(seen), len(seen)
        case Collected.COPYING:
            return _copying(seen)
        case _:
            return fmean(seen), len(seen)


def _take(state: RuleState, rule: Rule, one: Observation) -> None:
    if state.what != one.what.value:
        state.what, state.seen, state.last = one.what.value, [], ""
    if one.what is Collected.STREAK:
        length = state.seen[0] if state.seen and state.last == one.symbol else 0.0
        state.seen, state.last = [length + 1.0], one.symbol
        return
    state.seen.append(one.value)
    del state.seen[: -rule.collect.over]


def observe(state: RuleState, rule: Rule, one: Observation) -> tuple[float, int] | None:
    """Take one observation in; (value, observations) where the condition holds, which starts the rule afresh."""
    if one.what is not rule.collect.what:
        return None
    _take(state, rule, one)
    value, number = _measure(one.what, state.seen)
    if number < rule.when.after or not rule.when.holds(value):
        return None
    state.seen, state.last = [], ""
    return value, number
