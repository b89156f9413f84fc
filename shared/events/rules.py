"""Rules about people in the project file: what is collected, when it is too much, what is done then."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.events.base import FilePart, Name, Probability, Slug


class Collected(StrEnum):
    """What a rule looks at, over the last so many observations of one person in one project."""

    SECONDS = "seconds_per_answer"
    STREAK = "same_class_streak"
    PROPOSALS = "proposal_agreement"
    COPYING = "proposal_copying"
    GOLD = "gold_accuracy"
    CONSENSUS = "consensus_accuracy"
    SKIPS = "skip_share"


UNBOUNDED = frozenset({Collected.SECONDS, Collected.STREAK})
"""Those that are not shares."""


class Action(StrEnum):
    """What a rule does to the person."""

    FLAG = "flag"
    PAUSE = "pause"
    QUARANTINE = "quarantine"
    MORE_OVERLAP = "more_overlap"
    MORE_GOLD = "more_gold"


class Collect(FilePart):
    what: Collected = Field(
        description="seconds_per_answer: their median. same_class_streak: answers in a row that are the same."
        " proposal_agreement: share of shown proposals that were answered as proposed. proposal_copying: how much more"
        " often a proposal is answered when it is shown than when it is hidden. gold_accuracy, consensus_accuracy:"
        " share of judged answers that were right. skip_share: share of tasks that were skipped."
    )
    over: Annotated[int, Field(ge=1, le=200)] = Field(default=50, description="The last so many observations.")


class When(FilePart):
    """The condition; exactly one of `below` and `above`."""

    below: Annotated[float, Field(allow_inf_nan=False)] | None = None
    above: Annotated[float, Field(allow_inf_nan=False)] | None = None
    after: Annotated[int, Field(ge=1, le=200)] = Field(
        default=20, description="Not before so many observations; of proposal_copying, so many of each kind."
    )

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("exactly one of below and above must be given")
        return self

    @property
    def limit(self) -> float:
        return self.below if self.below is not None else self.above or 0.0

    def holds(self, value: float) -> bool:
        return value < self.below if self.below is not None else value > (self.above or 0.0)


class Then(FilePart):
    do: Action = Field(
        description="flag: tell leads. pause: no new tasks for a time. quarantine: no new tasks, and labels are"
        " reviewed. more_overlap: ask for more opinions beside theirs. more_gold: give them more gold items."
    )
    for_s: Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)] = Field(
        default=86_400.0, description="How long a pause, more overlap or more gold lasts, seconds."
    )
    opinions: Annotated[int, Field(ge=1, le=10)] = Field(default=1, description="more_overlap: so many more.")
    share: Probability = Field(default=0.25, description="more_gold: share of their leases that are gold items.")


class Rule(FilePart):
    """One rule: collector, condition, action. After it fires, it needs fresh observations to fire again."""

    name: Slug
    collect: Collect
    when: When
    then: Then

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        what, limit = self.collect.what, self.when.limit
        if what is not Collected.STREAK and self.when.after > self.collect.over:
            raise ValueError(f"when.after {self.when.after} is more than collect.over {self.collect.over}: never fires")
        least = -1.0 if what is Collected.COPYING else 0.0
        if what not in UNBOUNDED and not least <= limit <= 1.0:
            raise ValueError(f"{what.value} is a share from {least:g} to 1; {limit:g} is not")
        if what is Collected.STREAK and self.when.below is not None:
            raise ValueError("a streak is too long, never too short: give above")
        return self


Rules = Annotated[tuple[Rule, ...], Field(max_length=20)]


def repeated(rules: tuple[Rule, ...]) -> Name | None:
    """A name that two rules have, or None."""
    seen: set[str] = set()
    for rule in rules:
        if rule.name in seen:
            return rule.name
        seen.add(rule.name)
    return None
