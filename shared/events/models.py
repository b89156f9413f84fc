"""`models.v1`: model versions and the pointer to the live one."""

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.events.base import BigCount, Event, Json, Name, Sha256, Slug, Timestamp, Version, derived_id
from shared.events.items import Uri
from shared.labels.values import ClassName


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class FeaturesInput(_Part):
    """A vector of numbers; `(value - mean) / scale` elementwise where given."""

    kind: Literal["features"] = "features"
    size: Annotated[int, Field(ge=1, le=100_000)]
    mean: tuple[float, ...] | None = None
    scale: tuple[Annotated[float, Field(gt=0)], ...] | None = None

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        for name in ("mean", "scale"):
            values = getattr(self, name)
            if values is not None and len(values) != self.size:
                raise ValueError(f"{name} has {len(values)} values, size is {self.size}")
        return self


class ImageInput(_Part):
    """A picture, decoded, resized, `(pixel / 255 - mean) / std` per channel."""

    kind: Literal["image"] = "image"
    width: Annotated[int, Field(ge=1, le=4096)]
    height: Annotated[int, Field(ge=1, le=4096)]
    channels: Literal[1, 3] = 3
    layout: Literal["nchw", "nhwc", "flat"] = "nchw"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)


class TextInput(_Part):
    """The text itself, as a string tensor of shape (batch, 1); the graph holds its own vectoriser."""

    kind: Literal["text"] = "text"
    lowercase: bool = False
    max_chars: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000


ModelInput = Annotated[FeaturesInput | ImageInput | TextInput, Field(discriminator="kind")]


class Manifest(_Part):
    """How to feed a model and read its answer."""

    input: ModelInput
    input_name: Name | None = Field(default=None, description="Absent: the model's only input.")
    output_name: Name | None = Field(default=None, description="Absent: the first float output of two dimensions.")
    output: Literal["probabilities", "logits"] = "probabilities"
    classes: Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=1000)]
    temperature: Annotated[float, Field(gt=0, le=100)] = Field(
        default=1.0, description="Logits (or log probabilities) are divided by it before the softmax."
    )
    max_batch: Annotated[int, Field(ge=1, le=10_000)] = 512


class ModelVersion(Event):
    """A registered model. The file is found by its URI and believed only by its hash."""

    ce_type: ClassVar[str] = "labelstream.model.v1"

    kind: Literal["version"] = "version"
    project_id: Slug
    version: Name
    uri: Uri
    sha256: Sha256
    size_bytes: BigCount
    manifest: Manifest
    metrics: dict[Name, float] = Field(default_factory=dict)
    lineage: dict[Name, Json] = Field(default_factory=dict)
    status: Literal["candidate", "shadow", "retired"] = "candidate"
    registered_at: Timestamp

    @property
    def key(self) -> str:
        return f"{self.project_id}/{self.version}"

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.version, self.status)

    @property
    def time(self) -> Timestamp:
        return self.registered_at


class ModelPointer(Event):
    """The live model of a project. `generation` grows by one with every promotion and rollback."""

    ce_type: ClassVar[str] = "labelstream.model_pointer.v1"

    kind: Literal["live"] = "live"
    project_id: Slug
    version: Name
    generation: Version
    previous: Name | None = None
    rolled_back: bool = Field(default=False, description="Whether this goes back to a model that was live before.")
    promoted_at: Timestamp

    @property
    def key(self) -> str:
        return f"{self.project_id}#live"

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.generation, self.version)

    @property
    def time(self) -> Timestamp:
        return self.promoted_at
