"""The settings of prelabel."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import Seconds, ServiceSettings
from shared.runtime.transport import Transport

Positive = Annotated[int, Field(ge=1)]


class SourceCredentials(Transport):
    """How to reach the cluster of a source that names these credentials; the fields are those of our own cluster's."""

    model_config = ConfigDict(extra="forbid")

    bootstrap_servers: str | None = Field(
        default=None, description="The only servers that get these credentials; absent: any that a project names."
    )


class PrelabelSettings(ServiceSettings):
    """Environment variables LABELSTREAM_PRELABEL_*."""

    model_config = SettingsConfigDict(env_prefix="LABELSTREAM_PRELABEL_", extra="ignore")

    port: Annotated[int, Field(ge=0, le=65_535)] = Field(default=8001, description="Port that HTTP listens on.")
    model_dir: Path = Field(
        default=Path(".labelstream/models"), description="Directory of model files by content hash, shared by replicas."
    )
    model_store: str = Field(
        default="",
        description="s3://bucket/prefix that `labelstream model register` puts models into; absent: the directory.",
    )
    model_max_bytes: Positive = Field(default=1_000_000_000, description="A larger model file is refused, in bytes.")
    model_poll_s: Seconds = Field(
        default=1.0, description="How often live models are compared with models.v1, seconds."
    )
    model_load_timeout_s: Seconds = Field(
        default=120.0, description="A model that takes longer to load and warm up is refused, seconds."
    )
    model_retry_s: Seconds = Field(
        default=10.0, description="Wait before an unreadable model file is tried again, seconds."
    )
    model_threads: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1, description="Threads of ONNX Runtime inside one call."
    )
    refresh_wait_s: Seconds = Field(
        default=30.0, description="Longest wait of a refresh for the model that it asks for, seconds."
    )
    image_max_pixels: Positive = Field(default=50_000_000, description="A larger picture is not decoded, in pixels.")
    fetch_max_bytes: Positive = Field(default=10_485_760, description="Largest file behind a URI, in bytes.")
    fetch_timeout_s: Seconds = Field(default=5.0, description="Longest fetch of one URI, seconds.")
    fetch_batch_timeout_s: Seconds = Field(default=30.0, description="Longest fetch of a batch's URIs, seconds.")
    fetch_concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(default=16, description="URIs fetched at once.")
    fetch_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="Private networks (CIDR, as a JSON array) that media may be fetched from; default none."
    )
    fetch_cafile: Path | None = Field(default=None, description="CA bundle in PEM for fetching; absent: the default.")
    source_poll_s: Seconds = Field(default=1.0, description="How often sources are compared with projects.v1, seconds.")
    source_retry_s: Seconds = Field(default=5.0, description="Wait before a failed source starts again, seconds.")
    source_credentials: dict[str, SourceCredentials] = Field(
        default={}, description="Credentials by the name that sources use, as a JSON object."
    )
