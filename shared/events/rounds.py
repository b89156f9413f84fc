"""What happens in a round: `routes.v1`, `annotations.v1`, `escalations.v1`, `labels.v1`, `relabels.v1`.

A round is numbered from 1; the label it ends in has that number as its version.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.events.base import (
    BigCount,
    Category,
    Count,
    Distribution,
    ItemEvent,
    Name,
    NonNegative,
    Probability,
    Round,
    Share,
    ShortText,
    Slug,
    Timestamp,
    derived_id,
)
from shared.events.policies import Policy
from shared.labels.values import LabelValue, Value


class Audience(StrEnum):
    """Who may answer."""

    ANNOTATOR = "annotator"
    EXPERT = "expert"


class RouteState(StrEnum):
    """The state that a route puts its item in."""

    QUEUED = "queued"
    BLOCKED = "blocked"
    SAMPLED_OUT = "sampled_out"
    UNLABELABLE = "unlabelable"
    UNRESOLVED = "unresolved"
    SUPERSEDED = "superseded"
    ERASED = "erased"


class Proposal(Value):
    """The prediction that an opinion or a label stands beside, in short."""

    value: LabelValue
    confidence: Probability
    model_version: Name
    generation: Count = 0
    distribution: Distribution | None = None
    source: Name | None = Field(default=None, description="Of the item, as the project's `drift.source` names it.")
    client: Name | None = Field(default=None, description="What sent the item, as `drift.client` names it.")


class Route(ItemEvent):
    """A change of an item's state that no other topic shows. `step` numbers the routes of a round."""

    ce_type: ClassVar[str] = "labelstream.route.v1"

    round: Round
    step: Count
    state: RouteState
    reason: ShortText
    slice: Slug | None = Field(default=None, description="Whose policy it has; null: the project's own.")
    audience: Audience | None = None
    lane: ShortText | None = Field(
        default=None, description="What people must speak and belong to, where not anybody may answer."
    )
    opinions_wanted: Count = 0
    would_auto: bool = False
    inclusion_probability: Share = 1.0
    priority: float = 0.0
    model_version: Name | None = None
    generation: Count = 0
    proposal: Proposal | None = Field(
        default=None, description="Of an audit that ends without a label though people looked at it: what was proposed."
    )
    project_version: Count
    guideline_version: Count = 0
    item_created_at: Timestamp
    routed_at: Timestamp

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.item_id, self.round, self.step)

    @property
    def time(self) -> Timestamp:
        return self.routed_at


class Outcome(StrEnum):
    """How an assignment ended; `exhausted`: nobody is left who could answer the round, so it must end as it stands."""

    ANSWERED = "answered"
    SKIPPED = "skipped"
    EXHAUSTED = "exhausted"


class SkipReason(StrEnum):
    UNCLEAR = "unclear"
    UNREADABLE = "unreadable"
    NO_FITTING_CLASS = "no_fitting_class"
    OFFENSIVE = "offensive"
    NOT_MY_FIELD = "not_my_field"
    OTHER = "other"


class Annotation(ItemEvent):
    """What one person answered in one round of one item, or why they skipped it.

    It carries all that qc needs of the round: policy, proposal, versions. For gold, `item_id` is the gold item's id,
    `gold` is true and there is no round (`round` is 1).
    """

    ce_type: ClassVar[str] = "labelstream.annotation.v1"

    annotation_id: UUID
    round: Round
    outcome: Outcome
    annotator_id: Name | None = None
    role: Audience = Audience.ANNOTATOR
    value: LabelValue | None = None
    skip_reason: SkipReason | None = None
    comment: ShortText = ""
    gold: bool = False
    late: bool = Field(
        default=False, description="Accepted after its round ended: counts for skill, not for the label."
    )
    duration_ms: Count = 0
    saw_proposal: bool = False
    renaming: bool = Field(
        default=False, description="Exhausted: the round is there to give the label again in present names; none asked."
    )
    slice: Slug | None = Field(default=None, description="Of the project, whose policy the round has; null: its own.")
    proposal: Proposal | None = None
    policy: Policy
    project_version: Count
    guideline_version: Count = 0
    would_auto: bool = False
    inclusion_probability: Share = 1.0
    item_created_at: Timestamp
    submitted_at: Timestamp

    @model_validator(mode="after")
    def _fits_its_outcome(self) -> Self:
        if (self.value is not None) != (self.outcome is Outcome.ANSWERED):
            raise ValueError("value is given exactly when outcome is answered")
        if (self.skip_reason is not None) != (self.outcome is Outcome.SKIPPED):
            raise ValueError("skip_reason is given exactly when outcome is skipped")
        if (self.annotator_id is None) != (self.outcome is Outcome.EXHAUSTED):
            raise ValueError("annotator_id is given unless outcome is exhausted")
        return self

    @property
    def event_id(self) -> UUID:
        return self.annotation_id

    @property
    def time(self) -> Timestamp:
        return self.submitted_at


class Ask(StrEnum):
    """What qc asks of assignment for the open round."""

    OPINION = "opinion"
    EXPERT = "expert"
    UNLABELABLE = "unlabelable"
    UNRESOLVED = "unresolved"


class Escalation(ItemEvent):
    """The open round needs another opinion, or an expert, or ends without a label.

    `opinions_wanted` is the total of the round from now on, so that a repeat asks for nothing more.
    """

    ce_type: ClassVar[str] = "labelstream.escalation.v1"

    round: Round
    ask: Ask
    opinions_wanted: Count = 0
    reason: ShortText
    posterior: Probability | None = None
    snapshot: BigCount = Field(default=0, description="The parameter snapshot that the decision used.")
    escalated_at: Timestamp

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.item_id, self.round, self.ask, self.opinions_wanted)

    @property
    def time(self) -> Timestamp:
        return self.escalated_at


class Path(StrEnum):
    """How a label came about."""

    AUTO = "auto"
    SINGLE = "single"
    CONSENSUS = "consensus"
    EXPERT = "expert"


class Vote(Value):
    """One opinion behind a label."""

    annotation_id: UUID
    annotator_id: Name
    value: LabelValue
    role: Audience = Audience.ANNOTATOR


class Sureness(Value):
    """How sure a label of several people is of one of its objects, words or masks."""

    place: Count = Field(description="In the value, from 0; of relations the spans come first.")
    part: Name | None = Field(default=None, description="Of a mix of kinds, the one that it is in.")
    existence: Probability = Field(description="That it is there; of a word or span: that it is right.")
    right_class: Probability = 1.0
    extent: Probability = Field(
        default=1.0, description="That its extent is right, give or take what people differ by."
    )
    votes: Count = Field(default=0, description="People who gave it.")


class Evidence(Value):
    """What a label stands on, enough to recompute it."""

    votes: Annotated[tuple[Vote, ...], Field(max_length=1000)] = ()
    proposal: Proposal | None = None
    snapshot: BigCount = 0
    agreement: Probability | None = Field(
        default=None,
        description="Share of opinions equal to the value; null for fewer than two: no agreement evidence.",
    )
    reason: ShortText = ""
    certificate: UUID | None = None
    certified_class: Category | None = Field(
        default=None, description="The class whose own part of the certificate it is; null: the part of all others."
    )
    sureness: Annotated[tuple[Sureness, ...], Field(max_length=1000)] = Field(
        default=(), description="Of objects, words and masks, the most doubtful first; what is not listed is surer."
    )
    left_out: Annotated[tuple[Sureness, ...], Field(max_length=1000)] = Field(
        default=(), description="What somebody gave and the label has not, the likeliest first; place counts them."
    )
    unseen: NonNegative | None = Field(default=None, description="Expected number of objects that nobody gave.")
    error: NonNegative | None = Field(
        default=None, description="Standard error of a rating; its posterior is the chance to be within the tolerance."
    )
    unaided: Probability | None = Field(
        default=None,
        description="What people's answers alone give to the proposal, where the posterior has heard the model too.",
    )


class Label(ItemEvent):
    """The accepted label of an item. The highest version is the live one.

    `posterior` is a consensus posterior; a model's confidence is never put there.
    """

    ce_type: ClassVar[str] = "labelstream.label.v1"

    version: Round
    value: LabelValue
    path: Path
    posterior: Probability | None = None
    distribution: Distribution | None = None
    evidence: Evidence = Evidence()
    opinions: Count = 0
    cost: NonNegative = 0.0
    supersedes: Round | None = None
    renames: Round | None = Field(
        default=None, description="The version that it is in present names, with nothing new; null for all others."
    )
    slice: Slug | None = Field(
        default=None, description="Of the project, whose policy people answered under; null: its own, or no people."
    )
    would_auto: bool = False
    inclusion_probability: Share = 1.0
    project_version: Count
    guideline_version: Count = 0
    item_created_at: Timestamp
    labelled_at: Timestamp

    @model_validator(mode="after")
    def _supersedes_an_older_one(self) -> Self:
        if self.supersedes is not None and self.supersedes >= self.version:
            raise ValueError(f"version {self.version} cannot supersede version {self.supersedes}")
        return self

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.item_id, self.version)

    @property
    def time(self) -> Timestamp:
        return self.labelled_at


class RelabelCause(StrEnum):
    DISAGREEMENT = "disagreement"
    LABEL_ERROR = "label_error"
    DRIFT = "drift"
    QUARANTINE = "quarantine"
    GUIDELINE = "guideline"
    SCHEMA = "schema"
    RENAME = "rename"
    REVISION = "revision"
    OPERATOR = "operator"


class Relabel(ItemEvent):
    """A request to open the round after `round`, the one whose result is in doubt.

    For a rename and a revision nobody is asked in it: the label is given again under present names, or as what is
    known of its people by now says.
    """

    ce_type: ClassVar[str] = "labelstream.relabel.v1"

    round: Round
    cause: RelabelCause
    evidence: ShortText = ""
    urgency: Probability = 0.5
    excluded_annotators: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    opinions: Count = Field(default=0, description="To ask for when the round opens; 0: the policy's minimum.")
    audience: Audience | None = Field(
        default=None, description="Who is to answer: expert for a hard item; null: as in any round."
    )
    requested_by: Literal["monitor", "qc", "operator"]
    requested_at: Timestamp

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.item_id, self.round, self.cause)

    @property
    def time(self) -> Timestamp:
        return self.requested_at
