"""How a connection to a Kafka cluster is secured: the same settings for our own cluster and for those of sources."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from shared.errors import ConfigurationError
from shared.runtime.secrets import weakness

OAUTHBEARER = "OAUTHBEARER"


class Transport(BaseModel):
    """Plain text is refused unless `allow_insecure` says that this is a test."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="SASL_SSL", description="Transport security; the plain ones need allow_insecure."
    )
    allow_insecure: bool = Field(
        default=False, description="Permit transports without TLS: tests and one machine only."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        default="SCRAM-SHA-512", description="SASL mechanism."
    )
    sasl_username: str = Field(default="", description="SASL user name; not with OAUTHBEARER.")
    sasl_password: SecretStr = Field(default=SecretStr(""), description="SASL password.")
    sasl_password_file: Path | None = Field(
        default=None, description="File that holds the SASL password; read again for every connection."
    )
    oauth_token_file: Path | None = Field(
        default=None, description="OAUTHBEARER: file that holds a token; read again for every connection."
    )
    oauth_token_url: str = Field(
        default="", description="OAUTHBEARER: token endpoint (https) for the client credentials grant, instead."
    )
    oauth_client_id: str = Field(default="", description="OAUTHBEARER: client id at the token endpoint.")
    oauth_client_secret: SecretStr = Field(
        default=SecretStr(""), description="OAUTHBEARER: client secret at the token endpoint."
    )
    oauth_client_secret_file: Path | None = Field(
        default=None, description="OAUTHBEARER: file that holds the client secret."
    )
    oauth_scope: str = Field(default="", description="OAUTHBEARER: scopes to ask for, separated by spaces.")
    oauth_cafile: Path | None = Field(
        default=None, description="OAUTHBEARER: CA bundle in PEM for the token endpoint; absent: the system's."
    )
    ssl_cafile: Path | None = Field(default=None, description="CA bundle in PEM; absent: the system's.")
    ssl_certfile: Path | None = Field(
        default=None, description="Client certificate in PEM, for mutual TLS; read again for every connection."
    )
    ssl_keyfile: Path | None = Field(default=None, description="Its private key in PEM.")

    @model_validator(mode="after")
    def _strict_unless_told(self) -> Self:
        if self.security_protocol in ("PLAINTEXT", "SASL_PLAINTEXT") and not self.allow_insecure:
            raise ValueError(
                f"security_protocol {self.security_protocol} sends everything in the clear; use SSL or SASL_SSL, "
                f"or set {self.setting('allow_insecure')} to true on a test machine"
            )
        if self.uses_sasl and self.sasl_mechanism == OAUTHBEARER:
            self._check_oauth()
        elif self.uses_sasl:
            self._check_password()
        return self

    def _check_password(self) -> None:
        if not self.sasl_username:
            raise ValueError(f"{self.setting('sasl_username')} is needed with SASL")
        password = self.password()
        if not password:
            raise ValueError(f"{self.setting('sasl_password')} or ..._file is needed with SASL")
        why = weakness(password, user=self.sasl_username)
        if why is not None:
            raise ValueError(f"{self.setting('sasl_password')} {why}")

    def _check_oauth(self) -> None:
        if (self.oauth_token_file is None) == (not self.oauth_token_url):
            raise ValueError(
                f"OAUTHBEARER takes its token from {self.setting('oauth_token_file')} or from "
                f"{self.setting('oauth_token_url')}: give one of them"
            )
        if not self.oauth_token_url:
            return
        if not self.oauth_token_url.startswith("https://") and not self.allow_insecure:
            raise ValueError(f"{self.setting('oauth_token_url')} must begin with https://")
        secret = self.client_secret()
        if not self.oauth_client_id or not secret:
            needed = f"{self.setting('oauth_client_id')} and {self.setting('oauth_client_secret')} or ..._file"
            raise ValueError(f"{needed} are needed with {self.setting('oauth_token_url')}")
        why = weakness(secret, user=self.oauth_client_id)
        if why is not None:
            raise ValueError(f"{self.setting('oauth_client_secret')} {why}")

    def setting(self, name: str) -> str:
        """What an operator calls a field."""
        return name

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    def password(self) -> str:
        """The SASL password, from its file where one is given.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        return _secret(self.sasl_password, self.sasl_password_file, "the SASL password file")

    def client_secret(self) -> str:
        """The client secret of the token endpoint, from its file where one is given.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        return _secret(self.oauth_client_secret, self.oauth_client_secret_file, "the OAuth client secret file")


def _secret(value: SecretStr, file: Path | None, what: str) -> str:
    if file is None:
        return value.get_secret_value()
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{what} cannot be read: {error}") from error
