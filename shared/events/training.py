"""The `training` section of a project."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.events.base import Count, FilePart, Slug
from shared.events.items import MetadataKey
from shared.events.policies import Duration


class Gate(FilePart):
    """What a candidate must show beside the live model, on held-out labels, before it replaces it."""

    shadowed: Count = Field(
        default=100, description="Predictions on trial, on live items, that are awaited before anything is decided."
    )
    labels: Annotated[int, Field(ge=10, le=100_000)] = Field(
        default=300, description="Held-out labels at which the trial ends at the latest."
    )
    within_s: Duration = Field(
        default=86_400.0, description="The trial ends this long after it began, with the labels that there are."
    )
    margin: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        default=0.02, description="At its end a candidate must not be worse by more than this accuracy."
    )
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = Field(default=0.95, description="Of every test of the gate.")


class Training(FilePart):
    """When the trainer makes a model from the labels, and how."""

    after_labels: Annotated[int, Field(ge=1)] = Field(
        default=200, description="New labels since the last training that ask for the next."
    )
    first_after: Annotated[int, Field(ge=10)] = Field(default=100, description="Labels that ask for the first model.")
    holdout_share: Annotated[float, Field(ge=0.05, le=0.5)] = Field(
        default=0.2, description="Share of the contents that no model is trained on, drawn uniformly: the gate's."
    )
    holdout_seed: Slug | None = Field(
        default=None,
        description="Names the draw of what is held out: projects with the same one hold out the same contents or"
        " groups; absent: the project's own.",
    )
    group_by: MetadataKey | None = Field(
        default=None,
        description="Metadata of an item that names its group (a customer, a base image): a group is never split"
        " between training and held-out labels.",
    )
    encoder: Slug | None = Field(
        default=None, description="Name of an ONNX encoder in the trainer's settings, whose vectors are learned from."
    )
    command: Slug | None = Field(
        default=None, description="Name of a command in the trainer's settings that trains instead of Labelstream."
    )
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _one_way_to_train(self) -> Self:
        if self.encoder is not None and self.command is not None:
            raise ValueError("give encoder or command, not both")
        return self
