"""Settings of assignment."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.errors import ConfigurationError
from shared.runtime.secrets import token_weakness
from shared.runtime.settings import PACE, DatabaseServiceSettings, Seconds


class AssignmentSettings(DatabaseServiceSettings):
    """Environment: LABELSTREAM_ASSIGNMENT_..."""

    model_config = SettingsConfigDict(env_prefix="LABELSTREAM_ASSIGNMENT_", extra="ignore")

    batch_pace_ms: Annotated[int, Field(ge=0, le=10_000)] = Field(default=10, description=PACE)
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(default=8002, description="Port that HTTP listens on.")
    admin_token: SecretStr = Field(
        default=SecretStr(""), description="Token of the first administrator, 32 characters or more; absent: none."
    )
    admin_token_file: Path | None = Field(default=None, description="File that holds the administrator's token.")
    token_cache_s: Seconds = Field(default=2.0, description="How long a checked token is believed, seconds.")
    max_held_leases: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=200, description="Leases that one person may hold at once."
    )
    body_limit_bytes: Annotated[int, Field(ge=1024)] = Field(default=1_048_576, description="Largest request, bytes.")
    sweep_interval_s: Seconds = Field(
        default=1.0, description="Pause between runs of the jobs that expire leases and watch waiting rounds, seconds."
    )
    job_chunk_rows: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=500, description="Rows that one transaction of a job works on."
    )
    content_kept_days: Annotated[float, Field(gt=0)] = Field(
        default=30.0,
        description="Age at which the content of an item at rest is forgotten, days. No later round can open then, so"
        " keep it for as long as labels.v1 is kept.",
    )
    expired_leases_kept_days: Annotated[float, Field(gt=0)] = Field(
        default=7.0, description="Age at which leases that merely ran out are deleted, days."
    )
    request_log_kept_days: Annotated[float, Field(gt=0)] = Field(
        default=90.0, description="Age at which lines of the request log are deleted, days."
    )
    retention_interval_s: Seconds = Field(default=10.0, description="Pause between runs that forget, seconds.")
    retention_budget_s: Seconds = Field(default=2.0, description="Longest such run, seconds.")
    idempotency_ttl_s: Seconds = Field(default=86_400.0, description="How long Idempotency-Keys are kept, seconds.")

    def bootstrap_token(self) -> str | None:
        """The first administrator's token, or None.

        Raises:
            ConfigurationError: it is too short, or one that everybody knows.
        """
        token = self.admin_token.get_secret_value()
        if self.admin_token_file is not None:
            try:
                token = self.admin_token_file.read_text().strip()
            except OSError as error:
                raise ConfigurationError(f"the administrator's token file cannot be read: {error}") from error
        if not token and self.admin_token_file is None:
            return None
        why = token_weakness(token)
        if why is not None:
            raise ConfigurationError(f"LABELSTREAM_ASSIGNMENT_ADMIN_TOKEN {why}")
        return token
