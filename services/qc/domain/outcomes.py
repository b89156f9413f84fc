"""The events that decisions become."""

import hashlib
from datetime import datetime
from typing import Any

from services.qc.domain.doubt import Doubt, Revision
from services.qc.domain.fusing.outcome import Fusion, by_doubt
from services.qc.domain.item import Answer, LiveLabel
from services.qc.domain.stopping import Request, Verdict
from shared.events import (
    Annotation,
    Audience,
    CostModel,
    Escalation,
    Evidence,
    GoldResult,
    Label,
    Quality,
    Quarantine,
    Relabel,
    RelabelCause,
    Sureness,
    Vote,
)
from shared.labels import Names

DIGITS = 6
ERASED_PERSON = "erased"
"""Who gave a vote whose annotator was erased."""
MAX_CLASSES = 1000
MOST_PARTS = 1000


def cost_of(fresh: list[Answer], costs: CostModel, *, predicted: bool) -> float:
    """What a round cost: its own opinions, experts at their rate, and the prediction where this round pays for it."""
    experts = sum(answer.role is Audience.EXPERT for answer in fresh)
    opinions = (len(fresh) - experts) * costs.opinion + experts * costs.expert
    return round(opinions + (costs.prediction if predicted else 0.0), 10)


def _distribution(verdict: Verdict) -> dict[str, float] | None:
    if not verdict.distribution:
        return None
    kept = sorted(verdict.distribution.items(), key=lambda one: (-one[1], one[0]))[:MAX_CLASSES]
    return {name: share for name, p in kept if (share := round(min(p, 1.0), DIGITS)) > 0.0}


def _sureness(found: Fusion | None) -> dict[str, Any]:
    """What a fused label says of its parts; each that is not listed is surer than those that are."""
    if found is None:
        return {}
    parts = [
        Sureness(
            place=one.place,
            part=one.part or None,
            existence=_share(one.existence),
            right_class=_share(one.right_class),
            extent=_share(one.extent),
            votes=one.votes,
        )
        for one in by_doubt(found.parts, MOST_PARTS)
    ]
    left = [
        Sureness(place=place, part=one.part or None, existence=_share(one.existence), votes=one.votes)
        for place, one in enumerate(found.left_out[:MOST_PARTS])
    ]
    return {"sureness": tuple(parts), "left_out": tuple(left), "unseen": round(found.unseen, DIGITS)}


def _share(posterior: float) -> float:
    return round(min(max(posterior, 0.0), 1.0), DIGITS)


def label_of(
    verdict: Verdict,
    cause: Annotation,
    costs: CostModel,
    *,
    supersedes: int | None,
    snapshot: int,
    unaided: float | None = None,
    now: datetime,
    renames: int | None = None,
    named_since: int = 0,
) -> Label:
    """The label of the round that `cause` decided.

    `opinions` and `cost` are the round's own; the votes are all that the label stands on, those of earlier rounds
    among them. A round opened again does not pay for the prediction a second time. Its value is in the names that the
    project has since version `named_since`, so an older version is not named; `unaided`, `renames`: see the event.
    """
    votes = [
        Vote(annotation_id=a.annotation_id, annotator_id=a.annotator_id or ERASED_PERSON, value=a.value, role=a.role)
        for a in verdict.votes
        if a.value is not None
    ]
    fresh = [answer for answer in verdict.votes if answer.round == cause.round]
    return Label(
        project_id=cause.project_id,
        item_id=cause.item_id,
        version=cause.round,
        value=verdict.value,
        path=verdict.path,
        posterior=None if verdict.posterior is None else round(verdict.posterior, DIGITS),
        distribution=_distribution(verdict),
        evidence=Evidence(
            votes=tuple(votes),
            proposal=cause.proposal,
            snapshot=snapshot,
            agreement=verdict.agreement,
            reason=verdict.reason,
            error=None if verdict.error is None else float(f"{verdict.error:.6g}"),
            unaided=None if unaided is None else _share(unaided),
            **_sureness(verdict.fusion),
        ),
        opinions=len(fresh),
        cost=cost_of(fresh, costs, predicted=cause.round == 1 and cause.proposal is not None),
        supersedes=supersedes,
        renames=renames,
        slice=cause.slice,
        would_auto=cause.would_auto,
        inclusion_probability=cause.inclusion_probability,
        project_version=max(cause.project_version, named_since),
        guideline_version=cause.guideline_version,
        item_created_at=cause.item_created_at,
        labelled_at=now,
    )


def escalation_of(request: Request, cause: Annotation, *, snapshot: int, now: datetime) -> Escalation:
    """What is asked of assignment for the round of `cause`."""
    return Escalation(
        project_id=cause.project_id,
        item_id=cause.item_id,
        round=cause.round,
        ask=request.ask,
        opinions_wanted=request.opinions_wanted,
        reason=request.reason,
        posterior=None if request.posterior is None else round(request.posterior, DIGITS),
        snapshot=snapshot,
        escalated_at=now,
    )


def gold_result_of(
    project_id: str,
    item_id: str,
    answer: Answer,
    expected: str,
    *,
    correct: bool,
    now: datetime,
    parts: dict[str, bool] | None = None,
) -> Quality:
    """One answer to a gold item, scored. Scored again under a corrected answer it is another event."""
    result = GoldResult(
        annotator_id=answer.annotator_id or "",
        annotation_id=answer.annotation_id,
        gold_item_id=item_id,
        correct=correct,
        expected=expected,
        answered=answer.symbol or "",
        guideline_version=answer.guideline_version,
        parts=parts or {},
    )
    return Quality(
        project_id=project_id,
        subject=f"annotator#{answer.annotator_id}",
        sequence=f"{answer.annotation_id}:{hashlib.sha256(expected.encode()).hexdigest()}",
        measurement=result,
        measured_at=now,
    )


def quarantine_of(project_id: str, annotator_id: str, reason: str, *, cause: str, now: datetime) -> Quality:
    """Somebody is not asked any more; `cause` is what settled it: an annotation of gold, or a firing of a rule."""
    return Quality(
        project_id=project_id,
        subject=f"annotator#{annotator_id}",
        sequence=cause,
        measurement=Quarantine(annotator_id=annotator_id, active=True, reason=reason),
        measured_at=now,
    )


def schema_review_of(project_id: str, item_id: str, label: LiveLabel, version: int, *, now: datetime) -> Relabel:
    """A label of a class that the project no longer has goes to people again."""
    return Relabel(
        project_id=project_id,
        item_id=item_id,
        round=label.version,
        cause=RelabelCause.SCHEMA,
        evidence=f"its class is gone since project version {version}",
        requested_by="qc",
        requested_at=now,
    )


def rename_of(project_id: str, item_id: str, version: int, symbol: str, names: Names, *, now: datetime) -> Relabel:
    """A label that was published under a former name is to be given again under the present one."""
    return Relabel(
        project_id=project_id,
        item_id=item_id,
        round=version,
        cause=RelabelCause.RENAME,
        evidence=f"{symbol} is called {names.symbol(symbol)} now"[:2000],
        urgency=0.0,
        requested_by="qc",
        requested_at=now,
    )


def guideline_review_of(project_id: str, item_id: str, label: LiveLabel, version: int, *, now: datetime) -> Relabel:
    """A label of a class whose meaning a guideline has changed since goes to people again."""
    return Relabel(
        project_id=project_id,
        item_id=item_id,
        round=label.version,
        cause=RelabelCause.GUIDELINE,
        evidence=f"given before guideline version {version} touched its class",
        requested_by="qc",
        requested_at=now,
    )


def doubt_of(project_id: str, item_id: str, found: Doubt, snapshot: int, *, now: datetime) -> Relabel:
    """A label that the newest snapshot leaves short of its target is asked for again: one opinion more, at first."""
    then = found.reached
    return Relabel(
        project_id=project_id,
        item_id=item_id,
        round=found.version,
        cause=RelabelCause.LABEL_ERROR,
        evidence=f"posterior {then.posterior:.3f} under snapshot {then.snapshot}, {found.posterior:.3f} under snapshot"
        f" {snapshot}; the target is {then.target:g}",
        urgency=round(1.0 - found.posterior, DIGITS),
        opinions=1,
        requested_by="qc",
        requested_at=now,
    )


def revision_of(project_id: str, item_id: str, found: Revision, snapshot: int, *, now: datetime) -> Relabel:
    """A label that nobody can be asked about is given anew, as another class is likelier by the newest snapshot."""
    return Relabel(
        project_id=project_id,
        item_id=item_id,
        round=found.version,
        cause=RelabelCause.REVISION,
        evidence=f"posterior {found.posterior:.3f} under snapshot {snapshot}, of another class {found.other:.3f};"
        " nobody is asked",
        urgency=0.0,
        requested_by="qc",
        requested_at=now,
    )


def review_of(project_id: str, item_id: str, label: LiveLabel, annotator_id: str, *, now: datetime) -> Relabel:
    """A label that stands on the word of somebody in quarantine is given to others."""
    return Relabel(
        project_id=project_id,
        item_id=item_id,
        round=label.version,
        cause=RelabelCause.QUARANTINE,
        evidence="not confirmed without an annotator who is in quarantine",
        excluded_annotators=(annotator_id,),
        requested_by="qc",
        requested_at=now,
    )
