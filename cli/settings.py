"""What commands read from the environment."""

import os
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cli.environment import PREFIX
from shared.errors import ConfigurationError
from shared.runtime.settings import KafkaSettings

SOURCE = "labelstream/operator"

S = TypeVar("S", bound=BaseSettings)


class ApiSettings(BaseSettings):
    """Where the assignment service's HTTP API is, and who asks."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    url: str = Field(default="http://127.0.0.1:8002", description="Base URL of the assignment service.")
    admin_token: SecretStr = Field(default=SecretStr(""), description="API token with the admin role.")


def checked(kind: type[S]) -> S:
    """Read settings from the environment.

    Raises:
        ConfigurationError: names each variable that is wrong.
    """
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        mistakes = [
            f"{prefix}{'__'.join(str(part) for part in one['loc'])}".upper().rstrip("_")
            + f": {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_input=False)
        ]
        hint = "" if "LABELSTREAM_KAFKA_BOOTSTRAP" in os.environ else "; no stack of `labelstream up` was found here"
        raise ConfigurationError("; ".join(mistakes) + hint) from None


def kafka_settings() -> KafkaSettings:
    """How to reach Kafka.

    Raises:
        ConfigurationError: as `checked`.
    """
    return checked(KafkaSettings)
