"""The annotation that a person's answer, a skip, or the lack of people becomes."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.assignment.domain.aggregate import Round
from services.assignment.domain.leases import Lease
from shared.events import Annotation, Outcome, Policy, SkipReason, derived_id
from shared.labels import LabelValue


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person gave: a value, or the reason why not.

    Attributes:
        duration_ms: as the client measured it; None takes the time since the lease was granted, which also bounds it.
    """

    value: LabelValue | None = None
    skip_reason: SkipReason | None = None
    comment: str = ""
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a task stands on: of its round, or for gold the project as it is."""

    policy: Policy
    project_version: int
    guideline_version: int
    item_created_at: datetime


def annotation_id(lease: Lease) -> UUID:
    """The id of the one answer that this person can give to this item."""
    return given_id(lease.project_id, lease.item_id, lease.annotator_id, gold=lease.gold)


def given_id(project_id: str, item_id: str, annotator_id: str, *, gold: bool) -> UUID:
    """The same, without the lease."""
    return derived_id(Annotation.ce_type, project_id, item_id, annotator_id, "gold" if gold else "item")


def answered(lease: Lease, asked: Round | None, pinned: Pinned, answer: Answer, now: datetime) -> Annotation:
    """The annotation of an answer or skip. `asked` is None for gold."""
    held_ms = max(0, int((now - lease.granted_at).total_seconds() * 1000))
    proposal = asked.guess.proposal if asked is not None and asked.guess is not None else None
    return Annotation(
        project_id=lease.project_id,
        item_id=lease.item_id,
        annotation_id=annotation_id(lease),
        round=lease.round,
        outcome=Outcome.SKIPPED if answer.value is None else Outcome.ANSWERED,
        annotator_id=lease.annotator_id,
        role=lease.role,
        value=answer.value,
        skip_reason=answer.skip_reason,
        comment=answer.comment,
        gold=lease.gold,
        late=is_late(asked),
        duration_ms=min(held_ms if answer.duration_ms is None else min(answer.duration_ms, held_ms), 2**31 - 1),
        saw_proposal=proposal is not None and not lease.blind,
        proposal=proposal,
        slice=asked.slice if asked is not None else None,
        policy=told(pinned.policy),
        project_version=pinned.project_version,
        guideline_version=pinned.guideline_version,
        would_auto=asked.would_auto if asked is not None else False,
        inclusion_probability=asked.inclusion if asked is not None else 1.0,
        item_created_at=pinned.item_created_at,
        submitted_at=now,
    )


def told(policy: Policy) -> Policy:
    """What qc needs of a policy: not whom assignment asks, nor in which order."""
    if policy.order is None and policy.budget is None and policy.people is None:
        return policy
    return policy.model_copy(update={"order": None, "budget": None, "people": None})


def is_late(asked: Round | None) -> bool:
    """Whether an answer comes after its round was closed for answers."""
    return asked is not None and (asked.ended or asked.exhausted)


def exhausted(asked: Round, pinned: Pinned, now: datetime, *, renaming: bool = False) -> Annotation:
    """Nobody is left to answer the round: qc ends it with what there is; `renaming`: with the label of before."""
    return Annotation(
        project_id=asked.project_id,
        item_id=asked.item_id,
        annotation_id=derived_id(Annotation.ce_type, asked.project_id, asked.item_id, "exhausted", asked.number),
        round=asked.number,
        outcome=Outcome.EXHAUSTED,
        role=asked.audience,
        renaming=renaming,
        proposal=asked.guess.proposal if asked.guess is not None else None,
        policy=told(pinned.policy),
        project_version=pinned.project_version,
        guideline_version=pinned.guideline_version,
        would_auto=asked.would_auto,
        inclusion_probability=asked.inclusion,
        item_created_at=pinned.item_created_at,
        submitted_at=now,
    )
