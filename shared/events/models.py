"""`models.v1`: model versions and the pointer to the live one."""

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator, model_validator

from shared.events.base import BigCount, Event, Json, Name, Sha256, Slug, Timestamp, Version, derived_id
from shared.events.decoders import Decoder, columns_of
from shared.events.inputs import AudioInput, Part, TokensInput
from shared.events.items import Uri
from shared.labels.values import ClassName

LEAST_CLASSES = 2


class FeaturesInput(Part):
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


class ImageInput(Part):
    """A picture, decoded, resized, `(pixel / 255 - mean) / std` per channel."""

    kind: Literal["image"] = "image"
    width: Annotated[int, Field(ge=1, le=4096)]
    height: Annotated[int, Field(ge=1, le=4096)]
    channels: Literal[1, 3] = 3
    layout: Literal["nchw", "nhwc", "flat"] = "nchw"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)


class TextInput(Part):
    """The text itself, as a string tensor of shape (batch, 1); the graph holds its own vectoriser."""

    kind: Literal["text"] = "text"
    lowercase: bool = False
    max_chars: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000


ModelInput = Annotated[FeaturesInput | ImageInput | TextInput | TokensInput | AudioInput, Field(discriminator="kind")]


class Manifest(Part):
    """How to feed a model and read its answer."""

    input: ModelInput
    input_name: Name | None = Field(default=None, description="Absent: the model's only input.")
    output_name: Name | None = Field(default=None, description="Absent: the first float output of two dimensions.")
    features_output: Name | None = Field(
        default=None,
        description="The output that has the model's own features of an item, numbers: they tell what is new."
        " Absent: the content itself does.",
    )
    features_space: Name | None = Field(
        default=None,
        description="Models that name the same one have features that compare. Absent: only those of one file do.",
    )
    output: Literal["probabilities", "logits"] = "probabilities"
    decoder: Decoder | None = Field(
        default=None, description="Makes objects or text of the outputs. Absent: one class of the item as a whole."
    )
    classes: Annotated[tuple[ClassName, ...], Field(max_length=1000)] = Field(
        default=(),
        validate_default=True,
        description="In the order of the output's columns; two or more where there is no decoder.",
    )
    temperature: Annotated[float, Field(gt=0, le=100)] = Field(
        default=1.0, description="Logits (or log probabilities) are divided by it before the softmax."
    )
    max_batch: Annotated[int, Field(ge=1, le=10_000)] = 512

    @field_validator("classes")
    @classmethod
    def _two_of_them(cls, classes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "decoder" in info.data and info.data["decoder"] is None and len(classes) < LEAST_CLASSES:
            raise ValueError(f"a model without a decoder needs at least two classes, {len(classes)} given")
        return classes

    @model_validator(mode="after")
    def _output_fits_the_classes(self) -> Self:
        if self.decoder is None:
            return self
        columns_of(self.decoder, self.classes)
        for name in ("output_name", "output", "temperature"):
            if name in self.model_fields_set and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: not used beside a decoder, which names its outputs and their activation")
        if self.decoder.kind == "token_tags" and self.decoder.offsets is None and self.input.kind != "tokens":
            raise ValueError("decoder.offsets: without an input of kind tokens, name the output that has the offsets")
        if self.decoder.kind == "token_tags" and isinstance(self.input, TextInput) and self.input.lowercase:
            raise ValueError("input.lowercase: it changes the length of some texts, and offsets would no longer fit")
        if self.decoder.makes in ("boxes", "masks") and self.input.kind != "image":
            raise ValueError(f"input.kind: {self.decoder.makes} are found in an image, not in {self.input.kind}")
        return self


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
