"""Alarms about drift, a measurement of `quality.v1`: what moved, since when, how surely, and what is to be done."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.events.base import (
    BigCount,
    Category,
    Count,
    ItemId,
    Name,
    NonNegative,
    Probability,
    ShortText,
    Slug,
    Timestamp,
    derived_id,
)
from shared.labels.text import NoNul
from shared.labels.values import Value

Signed = Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False)]
Slice = Annotated[str, Field(max_length=200), NoNul()]
Mix = Annotated[dict[Category, Probability], Field(max_length=200)]
"""Shares by symbol; the rare ones together."""


class AlarmSubject(Value):
    """What is watched."""

    signal: Slug = Field(description="As predicted_class, confidence, label_class, agreement, gold.")
    slice: Slice = Field(default="", description="Part of the traffic; of gold the annotator; empty: all of it.")


class AlarmDetector(Value):
    """What found it, enough to run it again."""

    name: Slug
    version: Name
    params: Annotated[dict[Name, float], Field(max_length=50)] = Field(default_factory=dict)


class AlarmReference(Value):
    """What the present is compared with."""

    id: UUID
    model_version: Annotated[str, Field(max_length=200), NoNul()] = ""
    guideline_version: Count = 0
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    n: BigCount
    distribution: Mix = Field(default_factory=dict)


class AlarmWindow(Value):
    """The events since the estimated change. Offsets count the events of the signal, from 0."""

    first: BigCount
    last: BigCount
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    n: BigCount
    matured: Probability | None = Field(
        default=None, description="Share of the cohort that has its label; null where nothing waits for labels."
    )
    distribution: Mix = Field(default_factory=dict)


class AlarmEvidence(Value):
    """How sure it is. The e-value is that of a detector whose mean run to a false alarm is at least the budget."""

    log_e: Annotated[float, Field(allow_inf_nan=False)] = Field(description="Natural logarithm of the e-value.")
    budget: BigCount = Field(description="Events between false alarms of this detector, on average at least.")
    expected_false_alarms: NonNegative = Field(
        description="Per 100,000 events, of all detectors of the project together, at most."
    )
    detectors: Count = Field(default=1, description="How many share the project's budget.")


class ClassShift(Value):
    """How the share of one symbol moved; the interval is a 95 % credible one of the difference."""

    symbol: Category
    before: Probability
    after: Probability
    delta: Signed
    low: Signed
    high: Signed


class AlarmEffect(Value):
    """How much moved, and when: total variation distance, classes by the size of their shift, the change point."""

    tvd: Probability
    low: Probability = Field(description="Of a 95 % credible interval of the distance.")
    high: Probability
    classes: Annotated[tuple[ClassShift, ...], Field(max_length=50)] = ()
    change: BigCount = Field(description="Estimated offset of the first event after the change.")
    change_low: BigCount
    change_high: BigCount
    changed_at: Timestamp | None = None
    changed_from: Timestamp | None = None
    changed_to: Timestamp | None = None


class AlarmImpact(Value):
    """What the change has cost so far, where it is known; of a part of the traffic or a person nothing is counted."""

    accuracy_before: Probability | None = None
    accuracy_after: Probability | None = None
    accuracy_low: Probability | None = Field(default=None, description="Of a 95 % interval of the accuracy after.")
    accuracy_high: Probability | None = None
    affected: BigCount | None = Field(default=None, description="Items predicted since the change.")
    auto_accepted: BigCount | None = Field(
        default=None,
        description="Labels without a person since the change, at most as many as these: a backlog is labelled now that"
        " was predicted before.",
    )
    cost: NonNegative | None = Field(
        default=None,
        description="Of wrong labels among those without a person, in the project's currency: by how much audits say"
        " that they are wrong more often than before, times `cost.error`.",
    )
    cost_low: NonNegative | None = Field(default=None, description="Of its 95 % interval.")
    cost_high: NonNegative | None = None
    until: Timestamp | None = Field(
        default=None, description="Up to when it is counted: a week from the change, or the end of the alarm, at most."
    )


class Mechanism(Value):
    """A part of how disagreement between people and the model comes about, and what it adds to the change of it."""

    name: Literal["traffic", "model", "people"] = Field(
        description="traffic: how much comes of each source; model: what is predicted there; people: what they answer"
        " to that."
    )
    contribution: Signed = Field(description="Shapley value, a share of the answers; together they are the change.")


class Suspect(Value):
    """A likely cause."""

    score: Probability
    dimension: Slug = Field(description="As model_version, annotator, guideline_version, source, class, client.")
    value: Annotated[str, Field(max_length=500), NoNul()] = ""
    signature: Annotated[str, Field(max_length=100), NoNul()] = Field(
        default="", description="The known pattern that the change looks like."
    )
    explanation: ShortText = ""


class DriftAlarm(Value):
    """A distribution has moved away from its reference. One change is one alarm, told again when its state changes."""

    kind: Literal["drift_alarm"] = "drift_alarm"
    alarm_id: UUID
    number: Count = Field(default=0, description="Counts the tellings of this alarm; the highest one counts.")
    state: Literal["open", "updated", "resolved", "superseded"] = Field(
        description="superseded: another model or guideline version made a new reference."
    )
    severity: Literal["info", "warning", "critical"] = "warning"
    summary: ShortText = ""
    subject: AlarmSubject
    detector: AlarmDetector
    reference: AlarmReference
    current: AlarmWindow
    evidence: AlarmEvidence
    effect: AlarmEffect
    impact: AlarmImpact | None = None
    suspects: Annotated[tuple[Suspect, ...], Field(max_length=20)] = Field(
        default=(), description="The likeliest first."
    )
    mechanisms: Annotated[tuple[Mechanism, ...], Field(max_length=3)] = Field(
        default=(), description="What the change of the disagreement is made of, where several moved; empty: not known."
    )
    exemplars: Annotated[tuple[ItemId, ...], Field(max_length=20)] = Field(
        default=(), description="Items since the change, of the symbols that became more frequent."
    )
    action: ShortText = ""
    runbook: ShortText = Field(default="", description="Where to read what to do.")
    opened_at: Timestamp
    resolved_at: Timestamp | None = None

    @model_validator(mode="after")
    def _resolved_has_a_time(self) -> Self:
        if (self.resolved_at is not None) != (self.state in ("resolved", "superseded")):
            raise ValueError("resolved_at is given exactly when the state is resolved or superseded")
        return self

    @property
    def sequence(self) -> str:
        """Of the quality event that tells it."""
        return f"{self.alarm_id}/{self.number}"

    @property
    def about(self) -> str:
        """Subject of the quality event: a person's is the person, so that it is forgotten with them."""
        subject = self.subject
        if subject.signal == "gold":
            return f"annotator#{subject.slice}"
        return f"drift/{subject.signal}" + (f"/{subject.slice}" if subject.slice else "")


def alarm_id(project_id: str, subject: AlarmSubject, detector: str, reference: UUID, change: int) -> UUID:
    """The id of the alarm about a change at this offset of this signal: the same change always gives the same id."""
    return derived_id("labelstream.drift_alarm", project_id, subject.signal, subject.slice, detector, reference, change)
