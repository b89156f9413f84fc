"""A finding as the alarm that is told."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.monitor.domain.drift.effect import Shift
from services.monitor.domain.drift.reference import Reference
from services.monitor.domain.drift.signals import AGREEMENT, CONFIDENCE, CONFUSION, GOLD, LABELLED, PREDICTED, Group
from services.monitor.domain.drift.watch import Finding, Watch
from shared.events import (
    AlarmDetector,
    AlarmEffect,
    AlarmEvidence,
    AlarmReference,
    AlarmSubject,
    AlarmWindow,
    ClassShift,
    DriftAlarm,
    alarm_id,
)
from shared.events.base import derived_id

NAME, VERSION = "shiryaev-roberts", "1"
RUNBOOK = "docs/drift.md#what-to-do"
CRITICAL, NOTABLE = 0.2, 0.05
MOST_SHARES, MOST_SHIFTS = 100, 20
ACTIONS = {
    PREDICTED: "Look at the exemplars: has the traffic changed, or does the model misread it? If the traffic: nothing"
    " is wrong, the next reference is being learned. If the model: roll it back.",
    CONFIDENCE: "See whether a source sends something new; label a sample of it and train again.",
    LABELLED: "Compare with predicted_class: if that moved too it is the traffic, else people or the guideline.",
    AGREEMENT: "Compare gold and label_class: is it the model or the people? Lower what is accepted without a person.",
    CONFUSION: "Look at the classes that moved: sharpen the guideline there, or train the model on them.",
    GOLD: "Talk to the person; look at the gold items that they get wrong.",
}
ABOUT = {
    PREDICTED: "predicted classes", CONFIDENCE: "the model's confidence", LABELLED: "labels by people",
    AGREEMENT: "agreement of people with the model", CONFUSION: "labels by people given the prediction",
    GOLD: "an annotator's answers to gold",
}  # fmt: skip


class Context(NamedTuple):
    """What a finding does not know: times are those of the events."""

    group: Group
    weight: float
    budget: int
    detectors: int
    opened_at: datetime
    changed: tuple[datetime | None, datetime | None, datetime | None]
    reference_time: tuple[datetime | None, datetime | None]
    at: datetime
    exemplars: tuple[str, ...] = ()
    matured: float | None = None


def tell(finding: Finding, watch: Watch, about: Context, before: DriftAlarm | None) -> DriftAlarm:
    """The alarm of a finding; `before` as it was last told, whose suspects and impact stay."""
    group, effect = about.group, finding.effect
    subject = AlarmSubject(signal=group.signal, slice=group.slice)
    made_of = derived_id("labelstream.drift_reference", *group, finding.reference_start)
    over = finding.state in ("resolved", "superseded")
    made = DriftAlarm(
        alarm_id=alarm_id(group.project_id, subject, NAME, made_of, finding.opened),
        state=finding.state,
        severity=_severity(finding, group.signal),
        summary=_summary(finding, group.signal),
        subject=subject,
        detector=AlarmDetector(name=NAME, version=VERSION, params=_params(finding.reference, watch)),
        reference=_reference(finding, about, made_of),
        current=AlarmWindow(
            first=finding.change.at, last=finding.offset, n=sum(finding.counts.values()),
            started_at=about.changed[0], ended_at=about.at, matured=about.matured, distribution=_mix(finding.counts),
        ),
        evidence=AlarmEvidence(
            log_e=finding.log_evidence, budget=round(about.budget / about.weight),
            expected_false_alarms=100_000 / about.budget, detectors=about.detectors,
        ),
        effect=AlarmEffect(
            tvd=effect.tvd, low=effect.low, high=effect.high,
            classes=tuple(_shift(one) for one in effect.shifts[:MOST_SHIFTS]),
            change=finding.change.at, change_low=finding.change.low, change_high=finding.change.high,
            changed_at=about.changed[0], changed_from=about.changed[1], changed_to=about.changed[2],
        ),
        exemplars=about.exemplars, action=ACTIONS[group.signal], runbook=RUNBOOK,
        opened_at=about.opened_at, resolved_at=about.at if over else None,
    )  # fmt: skip
    if before is None:
        return made
    kept = {"number": before.number + 1, "alarm_id": before.alarm_id, "suspects": before.suspects}
    kept |= {"mechanisms": before.mechanisms, "impact": before.impact, "opened_at": before.opened_at}
    kept |= {"exemplars": before.exemplars or made.exemplars}
    return made.model_copy(update=kept)


def raised(finding: Finding) -> list[str]:
    """Symbols that became more frequent, the largest shift first."""
    return [one.symbol for one in finding.effect.shifts if one.low > 0.0]


def _severity(finding: Finding, signal: str) -> str:
    better = {GOLD: "right", AGREEMENT: "agree"}.get(signal)
    if better is not None and any(one.symbol == better and one.delta > 0.0 for one in finding.effect.shifts):
        return "info"
    return "critical" if finding.effect.tvd >= CRITICAL else "warning" if finding.effect.tvd >= NOTABLE else "info"


def _summary(finding: Finding, signal: str) -> str:
    moved = ", ".join(f"{one.symbol[:80]} {one.before:.3f} to {one.after:.3f}" for one in finding.effect.shifts[:3])
    word = {"open": "Drift", "updated": "Drift goes on", "superseded": "No longer compared"}.get(finding.state)
    word = word or ("Back" if finding.returned else "Holds still")
    distance = f"{finding.effect.tvd:.3f} ({finding.effect.low:.3f} to {finding.effect.high:.3f})"
    return f"{word}: {ABOUT[signal]}, distance {distance}; {moved}"


def _params(reference: Reference, watch: Watch) -> dict[str, float]:
    one = watch.sensitivity
    return {
        "budget": one.budget, "tolerance": one.tolerance if one.mode == "tolerant" else 0.0,
        "seasonal": float(one.mode == "auto" and reference.season is not None),
        "overdispersion": reference.overdispersion, "repeats": reference.repeats,
        "symbols": float(reference.alphabet.size),
    }  # fmt: skip


def _reference(finding: Finding, about: Context, made_of: UUID) -> AlarmReference:
    group, reference = about.group, finding.reference
    return AlarmReference(
        id=made_of, model_version=group.model_version, guideline_version=group.guideline_version,
        started_at=about.reference_time[0], ended_at=about.reference_time[1], n=reference.n,
        distribution=dict(sorted(reference.shares().items(), key=lambda pair: -pair[1])[:MOST_SHARES]),
    )  # fmt: skip


def _mix(counts: Mapping[str, int]) -> dict[str, float]:
    total = sum(counts.values()) or 1
    return {name: n / total for name, n in sorted(counts.items(), key=lambda pair: -pair[1])[:MOST_SHARES]}


def _shift(one: Shift) -> ClassShift:
    def bounded(value: float) -> float:
        return min(max(value, -1.0), 1.0)

    return ClassShift(
        symbol=one.symbol, before=one.before, after=one.after, delta=bounded(one.delta), low=bounded(one.low),
        high=bounded(one.high),
    )  # fmt: skip
