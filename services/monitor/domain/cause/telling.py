"""What an alarm gains from a diagnosis: suspects in words, what the change has cost so far, and what to do."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from services.monitor.domain.accuracy import AUDIT, HOUR_S, Rate, judged, stratified
from services.monitor.domain.cause.periods import BUCKET_S
from services.monitor.domain.cause.suspects import Signature, Suspect
from services.monitor.domain.counters import Key, Kind, time_bucket
from shared.events import AlarmImpact, DriftAlarm, Mechanism, Path
from shared.events import Suspect as TellSuspect

LEAST_BEFORE = timedelta(days=1)
LONGEST = timedelta(days=7)
CLEAR = 0.9
"""From this score on, one suspect is told as the cause to act on."""
ALONE = (f"path:{Path.AUTO}", "n")
"""How labels without a person are counted."""
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


def settled(alarm: DriftAlarm, now: datetime) -> bool:
    """Whether all is said of an alarm: it is over, suspects are named, and its impact is that of all its time."""
    if alarm.resolved_at is None or alarm.impact is None or not alarm.suspects:
        return False
    return alarm.impact.until == until(alarm, now) or alarm.resolved_at > now  # by a clock that is ahead


def until(alarm: DriftAlarm, now: datetime) -> datetime:
    """Up to when an alarm's impact is counted: what comes once it is over is none of its matter."""
    _, change, end = spans(alarm, now)
    return end if alarm.resolved_at is None else min(end, max(alarm.resolved_at, change))


def billed(alarm: DriftAlarm, impact: AlarmImpact) -> DriftAlarm:
    """An alarm that is over, told once more with its whole impact."""
    return alarm.model_copy(update={"number": alarm.number + 1, "impact": impact})


def impact(
    counts: Mapping[Key, int],
    alarm: DriftAlarm,
    *,
    project_id: str,
    now: datetime,
    error_cost: float | None = None,
) -> AlarmImpact:
    """What the change has cost so far; accuracy is of audits, weighted, by the whole hours on either side of it.

    Args:
        counts: what people's labels say by the hour, predictions and labels without a person by ten minutes.
        alarm: whose impact.
        project_id: whose.
        now: the time.
        error_cost: of a wrong label; None: not known.
    """
    (_, change, _), end = spans(alarm, now), until(alarm, now)
    if alarm.subject.slice:  # a slice, or a person: the counters know the whole alone
        return AlarmImpact(until=end)
    own = {key: n for key, n in counts.items() if key.project_id == project_id and key.bucket <= end.timestamp()}
    border = change.timestamp()
    before = _audited({key: n for key, n in own.items() if key.bucket + HOUR_S <= border})
    since = _audited({key: n for key, n in own.items() if key.bucket >= border})
    lately = {key: n for key, n in own.items() if key.bucket >= time_bucket(change, BUCKET_S)}
    affected = sum(n for key, n in lately.items() if key.kind == Kind.SAID)
    alone = sum(n for key, n in lately.items() if key.kind == Kind.CONFIDENT and (key.part, key.symbol) == ALONE)
    auto = min(alone, affected)  # what is labelled now may have been predicted long ago: a backlog
    cost, low, high = _cost(before, since, auto * error_cost) if error_cost is not None else (None, None, None)
    return AlarmImpact(
        accuracy_before=None if before is None else min(before.rate, 1.0),
        accuracy_after=None if since is None else min(since.rate, 1.0),
        accuracy_low=None if since is None else since.low,
        accuracy_high=None if since is None else since.high,
        affected=affected,
        auto_accepted=auto,
        cost=cost,
        cost_low=low,
        cost_high=high,
        until=end,
    )


def _audited(counts: Mapping[Key, int]) -> Rate | None:
    """Accuracy of all models by blind audits."""
    return stratified(
        stratum for one in judged(counts).values() for (lane, _), stratum in one.strata.items() if lane == AUDIT
    )


def _cost(
    before: Rate | None, since: Rate | None, at_stake: float
) -> tuple[float, float, float] | tuple[None, None, None]:
    """What a fall in accuracy costs, with the interval of the difference of two rates (Newcombe 1998)."""
    if before is None or since is None:
        return None, None, None
    fall = before.rate - since.rate
    low = fall - math.hypot(before.rate - before.low, since.high - since.rate)
    high = fall + math.hypot(before.high - before.rate, since.rate - since.low)
    cost, least, most = (at_stake * max(one, 0.0) for one in (fall, low, high))
    return cost, least, most
