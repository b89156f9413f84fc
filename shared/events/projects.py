"""`projects.v1`, `guidelines.v1`, `gold_items.v1`, `gold_answers.v1`: what an operator publishes."""

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.events.base import (
    Count,
    Event,
    FilePart,
    ItemEvent,
    Name,
    NonNegative,
    Probability,
    Share,
    ShortText,
    Slug,
    Text,
    Timestamp,
    Version,
    derived_id,
)
from shared.events.items import Content, MetadataKey
from shared.events.rules import Rules, repeated
from shared.labels.schema import LabelSchema
from shared.labels.text import NoNul
from shared.labels.values import LabelValue

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
    max_confidence: Probability = Field(
        default=0.6, description="A disagreement below this model confidence is worth another round."
    )


class Policy(FilePart):
    """How items become labels. Pinned by every round at its start."""

    auto_accept: AutoAccept | None = Field(default=None, description="Absent: every item goes to people.")
    sample_share: Share = Field(
        default=1.0, description="Share of the items that need people and do go to them; the rest is sampled out."
    )
    overlap: Overlap = Overlap()
    target_posterior: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
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


class CostModel(FilePart):
    """What things cost, in one currency."""

    opinion: NonNegative = 0.08
    expert: NonNegative = 0.60
    prediction: NonNegative = 0.0002
    error: NonNegative | None = Field(
        default=None,
        description="A wrong label. Given: an opinion is asked for only while it is expected to save more than it"
        " costs; absent: while the posterior is below the target.",
    )
    currency: Annotated[str, Field(min_length=1, max_length=10), NoNul()] = "EUR"


JmesPath = Annotated[str, Field(min_length=1, max_length=1000), NoNul()]
UriPrefix = Annotated[str, Field(min_length=3, max_length=500), NoNul()]


class Mapping(FilePart):
    """JMESPath expressions over a record of the source topic.

    The document they see is the record's JSON value; `_key`, `_timestamp` and `_headers` are added to it.
    """

    id: JmesPath
    text: JmesPath | None = None
    features: JmesPath | None = None
    uri: JmesPath | None = None
    data: JmesPath | None = None
    fields: JmesPath | None = None
    created_at: JmesPath | None = None
    metadata: dict[MetadataKey, JmesPath] = Field(default_factory=dict)
    label: JmesPath | None = Field(default=None, description="Predictions: the proposed class.")
    confidence: JmesPath | None = Field(default=None, description="Predictions: its probability.")
    distribution: JmesPath | None = Field(default=None, description="Predictions: an object of class to probability.")
    model_version: JmesPath | None = Field(default=None, description="Predictions: the version of your model.")

    @property
    def has_content(self) -> bool:
        return any(path is not None for path in (self.text, self.features, self.uri, self.data, self.fields))


class Source(FilePart):
    """A topic that you already have. Credentials are named, never written here: they come from settings."""

    name: Slug
    kind: Literal["items", "predictions"] = "items"
    topic: Name
    bootstrap_servers: ShortText | None = Field(default=None, description="Absent: the deployment's own cluster.")
    credentials: Slug | None = Field(default=None, description="Name of a credentials setting of prelabel.")
    start: Literal["earliest", "latest"] | Timestamp = "latest"
    max_per_second: Annotated[float, Field(gt=0)] | None = None
    paused: bool = False
    sample: Share = 1.0
    map: Mapping

    @model_validator(mode="after")
    def _maps_what_its_kind_needs(self) -> Self:
        if self.kind == "items" and not self.map.has_content:
            raise ValueError("a source of items maps at least one of text, features, uri, data, fields")
        whole = self.map.distribution is not None or (self.map.label is not None and self.map.confidence is not None)
        if self.kind == "predictions" and not whole:
            raise ValueError("a source of predictions maps distribution, or label and confidence")
        return self


DataKind = Literal["text", "features", "image", "audio", "video", "json"]


class ProjectSpec(FilePart):
    """The project file: one labelling task, under the team's version control."""

    project: Slug
    title: ShortText = ""
    data: DataKind
    label: LabelSchema
    policy: Policy = Policy()
    cost: CostModel = CostModel()
    sources: Annotated[tuple[Source, ...], Field(max_length=100)] = ()
    uri_prefixes: Annotated[tuple[UriPrefix, ...], Field(max_length=100)] = ()
    instructions: Text = ""
    rules: Rules = Field(default=(), description="What is watched in how people work, and what is done about it.")

    @property
    def external_predictions(self) -> bool:
        """Whether the proposals come from a model that is not ours."""
        return any(source.kind == "predictions" for source in self.sources)

    @model_validator(mode="after")
    def _source_names_are_unique(self) -> Self:
        if len({source.name for source in self.sources}) != len(self.sources):
            raise ValueError("two sources have the same name")
        return self

    @model_validator(mode="after")
    def _rule_names_are_unique(self) -> Self:
        twice = repeated(self.rules)
        if twice is not None:
            raise ValueError(f"two rules have the name {twice!r}")
        return self

    @model_validator(mode="after")
    def _the_method_fits_the_label(self) -> Self:
        if self.policy.consensus.method == "ordinal" and not getattr(self.label, "ordered", False):
            raise ValueError("policy.consensus.method ordinal needs a choice whose classes are ordered: true")
        return self


class ProjectVersion(Event):
    """One version of a project; versions count from 1."""

    ce_type: ClassVar[str] = "labelstream.project.v1"

    kind: Literal["version"] = "version"
    project_id: Slug
    version: Version
    spec: ProjectSpec
    applied_at: Timestamp

    @property
    def key(self) -> str:
        return f"{self.project_id}/{self.version}"

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.version)

    @property
    def time(self) -> Timestamp:
        return self.applied_at


class ProjectPointer(Event):
    """Which version of a project is current, and whether its sources are paused."""

    ce_type: ClassVar[str] = "labelstream.project_pointer.v1"

    kind: Literal["current"] = "current"
    project_id: Slug
    version: Version
    paused: bool = False
    applied_at: Timestamp

    @property
    def key(self) -> str:
        return f"{self.project_id}#current"

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.version, self.paused, self.applied_at.isoformat())

    @property
    def time(self) -> Timestamp:
        return self.applied_at


class BorderlineExample(FilePart):
    """A case that people disagree about, with its answer."""

    text: ShortText = Field(description="The case, or what it shows.")
    label: ShortText
    why: ShortText = ""


class GuidelineVersion(Event):
    """One version of the written guideline, and the classes that its change touches."""

    ce_type: ClassVar[str] = "labelstream.guideline.v1"

    kind: Literal["version"] = "version"
    project_id: Slug
    version: Version
    markdown: Text
    touched_classes: tuple[Name, ...] = ()
    examples: Annotated[tuple[BorderlineExample, ...], Field(max_length=200)] = ()
    published_at: Timestamp

    @property
    def key(self) -> str:
        return f"{self.project_id}/{self.version}"

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.version)

    @property
    def time(self) -> Timestamp:
        return self.published_at


class GuidelinePointer(Event):
    ce_type: ClassVar[str] = "labelstream.guideline_pointer.v1"

    kind: Literal["current"] = "current"
    project_id: Slug
    version: Version
    published_at: Timestamp

    @property
    def key(self) -> str:
        return f"{self.project_id}#current"

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.version)

    @property
    def time(self) -> Timestamp:
        return self.published_at


class GoldItem(ItemEvent):
    """An item whose answer is known, without the answer: this is all that assignment may see."""

    ce_type: ClassVar[str] = "labelstream.gold_item.v1"

    content: Content
    retired: bool = False
    created_at: Timestamp

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.item_id, self.retired)

    @property
    def time(self) -> Timestamp:
        return self.created_at


class GoldAnswer(ItemEvent):
    """The known answer of a gold item; only qc may read it."""

    ce_type: ClassVar[str] = "labelstream.gold_answer.v1"

    value: LabelValue
    explanation: ShortText = ""
    created_at: Timestamp

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.item_id, self.value.model_dump_json())

    @property
    def time(self) -> Timestamp:
        return self.created_at
