"""`items.v1`, `refreshes.v1`, `erasures.v1`: the things to label."""

import hashlib
import json
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.events.base import (
    BigCount,
    Count,
    Event,
    ItemEvent,
    ItemId,
    Json,
    Name,
    Share,
    ShortText,
    Slug,
    Text,
    Timestamp,
    derived_id,
)
from shared.labels.text import NoNul
from shared.labels.values import Value

Uri = Annotated[str, Field(min_length=3, max_length=4096, pattern=r"^[a-z][a-z0-9+.-]*:"), NoNul()]
Base64 = Annotated[str, Field(max_length=1_400_000, pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class TextContent(Value):
    kind: Literal["text"] = "text"
    text: Text


class FeaturesContent(Value):
    """A vector of numbers, in the order of the model's manifest."""

    kind: Literal["features"] = "features"
    features: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=100_000)]


class MediaContent(Value):
    """An image, audio or video: inline as base64, or by a URI that the project's prefixes allow."""

    kind: Literal["image", "audio", "video"]
    uri: Uri | None = None
    data: Base64 | None = None
    media_type: Annotated[str, Field(max_length=100), NoNul()] | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.uri is None and self.data is None:
            raise ValueError("one of uri and data must be given")
        return self


class JsonContent(Value):
    """Any JSON object; shown to people as fields."""

    kind: Literal["json"] = "json"
    fields: dict[Name, Json]


Content = Annotated[TextContent | FeaturesContent | MediaContent | JsonContent, Field(discriminator="kind")]
MetadataKey = Annotated[str, Field(min_length=1, max_length=100), NoNul()]
Metadata = dict[MetadataKey, ShortText | int | float | bool | None]


def content_hash(content: Content) -> str:
    """SHA-256, in hex, of the content's canonical JSON: equal content, equal hash.

    Null fields are left out, so that a version with one optional field more gives the hash that is stored already.
    """
    plain = content.model_dump(mode="json", exclude_none=True)
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


class Origin(Value):
    """Where a source found the record."""

    source: Slug
    topic: Name
    partition: Count
    offset: BigCount
    sampling_rate: Share = 1.0


class Item(ItemEvent):
    """One thing to label."""

    ce_type: ClassVar[str] = "labelstream.item.v1"

    content: Content
    metadata: Metadata = Field(default_factory=dict)
    origin: Origin | None = None
    created_at: Timestamp

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.item_id)

    @property
    def time(self) -> Timestamp:
        return self.created_at


class Refresh(ItemEvent):
    """An open item whose prediction is older than the live model: predict again."""

    ce_type: ClassVar[str] = "labelstream.refresh.v1"

    content: Content
    item_created_at: Timestamp
    generation: Count = Field(description="The model generation that made the prediction stale.")
    source: Name | None = Field(default=None, description="As the prediction before has it.")
    client: Name | None = Field(default=None, description="As the prediction before has it.")
    requested_at: Timestamp

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.item_id, self.generation)

    @property
    def time(self) -> Timestamp:
        return self.requested_at


class Erasure(Event):
    """Forget an item or a person, everywhere."""

    ce_type: ClassVar[str] = "labelstream.erasure.v1"

    subject: Literal["item", "annotator"]
    project_id: Slug | None = None
    item_id: ItemId | None = None
    annotator_id: Name | None = None
    reason: ShortText = ""
    requested_at: Timestamp

    @model_validator(mode="after")
    def _names_its_subject(self) -> Self:
        if self.subject == "item" and (self.project_id is None or self.item_id is None):
            raise ValueError("project_id and item_id must be given when the subject is an item")
        if self.subject == "annotator" and self.annotator_id is None:
            raise ValueError("annotator_id must be given when the subject is an annotator")
        return self

    @property
    def key(self) -> str:
        if self.subject == "item":
            return f"{self.project_id}/{self.item_id}"
        return f"annotator#{self.annotator_id}"

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.key)

    @property
    def time(self) -> Timestamp:
        return self.requested_at
