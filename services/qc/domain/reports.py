"""The quality events about people."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from services.qc.domain.conduct import Conduct, Person
from services.qc.domain.drift import FALSE_ALARM, Alarm
from services.qc.domain.fusing.counted import Counted
from services.qc.domain.fusing.told import corrections, part_skills
from services.qc.domain.pace import pace_of
from services.qc.domain.rules import Firing
from services.qc.domain.skill import skill
from shared.events import (
    Action,
    ConfusionCell,
    GoldPlan,
    PartSkill,
    Quality,
    RuleFired,
    Skill,
    SkillDrift,
    Speed,
    Worth,
)

MAX_CELLS = 200
DIGITS = 6


def about(annotator_id: str) -> str:
    """The subject of everything measured of a person."""
    return f"annotator#{annotator_id}"


def _confusion(cells: Mapping[tuple[str, str], int]) -> tuple[ConfusionCell, ...]:
    used = sorted(((n, cell) for cell, n in cells.items() if n > 0), key=lambda one: (-one[0], one[1]))[:MAX_CELLS]
    return tuple(
        ConfusionCell(truth=truth, answered=answered, answers=n)
        for n, (truth, answered) in sorted(used, key=lambda one: one[1])
    )


def skill_of(
    person: Person,
    judged: int,
    correct_mills: int,
    cells: Mapping[tuple[str, str], int],
    conduct: Conduct,
    *,
    fused: Mapping[str, Counted] | None = None,
    numbers: tuple[PartSkill, ...] = (),
    snapshot: int,
    now: datetime,
) -> Quality:
    """An annotator after `judged` answers; the same content is the same event.

    Args:
        person: whose skill.
        judged: their answers that were judged.
        correct_mills: how many of them were right, in thousandths.
        cells: (truth, answered) -> answers.
        conduct: how they work.
        fused: the same by labels that were fused.
        numbers: how they give numbers.
        snapshot: the newest one.
        now: when it is told.
    """
    project_id, annotator_id = person
    found, pace = skill(judged, correct_mills), pace_of(conduct.pace)
    recent = conduct.drift.recent_accuracy
    measured = Skill(
        annotator_id=annotator_id,
        accuracy=found.accuracy,
        low=found.low,
        high=found.high,
        judged=found.judged,
        correct=found.correct,
        recent=None if recent is None else round(recent, DIGITS),
        confusion=_confusion(cells),
        speed=None
        if pace is None
        else Speed(median_s=round(pace.median_s, 3), spread=round(pace.spread, DIGITS), answers=pace.answers),
        drifts=conduct.drift.alarms,
        parts=part_skills(annotator_id, fused or {}) + numbers,
        corrections=corrections(annotator_id, fused or {}),
    )
    digest = hashlib.sha256(measured.model_dump_json().encode()).hexdigest()[:16]
    return Quality(
        project_id=project_id,
        subject=about(annotator_id),
        sequence=f"{judged}:{correct_mills}:{digest}",
        measurement=measured,
        snapshot=snapshot,
        measured_at=now,
    )


def drift_of(person: Person, alarm: Alarm, now: datetime) -> Quality:
    """An accuracy that has fallen; alarms about a person are numbered, so a rebuild says none again."""
    project_id, annotator_id = person
    return Quality(
        project_id=project_id,
        subject=about(annotator_id),
        sequence=f"drift:{alarm.number}",
        measurement=SkillDrift(
            annotator_id=annotator_id,
            number=alarm.number,
            before=round(alarm.before, DIGITS),
            low=round(alarm.low, DIGITS),
            recent=round(alarm.since, DIGITS),
            judged=alarm.judged,
            false_alarm=FALSE_ALARM,
        ),
        measured_at=now,
    )


def firing_of(person: Person, firing: Firing, now: datetime) -> Quality:
    """A rule's condition holds; numbered like alarms."""
    project_id, annotator_id = person
    rule, then = firing.rule, firing.rule.then
    lasts = then.do in (Action.PAUSE, Action.MORE_OVERLAP, Action.MORE_GOLD)
    fired = RuleFired(
        annotator_id=annotator_id,
        rule=rule.name,
        number=firing.number,
        collected=rule.collect.what,
        value=round(firing.value, DIGITS),
        limit=rule.when.limit,
        observations=firing.observations,
        action=then.do,
        until=now + timedelta(seconds=then.for_s) if lasts else None,
        opinions=then.opinions if then.do is Action.MORE_OVERLAP else 0,
        share=then.share if then.do is Action.MORE_GOLD else None,
    )
    return Quality(
        project_id=project_id,
        subject=about(annotator_id),
        sequence=f"rule:{rule.name}:{firing.number}",
        measurement=fired,
        measured_at=now,
    )


def broken(firing: Firing) -> str:
    """Why somebody is in quarantine for a rule."""
    rule = firing.rule
    side = "below" if rule.when.below is not None else "above"
    return (
        f"rule {rule.name}: {rule.collect.what.value} {firing.value:.3g} is {side} {rule.when.limit:g}"
        f" over {firing.observations} observations"
    )


def gold_plan_of(
    project_id: str, annotator_id: str | None, items: Sequence[str], share: float, *, now: datetime
) -> Quality:
    """Which gold items somebody gets next; of nobody in particular: those of everybody without a plan."""
    plan = GoldPlan(annotator_id=annotator_id, items=tuple(items), share=round(share, DIGITS))
    return Quality(
        project_id=project_id,
        subject="gold" if annotator_id is None else about(annotator_id),
        sequence=f"plan:{hashlib.sha256(plan.model_dump_json().encode()).hexdigest()[:32]}",
        measurement=plan,
        measured_at=now,
    )


def worths_of(project_id: str, worths: Mapping[str, float], *, snapshot: int, now: datetime) -> list[Quality]:
    """What an opinion of each of these people tells, by a snapshot."""
    return [
        Quality(
            project_id=project_id,
            subject=about(annotator_id),
            sequence=f"worth:{snapshot}",
            measurement=Worth(annotator_id=annotator_id, nats=round(nats, DIGITS)),
            snapshot=snapshot,
            measured_at=now,
        )
        for annotator_id, nats in sorted(worths.items())
    ]
