"""Rounds for some of the experts: from when, and until when."""

from dataclasses import replace
from datetime import datetime

from services.assignment.domain.aggregate import Round
from services.assignment.domain.lanes import EXPERTS, Lane, expert_lane_of
from shared.events import Policy

LONGEST = 1700
"""Characters of a reason that are kept before the group."""


def to_experts(asked: Round, policy: Policy, language: str | None, now: datetime) -> Round:
    """A round that has just come to the experts, in the lane of those whom the policy names for it."""
    lane = expert_lane_of(policy, language, asked.likely)
    if lane == EXPERTS:
        return replace(asked, lane=lane)
    reason = f"{asked.reason[:LONGEST]}; to experts {Lane.of(lane).told}"[:2000]
    return replace(asked, lane=lane, narrow_since=now, reason=reason)


def to_any_expert(asked: Round, now: datetime) -> Round:
    """A round whose experts have not answered for too long, which any expert may."""
    waited = (now - (asked.narrow_since or now)).total_seconds()
    reason = f"no expert {Lane.of(asked.lane).told} has answered in {waited:.0f} s: to any expert"[:2000]
    return replace(asked, lane=EXPERTS, narrow_since=None, blocked_at=None, step=asked.step + 1, reason=reason)
