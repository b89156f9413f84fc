"""The policy of a project: how its items become labels, and which policy an item has."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from shared.events.base import Category, Count, FilePart, Probability, Share, ShortText, Slug
from shared.events.items import Metadata, MetadataKey
from shared.labels.text import NoNul

MetadataValue = ShortText | int | float | bool


def _several(given: object) -> object:
    """One value may be written without a list."""
    return given if isinstance(given, list | tuple) else (given,)


MetadataValues = Annotated[tuple[MetadataValue, ...], Field(min_length=1, max_length=1000), BeforeValidator(_several)]
Duration = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]


class Guarantee(FilePart):
    """A bound on the error of what is accepted without a person; monitor proves it from the blind audits."""

    target_error: Annotated[float, Field(gt=0.0, le=0.5)] = Field(
        description="The error of accepted proposals stays below this."
    )
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = Field(
        default=0.95, description="Chance at least that a certificate is true when it is given."
    )
    starting_share: Share = Field(
        default=0.5, description="The audit share while there is no certificate, or while the present one is in doubt."
    )
    valid_s: Duration = Field(default=86_400.0, description="How long a certificate holds without new evidence.")
    per_class: bool = Field(
        default=False,
        description="Of one of several classes: each is judged by itself where its audits suffice, the rest together.",
    )


class AutoAccept(FilePart):
    """When the model's proposal becomes the label without a person."""

    threshold: Probability = Field(
        description="Model confidence from which a proposal is accepted; with a guarantee the lowest that is tried."
    )
    audit_share: Probability = Field(
        default=0.05, description="Share of those proposals that go to people blind instead, drawn uniformly."
    )
    guarantee: Guarantee | None = Field(
        default=None, description="Accept only under a certificate that monitor gave. Absent: by the threshold alone."
    )


class Overlap(FilePart):
    """How many opinions a round may take."""

    min: Annotated[int, Field(ge=1, le=100)] = 1
    max: Annotated[int, Field(ge=1, le=100)] = 3
    regret: Annotated[float, Field(gt=0.0, le=0.5)] | None = Field(
        default=None,
        description="In place of the target: asking ends where all opinions up to max are expected to raise the chance"
        " of a right label by no more than this.",
    )
    prefer: Annotated[float, Field(ge=0.0, le=8.0)] = Field(
        default=0.0,
        description="Of several people who could answer, one is drawn by how much their opinions tell, to this power;"
        " 0: anybody.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max {self.max} is below min {self.min}")
        return self


class GoldPolicy(FilePart):
    """Items whose answer is known, and what becomes of people who get them wrong."""

    share: Probability = Field(
        default=0.05, description="Share of the leases of somebody unknown that are gold items, mixed in blindly."
    )
    least_share: Probability | None = Field(
        default=None, description="What it falls to as somebody's own gold proves them; absent: a fifth of it."
    )
    calibration: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=0, description="Gold items that somebody new answers before anything else, as far as there are any."
    )
    calibration_pass: Probability | None = Field(
        default=None,
        description="Share of those that must be right: who has fewer is in quarantine until a lead reinstates them."
        " Absent: none must.",
    )
    acceptable: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        default=None,
        description="Accuracy on gold from which nobody is to be quarantined; absent: halfway between guessing and"
        " perfect.",
    )
    unacceptable: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        default=None, description="Accuracy that the test finds soonest; absent: a little better than guessing."
    )
    false_alarm: Annotated[float, Field(gt=0.0, le=0.5)] = Field(
        default=0.01, description="Chance that somebody of acceptable accuracy is ever quarantined for their gold."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.acceptable is not None and self.unacceptable is not None and self.unacceptable >= self.acceptable:
            raise ValueError(f"unacceptable {self.unacceptable:g} is not below acceptable {self.acceptable:g}")
        if self.least_share is not None and self.least_share > self.share:
            raise ValueError(f"least_share {self.least_share:g} is above share {self.share:g}")
        if self.calibration_pass is not None and self.calibration == 0:
            raise ValueError("calibration_pass is the share of calibration, which is 0: say how many")
        return self


class ConsensusPolicy(FilePart):
    """How the opinions of a round on a list of classes become one label."""

    method: Literal["default", "majority", "weighted-majority", "one-coin", "dawid-skene", "ordinal"] = Field(
        default="default",
        description="Model of the people; the default picks its own complexity. ordinal: of an ordered choice only.",
    )
    prediction: bool = Field(
        default=True,
        description="The model's prediction is one more opinion, of a weight learned from blind answers, where nobody"
        " saw it.",
    )


class RelabelPolicy(FilePart):
    budget_per_day: Count = Field(default=100, description="Relabel requests that monitor may make in 24 hours.")
    review_per_day: Count = Field(
        default=1000, description="Labels that a changed guideline may send back to people in a day."
    )
    doubts_per_day: Count = Field(
        default=1000,
        description="Labels that fell clearly short of the target since and may be asked for again in a day; 0: none.",
    )
    max_confidence: Probability = Field(
        default=0.6, description="A disagreement below this model confidence is worth another round."
    )


Weight = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]


class Order(FilePart):
    """What makes an item come early: a weighted mean of figures of 0 to 1, its age, and the urgency of a doubt."""

    least_confidence: Weight = Field(default=0.0, description="Weight of 1 - confidence.")
    margin: Weight = Field(default=1.0, description="Weight of 1 - the gap between the two best classes.")
    entropy: Weight = Field(default=1.0, description="Weight of the distribution's entropy.")
    disagreement: Weight = Field(
        default=0.0, description="Weight of the chance that two people differ, by the distribution and their skill."
    )
    diversity: Weight = Field(default=0.0, description="Weight of the distance from what was queued lately.")
    random: Weight = Field(default=0.0, description="Weight of chance.")
    duplicates: Probability = Field(
        default=0.0, description="How far an item comes down that is nearly the same as one queued lately."
    )
    explore: Probability = Field(default=0.0, description="Share of items, drawn, whose figure is chance.")
    audits: Probability = Field(default=1.0, description="The figure of audits, whatever the model says.")
    urgency: Weight = Field(default=2.0, description="How many times the range of the figures the greatest urgency is.")
    age_days: Annotated[float, Field(gt=0.0, le=36_500.0)] = Field(
        default=1.0, description="Days of waiting that outweigh the whole range of the figures."
    )

    @property
    def looks_around(self) -> bool:
        """Whether an item's place depends on what other items are."""
        return self.diversity > 0.0 or self.duplicates > 0.0


class Budget(FilePart):
    """How many items people begin before the model is trained again; the others wait, and are left out in the end."""

    items: Annotated[int, Field(ge=1, le=10_000_000)] = Field(description="Items begun per cycle.")
    cycle_s: Duration = Field(
        default=86_400.0, description="A cycle ends when another model goes live, or after this time."
    )
    kept_s: Duration = Field(default=604_800.0, description="An item that nobody began for so long is sampled out.")


Along = Annotated[str, Field(max_length=110, pattern=r"^(source|topic|partition|slice|metadata\..+)$"), NoNul()]
"""A field of an item: where it came from, the slice it is in, or one of its metadata."""


class Drift(FilePart):
    """What monitor watches for drift, and how often it may be wrong."""

    mode: Literal["off", "auto", "sharp", "tolerant"] = Field(
        default="auto",
        description="auto: how the reference itself moves with time is no drift; sharp: any lasting change is;"
        " tolerant: what goes beyond the tolerance.",
    )
    tolerance: Annotated[float, Field(ge=0.0, le=0.5)] | None = Field(
        default=None,
        description="tolerant: total variation distance from the reference that is no drift; half of a seasonal swing;"
        " absent: 0.04.",
    )
    budget: Annotated[int, Field(ge=1000, le=10**12)] = Field(
        default=1_000_000,
        description="Events between false alarms, on average at least, over all detectors of the project together.",
    )
    reference: Annotated[int, Field(ge=200, le=1_000_000)] = Field(
        default=10_000, description="Events that make a reference, after a start and after each new version."
    )
    source: Along | None = Field(
        default=None,
        description="What names an item's source where causes are looked for: source, topic, partition, slice or"
        " metadata.KEY, with few values; absent: the source, and without one the slice.",
    )
    client: Along = Field(
        default="metadata.client", description="What names the client, device or schema that sent an item; as source."
    )


Language = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,34}$")]
"""As metadata and people have it, such as `de` or `pt-br`."""


Groups = Annotated[tuple[Slug, ...], Field(max_length=50), BeforeValidator(_several)]


class Experts(FilePart):
    """Which of the experts are asked what."""

    groups: Groups = Field(default=(), description="Experts must belong to one of these; empty: any.")
    classes: Annotated[dict[Category, Groups], Field(max_length=200)] = Field(
        default_factory=dict,
        description="Class -> groups in place of those, for items that the model thinks of as one of that class.",
    )
    match_language: bool = Field(
        default=True, description="Whether an item whose metadata has `language` goes to experts who speak that."
    )
    fall_back_s: Duration = Field(
        default=3600.0, description="So long only they are asked, then any expert, so that no item waits for good."
    )

    def groups_of(self, likely: str | None) -> tuple[str, ...]:
        """Whom an item of this likely class is for."""
        return self.classes.get(likely, self.groups) if likely is not None else self.groups


class People(FilePart):
    """Who is asked, and what whom."""

    groups: Groups = Field(default=(), description="People must belong to one of these; empty: anybody.")
    languages: Annotated[tuple[Language, ...], Field(max_length=50), BeforeValidator(_several)] = Field(
        default=(), description="What people must speak one of, for items that name no language; empty: any."
    )
    match_language: bool = Field(
        default=True, description="Whether an item whose metadata has `language` goes to people who speak that."
    )
    skill: Probability = Field(
        default=0.0,
        description="How far, as a share of the order's range, an item comes up for somebody who knows its likely class"
        " better than others do.",
    )
    experts: Experts | None = Field(default=None, description="Absent: experts are one, and are asked anything.")


class Policy(FilePart):
    """How items become labels. Pinned by every round at its start."""

    preset: Slug | None = Field(default=None, description="The preset that it was made from; all its values are here.")
    auto_accept: AutoAccept | None = Field(default=None, description="Absent: every item goes to people.")
    sample_share: Share = Field(
        default=1.0, description="Share of the items that need people and do go to them; the rest is sampled out."
    )
    order: Order | None = Field(default=None, description="Absent: margin and entropy alike, and nothing else.")
    budget: Budget | None = Field(default=None, description="Absent: people begin as many items as they can.")
    people: People | None = Field(default=None, description="Absent: anybody may be asked anything.")
    overlap: Overlap = Overlap()
    target_posterior: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
    error_opinions: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="What a wrong label costs, in opinions, where `cost.error` says nothing: one more opinion is asked"
        " for only while that is worth it.",
    )
    experts: bool = Field(default=False, description="Whether a round may go to an expert at its maximum of opinions.")
    skip_limit: Annotated[int, Field(ge=1, le=100)] = 2
    blind_share: Probability = Field(default=0.0, description="Share of the leases that hide the model's proposal.")
    lease_s: Duration = 300.0
    blocked_after_s: Duration = 60.0
    unresolved_after_s: Duration = 86_400.0
    on_unresolved: Literal["best_posterior", "unresolved"] = "best_posterior"
    prediction_timeout_s: Duration = 600.0
    gold: GoldPolicy = GoldPolicy()
    consensus: ConsensusPolicy = ConsensusPolicy()
    relabel: RelabelPolicy = RelabelPolicy()


PROJECT_WIDE = ("prediction_timeout_s", "lease_s", "blocked_after_s", "gold", "relabel", "budget")
"""What a slice cannot have of its own: it is about people, or about all items together."""


class SliceOf(FilePart):
    """Which items: those that meet every condition, each by one of its values."""

    metadata: Annotated[dict[MetadataKey, MetadataValues], Field(max_length=20)] = Field(
        default_factory=dict, description="Key of the item's metadata -> the values that it may have."
    )
    source: Annotated[tuple[Slug, ...], Field(max_length=100), BeforeValidator(_several)] = Field(
        default=(), description="Names of the project's sources."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.metadata and not self.source:
            raise ValueError("a slice needs a condition: metadata or source")
        return self

    def holds(self, metadata: Metadata, source: str | None) -> bool:
        """Whether an item with this metadata from this source (None: it came by itself) is one of these."""
        if self.source and source not in self.source:
            return False
        return all(name in metadata and _among(metadata[name], values) for name, values in self.metadata.items())


def _among(value: object, values: tuple[MetadataValue, ...]) -> bool:
    """Equal and of one kind: 1 is 1.0, but not true."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in values)


class Slice(FilePart):
    """Items with a policy of their own. The first slice that an item fits is its."""

    name: Slug
    when: SliceOf
    policy: Policy
