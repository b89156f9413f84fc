"""Settings that every process shares. Each comes from an environment variable; the defaults are the strict ones."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import ConfigurationError

Milliseconds = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class KafkaSettings(BaseSettings):
    """How to reach Kafka. Plain text is refused unless `allow_insecure` says that this is a test."""

    model_config = SettingsConfigDict(env_prefix="LABELSTREAM_KAFKA_", extra="ignore")

    bootstrap: str = Field(default="localhost:9092", description="Bootstrap servers, host:port, comma-separated.")
    prefix: str = Field(default="", max_length=100, description="Put before every topic and group name.")
    client_id: str = Field(default="labelstream", description="Client id shown by the brokers.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="SASL_SSL", description="Transport security; the plain ones need allow_insecure."
    )
    allow_insecure: bool = Field(
        default=False, description="Permit transports without TLS: tests and one machine only."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="SASL mechanism."
    )
    sasl_username: str = Field(default="", description="SASL user name.")
    sasl_password: SecretStr = Field(default=SecretStr(""), description="SASL password.")
    sasl_password_file: Path | None = Field(default=None, description="File that holds the SASL password.")
    ssl_cafile: Path | None = Field(default=None, description="CA bundle in PEM; absent: the system's.")
    ssl_certfile: Path | None = Field(default=None, description="Client certificate in PEM, for mutual TLS.")
    ssl_keyfile: Path | None = Field(default=None, description="Its private key in PEM.")
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
    def _strict_unless_told(self) -> Self:
        if self.security_protocol in ("PLAINTEXT", "SASL_PLAINTEXT") and not self.allow_insecure:
            raise ValueError(
                f"security_protocol {self.security_protocol} sends everything in the clear; "
                "use SSL or SASL_SSL, or set LABELSTREAM_KAFKA_ALLOW_INSECURE=true on a test machine"
            )
        if self.security_protocol.startswith("SASL") and not self.sasl_username:
            raise ValueError("LABELSTREAM_KAFKA_SASL_USERNAME is needed with SASL")
        if self.security_protocol.startswith("SASL") and not self.password():
            raise ValueError("LABELSTREAM_KAFKA_SASL_PASSWORD or ..._PASSWORD_FILE is needed with SASL")
        if self.heartbeat_interval_ms * 2 > self.session_timeout_ms:
            raise ValueError("heartbeat_interval_ms must be at most half of session_timeout_ms")
        return self

    def password(self) -> str:
        """The SASL password, from its file where one is given."""
        if self.sasl_password_file is None:
            return self.sasl_password.get_secret_value()
        try:
            return self.sasl_password_file.read_text().strip()
        except OSError as error:
            raise ConfigurationError(f"the SASL password file cannot be read: {error}") from error

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
    max_records: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1000, description="Records per batch, at most: a batch is what has come meanwhile."
    )
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
    outbox_poll_ms: Milliseconds = Field(default=100, description="How often the relay looks for other replicas' rows.")
