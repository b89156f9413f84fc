"""An encoder of the user's own."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from shared.events.models import ModelInput


class Encoder(BaseModel):
    """An ONNX file that turns contents into vectors: one input, and an output of shape (batch, numbers)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    input: ModelInput = Field(description="How to feed it, as in a manifest.")
    output_name: str | None = Field(default=None, description="Absent: the first float output of two dimensions.")
