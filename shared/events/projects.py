"""`projects.v1`, `guidelines.v1`, `gold_items.v1`, `gold_answers.v1`: what an operator publishes."""

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.events.base import (
    Event,
    FilePart,
    ItemEvent,
    Name,
    NonNegative,
    Share,
    ShortText,
    Slug,
    Text,
    Timestamp,
    Version,
    derived_id,
)
from shared.events.items import Content, Metadata, MetadataKey
from shared.events.policies import PROJECT_WIDE, AutoAccept, Drift, Order, Policy, Slice
from shared.events.rules import Rules, repeated
from shared.events.training import Training
from shared.labels.schema import LabelSchema
from shared.labels.text import NoNul
from shared.labels.values import LabelValue


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
    slices: Annotated[tuple[Slice, ...], Field(max_length=50)] = Field(
        default=(), description="Items with another policy, by what they are; an item has that of the first it fits."
    )
    cost: CostModel = CostModel()
    drift: Drift = Drift()
    sources: Annotated[tuple[Source, ...], Field(max_length=100)] = ()
    uri_prefixes: Annotated[tuple[UriPrefix, ...], Field(max_length=100)] = ()
    instructions: Text = ""
    rules: Rules = Field(default=(), description="What is watched in how people work, and what is done about it.")
    training: Training | None = Field(default=None, description="Absent: models come from the operator alone.")

    @property
    def external_predictions(self) -> bool:
        """Whether the proposals come from a model that is not ours."""
        return any(source.kind == "predictions" for source in self.sources)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The project's own, and those of its slices."""
        return (self.policy, *(one.policy for one in self.slices))

    @property
    def looks_around(self) -> bool:
        """Whether any item's place in the queue depends on what other items are."""
        return any(one.order is not None and one.order.looks_around for one in self.policies)

    @property
    def explores(self) -> bool:
        """Whether some items come to people by chance, whatever a model thinks of them."""
        return any(one.order is not None and one.order.explore > 0.0 for one in self.policies)

    @property
    def guaranteed(self) -> AutoAccept | None:
        """The auto-accept that asks for a guarantee; one certificate of the project serves every slice with it."""
        asking = (one.auto_accept for one in self.policies if one.auto_accept is not None)
        return next((auto for auto in asking if auto.guarantee is not None), None)

    def slice_of(self, metadata: Metadata, source: str | None) -> str | None:
        """The name of the first slice that an item fits."""
        return next((one.name for one in self.slices if one.when.holds(metadata, source)), None)

    def policy_of(self, name: str | None) -> Policy:
        """The policy of a slice; the project's own where it has none of this name (any more)."""
        return next((one.policy for one in self.slices if one.name == name), self.policy) if name else self.policy

    @model_validator(mode="after")
    def _slices_fit_together(self) -> Self:
        if len({one.name for one in self.slices}) != len(self.slices):
            raise ValueError("two slices have the same name")
        for one in self.slices:
            own = [name for name in PROJECT_WIDE if getattr(one.policy, name) != getattr(self.policy, name)]
            if own or one.policy.consensus.method != self.policy.consensus.method:
                what = own[0] if own else "consensus.method"
                raise ValueError(f"slice {one.name!r} has its own {what}, which is of the whole project: say it there")
        asking = [one.auto_accept for one in self.policies if one.auto_accept and one.auto_accept.guarantee]
        if any(auto != asking[0] for auto in asking):
            raise ValueError("policies that ask for a guarantee must ask for the same: certificates are the project's")
        if len({(one.order or Order()).age_days for one in self.policies}) > 1:
            raise ValueError("order.age_days must be the same in every slice: their items wait in one queue")
        return self

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
    def _trains_what_it_serves(self) -> Self:
        if self.training is not None and self.external_predictions:
            raise ValueError("training: the predictions come from a source, so there is no model to train")
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
