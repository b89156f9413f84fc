"""What an alarm gains from a diagnosis: suspects in words, what the change has cost so far, and what to do."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from services.monitor.domain.accuracy import AUDIT, judged, stratified
from services.monitor.domain.cause.counts import Dimension, Period
from services.monitor.domain.cause.suspects import Signature, Suspect
from services.monitor.domain.counters import Key, Kind
from shared.events import AlarmImpact, DriftAlarm, Mechanism, Path
from shared.events import Suspect as TellSuspect

LEAST_BEFORE = timedelta(days=1)
LONGEST = timedelta(days=7)
CLEAR = 0.9
"""From this score on, one suspect is told as the cause to act on."""
ABOUT = {
    Signature.PRIOR_SHIFT: "predictions and answers moved alike, as if only the traffic's classes had other shares",
    Signature.NEW_REGION: "the model is less sure there, and people agree less with it and each other",
    Signature.MODEL: "predictions are others since this version, people answer as before",
    Signature.GUIDELINE: "people answer otherwise to the same proposals since this version",
    Signature.ANNOTATOR: "this person's answers are noisier or other than before, everybody else's are not",
    Signature.PIPELINE: "predictions jumped and confidence fell for this client, people answer as before",
}
ACTIONS = {
    Signature.PRIOR_SHIFT: "Nothing is wrong with the labels; retrain or re-weigh if the new mix stays.",
    Signature.NEW_REGION: "Have more of this source labelled, then retrain; raise its audit share meanwhile.",
    Signature.MODEL: "Compare the version with the one before on audits; roll it back if it is worse.",
    Signature.GUIDELINE: "If the change was meant, make a new reference; review the labels of the version before.",
    Signature.ANNOTATOR: "Look at this person's recent answers and gold; quarantine if they are wrong.",
    Signature.PIPELINE: "Check what this client sends: encoding, empty inputs, schema; predict its items anew.",
}


def spans(alarm: DriftAlarm, now: datetime) -> tuple[datetime, datetime, datetime]:
    """From when to when the periods before and after the alarm's change go: start, change, end; each a week at most."""
    change = alarm.effect.changed_at or alarm.current.started_at or alarm.opened_at
    end = min(max(now, change), change + LONGEST)
    return change - min(max(3 * (end - change), LEAST_BEFORE), LONGEST), change, end


def told(
    alarm: DriftAlarm,
    suspects: Sequence[Suspect],
    moved: Mapping[str, float],
    impact: AlarmImpact,
    exemplars: Sequence[str],
) -> DriftAlarm:
    """The alarm with its suspects, told once more; `moved`: the change of the disagreement, by mechanism."""
    found = tuple(
        TellSuspect(
            score=one.score,
            dimension=one.dimension.value,
            value=one.value,
            signature=one.signature.value,
            explanation=(
                f"{ABOUT[one.signature]}; adds {one.contribution:+.4f} ({one.low:+.4f} to {one.high:+.4f}) to the"
                f" disagreement; evidence {one.evidence:.1f} nats"
            ),
        )
        for one in suspects
    )
    clear = suspects and suspects[0].score >= CLEAR
    action = ACTIONS[suspects[0].signature] if clear else alarm.action or "Look at the suspects; none is clear."
    return alarm.model_copy(
        update={
            "number": alarm.number + 1,
            "state": alarm.state if alarm.resolved_at is not None else "updated",
            "suspects": found,
            "mechanisms": tuple(Mechanism.model_validate({"name": n, "contribution": c}) for n, c in moved.items()),
            "impact": impact,
            "exemplars": alarm.exemplars or tuple(exemplars),
            "action": action,
        }
    )


def news(alarm: DriftAlarm, suspects: Sequence[Suspect]) -> bool:
    """Whether the suspects are worth telling: nobody was named yet, or another one comes first."""
    if not suspects:
        return False
    first = alarm.suspects[0] if alarm.suspects else None
    now = suspects[0]
    return first is None or (first.signature, first.dimension, first.value) != (
        now.signature.value,
        now.dimension.value,
        now.value,
    )


def impact(
    counts: Mapping[Key, int], project_id: str, change: datetime, after: Period, *, error_cost: float | None = None
) -> AlarmImpact:
    """What the change has cost so far, by the hours on either side of it; accuracy is of audits, weighted.

    Args:
        counts: of the project, by hour.
        project_id: whose.
        change: when it happened.
        after: the period since.
        error_cost: of a wrong label; None: not known.
    """
    border = int(change.timestamp())
    own = {key: n for key, n in counts.items() if key.project_id == project_id}
    sides = []
    for since, until in ((0, border), (border, 2**62)):
        some = judged({key: n for key, n in own.items() if since <= key.bucket < until})
        strata = [s for one in some.values() for (lane, _), s in one.strata.items() if lane == AUDIT]
        sides.append(stratified(strata))
    auto = sum(
        n for key, n in own.items() if key.kind == Kind.CONFIDENT and key.part == f"path:{Path.AUTO}"
        and key.symbol == "n" and key.bucket >= border
    )  # fmt: skip
    before, since_then = sides
    cost = None
    if error_cost is not None and before is not None and since_then is not None:
        cost = auto * max(before.rate - since_then.rate, 0.0) * error_cost
    return AlarmImpact(
        accuracy_before=None if before is None else min(before.rate, 1.0),
        accuracy_after=None if since_then is None else min(since_then.rate, 1.0),
        accuracy_low=None if since_then is None else since_then.low,
        accuracy_high=None if since_then is None else since_then.high,
        affected=sum(table.total() for table in after.predictions.get(Dimension.MODEL, {}).values()),
        auto_accepted=auto,
        cost=cost,
    )
