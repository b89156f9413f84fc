"""Settings of assignment."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.runtime.secrets import given_token
from shared.runtime.settings import PACE, DatabaseServiceSettings, Seconds

Algorithm = Literal["RS256", "ES256"]
RoleName = Literal["annotator", "expert", "lead", "admin"]


class OidcSettings(BaseSettings):
    """OpenID Connect: whose tokens are believed, and what their claims mean. Off while `issuer` is absent."""

    model_config = SettingsConfigDict(env_prefix="LABELSTREAM_ASSIGNMENT_OIDC_", extra="ignore")

    issuer: str = Field(default="", description="Issuer of the tokens, as their `iss` says; absent: only API tokens.")
    audience: str = Field(default="", description="What the tokens' `aud` must hold; required with an issuer.")
    jwks_url: str = Field(default="", description="Where the issuer's keys are; absent: what its discovery says.")
    allow_insecure: bool = Field(default=False, description="Permit http:// addresses: for tests only.")
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = Field(
        default=["RS256", "ES256"], description="Signatures that are believed; there are no others to choose."
    )
    leeway_s: Annotated[float, Field(ge=0, le=300)] = Field(
        default=30.0, description="How far the issuer's clock may be from ours, seconds."
    )
    keys_refresh_s: Seconds = Field(
        default=300.0, description="Age at which the issuer's keys are read again, seconds."
    )
    keys_pause_s: Seconds = Field(
        default=10.0, description="Least time between two readings of the keys, whatever tokens say, seconds."
    )
    keys_kept_s: Seconds = Field(
        default=86_400.0, description="How long known keys are believed while the issuer does not answer, seconds."
    )
    subject_claim: str = Field(
        default="sub", min_length=1, description="Claim that names the person; take one that never changes hands."
    )
    id_prefix: str = Field(default="", max_length=100, description="Put before it to make the annotator's id.")
    name_claim: str = Field(default="name", description="Claim with the name to show.")
    roles_claim: str = Field(
        default="",
        description="Claim with roles or groups, as in realm_access.roles; absent: administrators set roles.",
    )
    role_names: dict[str, RoleName] = Field(
        default={}, description='Which of its values is which role, as {"label-leads": "lead"}; the highest counts.'
    )
    default_role: RoleName | None = Field(
        default=None, description="Role of a person whose token names none; absent: such a person is not let in."
    )
    projects_claim: str = Field(default="", description="Claim with project ids; absent: administrators set projects.")
    projects_prefix: str = Field(
        default="", description="What its values begin with; those without it are passed over."
    )
    languages_claim: str = Field(default="", description="Claim with the person's languages.")
    groups_claim: str = Field(default="", description="Claim with the groups that items may be meant for.")
    register_people: bool = Field(
        default=False, description="Add a person at their first call; otherwise an administrator adds them beforehand."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.issuer:
            return self
        if not self.audience:
            raise ValueError("audience is needed with an issuer: tokens for other services must not open this one")
        for url in filter(None, (self.issuer, self.jwks_url)):
            if not url.startswith("https://") and not (self.allow_insecure and url.startswith("http://")):
                raise ValueError("issuer and jwks_url must be https:// addresses")
        if self.roles_claim and not self.role_names:
            raise ValueError("role_names is needed with roles_claim: it says which value is which role")
        if self.register_people and not self.roles_claim and self.default_role is None:
            raise ValueError("register_people needs a roles_claim or a default_role")
        return self


class AssignmentSettings(DatabaseServiceSettings):
    """Environment: LABELSTREAM_ASSIGNMENT_..."""

    model_config = SettingsConfigDict(env_prefix="LABELSTREAM_ASSIGNMENT_", extra="ignore")

    batch_pace_ms: Annotated[int, Field(ge=0, le=10_000)] = Field(default=10, description=PACE)
    feedback_pace_ms: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=100,
        description="The same for what qc and monitor say of items: labels, escalations, relabels, quality.",
    )
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(default=8002, description="Port that HTTP listens on.")
    admin_token: SecretStr = Field(
        default=SecretStr(""), description="Token of the first administrator, 32 characters or more; absent: none."
    )
    admin_token_file: Path | None = Field(default=None, description="File that holds the administrator's token.")
    oidc: OidcSettings = Field(default_factory=OidcSettings, description="See the settings of OpenID Connect.")
    token_cache_s: Seconds = Field(default=2.0, description="How long a checked token is believed, seconds.")
    max_held_leases: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=200, description="Leases that one person may hold at once."
    )
    longest_lease_s: Seconds = Field(
        default=43_200.0,
        description="How long a task is kept for somebody who goes on renewing it, seconds; at least `policy.lease_s`.",
    )
    calls_per_s: Annotated[float, Field(gt=0)] = Field(
        default=100.0, description="Calls a second that one person or program may make, of each replica."
    )
    calls_burst: Annotated[int, Field(ge=1)] = Field(
        default=500, description="Calls that it may make at once after a pause."
    )
    body_limit_bytes: Annotated[int, Field(ge=1024)] = Field(default=1_048_576, description="Largest request, bytes.")
    media_key: SecretStr = Field(
        default=SecretStr(""),
        description="Key that signs links to media, 32 characters or more, the same for all replicas; absent: drawn at"
        " the start of each.",
    )
    media_key_file: Path | None = Field(default=None, description="File that holds the key for links to media.")
    media_link_s: Seconds = Field(default=3600.0, description="How long a link to media is good, seconds.")
    media_max_bytes: Annotated[int, Field(ge=1)] = Field(
        default=268_435_456, description="Largest media that are handed on, in bytes."
    )
    media_timeout_s: Seconds = Field(default=10.0, description="Longest wait for a server of media, seconds.")
    media_send_s: Seconds = Field(default=600.0, description="Longest time that sending one may take, seconds.")
    media_concurrency: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=64, description="Media that are handed on at once, of each replica."
    )
    media_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="Private networks (CIDR, as a JSON array) that media may be fetched from; default none."
    )
    media_cafile: Path | None = Field(
        default=None, description="CA bundle in PEM for fetching media; absent: the default."
    )
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

    def media_link_key(self) -> bytes | None:
        """The key that signs links to media; None: to be drawn.

        Raises:
            ConfigurationError: it is too short, or one that everybody knows.
        """
        key = given_token(self.media_key, self.media_key_file, "LABELSTREAM_ASSIGNMENT_MEDIA_KEY")
        return None if key is None else key.encode()

    def bootstrap_token(self) -> str | None:
        """The first administrator's token, or None.

        Raises:
            ConfigurationError: it is too short, or one that everybody knows.
        """
        return given_token(self.admin_token, self.admin_token_file, "LABELSTREAM_ASSIGNMENT_ADMIN_TOKEN")
