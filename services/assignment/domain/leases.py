"""The rules of a lease: who may use it, until when, and what a repeat means."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.events import Audience

ERASED_PERSON = "erased#"
"""With the id of the annotation behind it: who gave the answers of somebody who was erased, each by nobody else."""


class LeaseState(StrEnum):
    ACTIVE = "active"
    ANSWERED = "answered"
    SKIPPED = "skipped"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Lease:
    """One person's hold on one task.

    Attributes:
        token: the fencing token: grows with every grant.
        round_id: None for gold, which has no round.
        valid: active and not past its time by the database's clock.
        digest: SHA-256 of what was submitted.
    """

    token: int
    id: UUID
    round_id: int | None
    project_id: str
    item_id: str
    round: int
    gold: bool
    annotator_id: str
    role: Audience
    state: LeaseState
    blind: bool
    valid: bool
    granted_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    late: bool = False
    digest: bytes | None = None


class Verdict(StrEnum):
    """What becomes of a submit, skip or renewal."""

    ACCEPT = "accept"
    REPEAT = "repeat"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    FINISHED = "finished"


def judge(lease: Lease | None, annotator_id: str | None, digest: bytes | None) -> Verdict:
    """Judge a call on a lease.

    Args:
        lease: as it stands; None where there is none.
        annotator_id: who calls; None for a lead, who may act for anybody of the project.
        digest: of the submitted body; None for a renewal.

    Returns:
        UNKNOWN also for somebody else's lease: its existence is nobody's business.
    """
    if lease is None or (annotator_id is not None and lease.annotator_id != annotator_id):
        return Verdict.UNKNOWN
    if lease.state is LeaseState.ACTIVE:
        return Verdict.ACCEPT if lease.valid else Verdict.EXPIRED
    if lease.state is LeaseState.EXPIRED:
        return Verdict.EXPIRED
    if digest is not None and digest == lease.digest:
        return Verdict.REPEAT
    return Verdict.FINISHED
