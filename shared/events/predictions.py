"""`predictions.v1`, `shadow_predictions.v1`: what a model proposes, or why it does not."""

import math
from enum import StrEnum
from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.events.base import (
    Count,
    Distribution,
    ItemEvent,
    Name,
    NonNegative,
    Probability,
    Sha256,
    ShortText,
    Slug,
    Timestamp,
    derived_id,
)
from shared.events.inputs import Part
from shared.labels.values import MAX_OBJECTS, LabelValue

MASS_TOLERANCE = 1e-3


class Abstention(StrEnum):
    """Why no proposal was made. An abstained item goes to people; it never waits for a model."""

    NO_MODEL = "no_model"
    CONTENT_KIND = "content_kind"
    UNREADABLE = "unreadable"
    NOT_FETCHED = "not_fetched"
    SHAPE = "shape"
    BAD_OUTPUT = "bad_output"
    OVERDUE = "overdue"


class Sketch(Part):
    """256 bits that stand for an item's content (shared/sketches.py); what is alike differs in few of them."""

    space: Name = Field(description="What it was made of; only sketches of one space can be compared.")
    bits: Sha256 = Field(description="In hexadecimal, 64 digits.")


class Prediction(ItemEvent):
    """The proposed label with its full distribution; or an abstention with its reason.

    `confidence` is the largest class probability, `margin` that minus the second largest, `entropy` in nats. Of objects
    and text, `confidence` is what the model's decoder gives for the item as a whole (docs/models.md).
    `generation` numbers the promotions of a project's models: a lower one never overrides a higher one.
    """

    ce_type: ClassVar[str] = "labelstream.prediction.v1"

    value: LabelValue | None = None
    distribution: Distribution | None = None
    confidence: Probability | None = None
    margin: Probability | None = None
    entropy: NonNegative | None = None
    object_scores: Annotated[tuple[Probability, ...], Field(max_length=MAX_OBJECTS)] | None = Field(
        default=None, description="The confidence of each object of the value, in their order."
    )
    abstention: Abstention | None = None
    detail: ShortText = ""
    model_version: Name | None = None
    generation: Count = 0
    source: Name | None = Field(default=None, description="Of the item, as the project's `drift.source` names it.")
    client: Name | None = Field(default=None, description="What sent the item, as `drift.client` names it.")
    slice: Slug | None = Field(
        default=None, description="Of the project, that the item fits; null: none, or it was not known to the model."
    )
    sketch: Sketch | None = Field(
        default=None, description="Of a picture or sound, where the project's order asks: it tells copies."
    )
    features: Sketch | None = Field(
        default=None, description="Of the model's own features, where it gives them, too: it tells what is new."
    )
    held_out: bool | None = Field(
        default=None, description="No model learns from it; said of fresh items, where the project's order explores."
    )
    item_created_at: Timestamp
    predicted_at: Timestamp

    @model_validator(mode="after")
    def _proposes_or_abstains(self) -> Self:
        if (self.value is None) == (self.abstention is None):
            raise ValueError("exactly one of value and abstention must be given")
        if self.value is not None and (self.model_version is None or self.confidence is None):
            raise ValueError("a proposal needs model_version and confidence")
        if self.distribution is not None and abs(math.fsum(self.distribution.values()) - 1.0) > MASS_TOLERANCE:
            raise ValueError("distribution does not add up to 1")
        if self.object_scores is not None:
            objects = None if self.value is None else getattr(self.value, self.value.kind, None)
            if not isinstance(objects, tuple) or len(objects) != len(self.object_scores):
                raise ValueError("object_scores must have one for each object of the value")
        return self

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.item_id, self.model_version, self.generation)

    @property
    def time(self) -> Timestamp:
        return self.predicted_at


class ShadowPrediction(Prediction):
    """A prediction of a model on trial; it never touches an item's state."""

    ce_type: ClassVar[str] = "labelstream.shadow_prediction.v1"
