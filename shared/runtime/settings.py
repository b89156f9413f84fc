"""Settings that every process shares. Each comes from an environment variable; the defaults are the strict ones."""

from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.runtime.transport import Transport

Milliseconds = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


PACE = (
    "Least time between the starts of two batches of a topic that are not full, milliseconds: fewer and fuller"
    " transactions for a little latency under load."
)


class KafkaSettings(Transport, BaseSettings):
    """How to reach Kafka. Plain text is refused unless `allow_insecure` says that this is a test."""

    model_config = SettingsConfigDict(env_prefix="LABELSTREAM_KAFKA_", extra="ignore")

    _origin: str = PrivateAttr(default="")
    bootstrap: str = Field(default="localhost:9092", description="Bootstrap servers, host:port, comma-separated.")
    prefix: str = Field(default="", max_length=100, description="Put before every topic and group name.")
    client_id: str = Field(default="labelstream", description="Client id shown by the brokers.")
    idempotence: bool = Field(default=True, description="Idempotent producer; off only where the broker has none.")
    session_timeout_ms: Milliseconds = Field(default=10_000, description="Group session timeout in milliseconds.")
    heartbeat_interval_ms: Milliseconds = Field(default=2_000, description="Group heartbeat in milliseconds.")
    max_poll_interval_ms: Milliseconds = Field(default=300_000, description="Longest batch in milliseconds.")
    request_timeout_ms: Milliseconds = Field(default=30_000, description="Longest broker request in milliseconds.")
    group_instance_id: str | None = Field(default=None, description="Static group membership id of this replica.")
    max_record_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=1_048_576, description="A larger record is refused, in bytes."
    )
    compression: Literal["none", "lz4", "zstd", "gzip"] = Field(default="none", description="Producer compression.")

    @model_validator(mode="after")
    def _heartbeats_fit(self) -> Self:
        if self.heartbeat_interval_ms * 2 > self.session_timeout_ms:
            raise ValueError("heartbeat_interval_ms must be at most half of session_timeout_ms")
        return self

    def setting(self, name: str) -> str:
        """The environment variable of a field; for the cluster of a source, where its credentials are given."""
        return f"{name} in {self._origin}" if self._origin else f"LABELSTREAM_KAFKA_{name.upper()}"

    def of_source(self, origin: str) -> Self:
        """The same, saying in messages that its fields come from another setting."""
        self._origin = origin
        return self

    def physical(self, name: str) -> str:
        """The name of a topic or group with the deployment's prefix."""
        return f"{self.prefix}{name}"


class ServiceSettings(BaseSettings):
    """The base of each service's settings; a service sets its own `env_prefix`."""

    model_config = SettingsConfigDict(extra="ignore")

    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="See the Kafka settings.")
    host: str = Field(default="127.0.0.1", description="Address that HTTP listens on.")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(default=8000, description="Port that HTTP listens on.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    graceful_timeout_s: Seconds = Field(
        default=15.0, description="Longest wait for running batches at SIGTERM, seconds."
    )
    stall_after_s: Seconds = Field(
        default=120.0, description="No progress with lag for this long is unhealthy, seconds."
    )
    nice: Annotated[int, Field(ge=0, le=19)] = Field(
        default=0, description="Added to the niceness of the process: who shares a machine with people's calls yields."
    )
    max_records: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1000, description="Records per batch, at most: a batch is what has come meanwhile."
    )
    batch_pace_ms: Annotated[int, Field(ge=0, le=10_000)] = Field(default=0, description=PACE)
    dlq_limit_records: Annotated[int, Field(ge=1)] = Field(
        default=1000, description="Poison among the last this many records of a topic that stops its consumer ..."
    )
    dlq_limit_ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.9, description="... when at least this share of them is poison (a bad deploy)."
    )


class DatabaseServiceSettings(ServiceSettings):
    """A service with a database of its own."""

    database_url: SecretStr = Field(
        default=SecretStr(""), description="postgresql://... of this service's role; sslmode=verify-full expected."
    )
    database_allow_insecure: bool = Field(default=False, description="Permit a database connection without TLS.")
    database_pool_size: Annotated[int, Field(ge=2, le=100)] = Field(default=10, description="Connections in the pool.")
    statement_timeout_ms: Milliseconds = Field(default=30_000, description="Longest SQL statement in milliseconds.")
    erase_again_s: Seconds = Field(
        default=60.0, description="How often it is looked again whether anything of what was erased came late, seconds."
    )
    outbox_pace_ms: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=20,
        description="Pause of the relay after few rows, milliseconds: what many small transactions commit meanwhile"
        " goes out together. The first row after a pause waits for nothing.",
    )
    outbox_poll_ms: Milliseconds = Field(default=100, description="How often the relay looks for other replicas' rows.")
