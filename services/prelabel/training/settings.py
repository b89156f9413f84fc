"""The settings of the trainer."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.prelabel.settings import Positive
from services.prelabel.training.domain.encoders import Encoder
from shared.runtime.settings import Seconds, ServiceSettings


class TrainerSettings(ServiceSettings):
    """Environment variables LABELSTREAM_TRAINER_*."""

    model_config = SettingsConfigDict(env_prefix="LABELSTREAM_TRAINER_", extra="ignore")

    port: Annotated[int, Field(ge=0, le=65_535)] = Field(default=8005, description="Port that HTTP listens on.")
    directory: Path = Field(
        default=Path(".labelstream/training"),
        description="The trainer's own training sets and offsets; one running trainer holds it, others wait.",
    )
    model_dir: Path = Field(
        default=Path(".labelstream/models"), description="Prelabel's directory of model files by content hash."
    )
    model_store: str = Field(
        default="", description="s3://bucket/prefix to keep models in instead; absent: the directory."
    )
    model_max_bytes: Positive = Field(default=1_000_000_000, description="A larger model file is refused, in bytes.")
    check_s: Seconds = Field(default=5.0, description="How often it is looked what is to be done, seconds.")
    timeout_s: Seconds = Field(default=3600.0, description="A training that takes longer is ended, seconds.")
    memory_mb: Annotated[int, Field(ge=256)] | None = Field(
        default=None, description="Address space of a training process, in megabytes; absent: no limit of its own."
    )
    retry_s: Seconds = Field(default=300.0, description="Wait before a training that failed is tried again, seconds.")
    unlabelled_kept_days: Annotated[float, Field(gt=0)] = Field(
        default=7.0, description="How long the content of an item is kept that nobody has labelled."
    )
    automatic_kept_hours: Annotated[float, Field(gt=0)] = Field(
        default=24.0, description="How long the content of an item is kept that the model or nobody will label."
    )
    image_max_pixels: Positive = Field(default=50_000_000, description="A larger picture is not decoded, in pixels.")
    largest_picture: Annotated[int, Field(ge=4, le=64)] = Field(
        default=24, description="Pictures are learned from at this width and height at most, in pixels."
    )
    encoders: dict[str, Encoder] = Field(
        default={}, description="ONNX encoders by the name that projects use, as a JSON object of path and input."
    )
    commands: dict[str, tuple[str, ...]] = Field(
        default={}, description="Training commands by the name that projects use, as a JSON object of argument lists."
    )
    seed: Annotated[int, Field(ge=0)] = Field(default=1, description="Of everything drawn in a training.")
