"""What time, leases and people do to an open round."""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.assignment.domain.aggregate import Round
from services.assignment.domain.decide import route_event
from services.assignment.domain.lanes import fall_back_s
from services.assignment.domain.narrowing import to_any_expert
from shared.events import Audience, Outcome, Policy, Route, RouteState


class Sweep(StrEnum):
    """What the sweep over waiting rounds does with one of them."""

    LEAVE = "leave"
    BLOCK = "block"
    UNBLOCK = "unblock"
    EXHAUST = "exhaust"
    WIDEN = "widen"


def sweep(asked: Round, policy: Policy, *, answerable: bool, waiting_since: datetime, now: datetime) -> Sweep:
    """Judge a round that has free slots.

    Args:
        asked: the round.
        policy: that it pins.
        answerable: somebody present may answer it.
        waiting_since: when a slot last became free.
        now: of the database.
    """
    if asked.free == 0 or asked.active > 0:
        return Sweep.LEAVE
    if asked.narrow_since is not None and now - asked.narrow_since >= timedelta(seconds=fall_back_s(policy)):
        return Sweep.WIDEN
    if asked.blocked_at is None:
        waited = now - waiting_since >= timedelta(seconds=policy.blocked_after_s)
        return Sweep.BLOCK if waited and not answerable else Sweep.LEAVE
    if answerable:
        return Sweep.UNBLOCK
    if now - asked.blocked_at >= timedelta(seconds=policy.unresolved_after_s):
        return Sweep.EXHAUST
    return Sweep.LEAVE


def block(asked: Round, now: datetime) -> tuple[Round, Route]:
    """Nobody present may answer: say so."""
    who = asked.queue.replace(":", " of ")
    reason = f"no {who} is present who may answer ({asked.answered} of {asked.wanted} opinions)"
    asked = replace(asked, blocked_at=now, step=asked.step + 1, reason=reason)
    return asked, route_event(asked, RouteState.BLOCKED, now)


def unblock(asked: Round, now: datetime) -> tuple[Round, Route]:
    """Somebody who may answer is present again."""
    reason = f"{asked.audience.value}s are present again"
    asked = replace(asked, blocked_at=None, step=asked.step + 1, reason=reason)
    return asked, route_event(asked, RouteState.QUEUED, now)


def widen(asked: Round, now: datetime) -> tuple[Round, Route]:
    """None of the experts that it is for have answered: any expert may."""
    asked = to_any_expert(asked, now)
    return asked, route_event(asked, RouteState.QUEUED, now)


def granted(asked: Round, role: Audience, leases: int = 1) -> Round:
    """The round after it gave out leases.

    Raises:
        ValueError: there are fewer free slots, or they are not for this role.
    """
    if leases > asked.free or role is not asked.audience:
        raise ValueError(f"round {asked.number} has {asked.free} free slots for {asked.audience.value}s")
    by_expert = leases if role is Audience.EXPERT else 0
    return replace(
        asked,
        active=asked.active + leases,
        granted=asked.granted + leases,
        expert_active=asked.expert_active + by_expert,
        blocked_at=None,
    )


def returned(asked: Round, role: Audience, outcome: Outcome | None) -> Round:
    """The round after a lease ended in an answer, a skip, or (None) nothing."""
    by_expert = role is Audience.EXPERT
    answered = outcome is Outcome.ANSWERED
    return replace(
        asked,
        active=asked.active - 1,
        expert_active=asked.expert_active - by_expert,
        answered=asked.answered + answered,
        expert_answered=asked.expert_answered + (answered and by_expert),
        skipped=asked.skipped + (outcome is Outcome.SKIPPED),
    )
