"""What an opinion of somebody tells, and that it tells less than it did."""

from typing import Literal

from pydantic import Field

from shared.events.base import Count, Name, NonNegative, Probability
from shared.labels.values import Value


class Worth(Value):
    """What an opinion of somebody tells about the class of an item, by a snapshot: the information in their answer."""

    kind: Literal["worth"] = "worth"
    annotator_id: Name
    nats: NonNegative


class SkillDrift(Value):
    """An annotator's accuracy has fallen below what their own earlier answers showed."""

    kind: Literal["skill_drift"] = "skill_drift"
    annotator_id: Name
    number: Count = Field(description="Counts the alarms about this person in this project.")
    before: Probability = Field(description="Accuracy over the baseline.")
    low: Probability = Field(description="Lower confidence bound of it, which the test is against.")
    recent: Probability
    judged: Count = Field(description="Judged answers since the baseline.")
    false_alarm: Probability = Field(description="Chance of any alarm per baseline for a constant accuracy, at most.")
