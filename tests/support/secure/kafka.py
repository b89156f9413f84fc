"""One Apache Kafka with an authorizer and a listener for each way of proving who one is."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from confluent_kafka import admin as _admin

from cli.stack.kafka import Kafka
from shared.bus.acls import Right
from shared.runtime.settings import KafkaSettings
from shared.topics import OPERATOR, SERVICES, TRAINER
from tests.support.secure.authority import ADDRESS, Authority, TokenIssuer

api: Any = _admin  # its stubs are not complete
"""librdkafka's admin client."""

SCRAM, MTLS, OAUTH, EXPIRED = "SCRAM", "MTLS", "OAUTH", "EXPIRED"
LISTENERS = {SCRAM: "SASL_SSL", MTLS: "SSL", OAUTH: "SASL_SSL", EXPIRED: "SASL_SSL"}
PRINCIPALS = (*SERVICES, TRAINER, OPERATOR, "stranger")
OAUTH_SESSION_MS = 1500
_SECURITY = "org.apache.kafka.common.security"


class SecureKafka:
    """SASL_SSL with SCRAM, mutual TLS, and OAUTHBEARER; a fourth listener has a certificate that has expired.

    The plain listener inside is the brokers' own: its anonymous user is the cluster's administrator, for set-up only.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(directory / "tls")
        self.issuer = TokenIssuer()
        self.passwords = {name: secrets.token_urlsafe(18) for name in PRINCIPALS}
        self._directory = directory
        jwks = directory / "jwks.json"
        jwks.write_text(self.issuer.jwks())
        self.kafka = Kafka(
            directory / "kafka",
            extra_listeners=LISTENERS,
            properties=self._properties(jwks),
            jvm=(f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={jwks.as_uri()}",),
        )

    def _properties(self, jwks: Path) -> dict[str, str]:
        server = self.authority.identity("server", ADDRESS)
        expired = self.authority.identity("server-expired", ADDRESS, expired=True)
        scram = f"{_SECURITY}.scram.ScramLoginModule required;"
        oauth = f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule required;"
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(server.both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
            "listener.name.mtls.ssl.client.auth": "required",
            "listener.name.expired.ssl.keystore.location": str(expired.both),
            "listener.name.expired.ssl.keystore.type": "PEM",
            **{f"listener.name.{name}.sasl.enabled.mechanisms": "SCRAM-SHA-512" for name in ("scram", "expired")},
            **{f"listener.name.{name}.scram-sha-512.sasl.jaas.config": scram for name in ("scram", "expired")},
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.jaas.config": oauth,
            "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": (
                f"{_SECURITY}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            ),
            "listener.name.oauth.oauthbearer.connections.max.reauth.ms": str(OAUTH_SESSION_MS),
            # The default of 4.1.0 is the client's validator, which looks at neither signature nor expiry.
            "sasl.oauthbearer.jwt.validator.class": f"{_SECURITY}.oauthbearer.BrokerJwtValidator",
            "sasl.oauthbearer.jwks.endpoint.url": jwks.as_uri(),
            "sasl.oauthbearer.expected.audience": self.issuer.audience,
            "sasl.oauthbearer.expected.issuer": self.issuer.issuer,
        }

    async def start(self) -> None:
        """Up, with a SCRAM user for each principal."""
        await self.kafka.start()
        await asyncio.to_thread(self._create_users)

    def stop(self) -> None:
        """At once: nobody needs its data."""
        self.kafka.kill9()

    def _create_users(self) -> None:
        kind = api.ScramCredentialInfo(api.ScramMechanism.SCRAM_SHA_512, 4096)
        wanted = [api.UserScramCredentialUpsertion(name, kind, one.encode()) for name, one in self.passwords.items()]
        client = self.admin()  # held: its answers die with it
        for done in client.alter_user_scram_credentials(wanted).values():
            done.result(10)

    def admin(self, **settings: str) -> Any:
        """librdkafka's admin client: the administrator's on the inner listener, or with settings of its own."""
        return api.AdminClient({"bootstrap.servers": self.kafka.bootstrap, **settings})

    def admin_as(self, principal: str) -> Any:
        return self.admin(
            **{
                "bootstrap.servers": self.kafka.bootstrap_of(SCRAM),
                "security.protocol": "SASL_SSL",
                "ssl.ca.location": str(self.authority.file),
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": principal,
                "sasl.password": self.passwords[principal],
            }
        )

    def allow(self, wanted: Iterable[Right]) -> None:
        """Add rights, and wait until the broker knows them."""
        client, made = self.admin(), [binding(one) for one in wanted]
        for done in client.create_acls(made).values():
            done.result(10)
        self._until(lambda: set(made) <= self.bindings())

    def forbid(self, given: Iterable[Right]) -> None:
        """Take rights away."""
        client, gone = self.admin(), [binding(one) for one in given]
        for done in client.delete_acls([_filter(one) for one in gone]).values():
            done.result(10)
        self._until(lambda: not set(gone) & self.bindings())

    def _until(self, known: Callable[[], bool]) -> None:
        """The controller has taken it; the broker asks its own copy."""
        deadline = time.monotonic() + 10
        while not known():
            assert time.monotonic() < deadline, "the broker did not learn of the rights"
            time.sleep(0.02)

    def bindings(self, prefix: str = "") -> set[Any]:
        """The rules whose resource begins with a prefix, as the broker holds them."""
        anything = api.AclBindingFilter(
            api.ResourceType.ANY,
            None,
            api.ResourcePatternType.ANY,
            None,
            None,
            api.AclOperation.ANY,
            api.AclPermissionType.ANY,
        )
        client = self.admin()
        return {one for one in client.describe_acls(anything).result(10) if one.name.startswith(prefix)}

    def settings(self, principal: str, prefix: str, listener: str = SCRAM, **more: Any) -> KafkaSettings:
        """How a principal connects: by password, unless `more` says otherwise."""
        given: dict[str, Any] = {
            "bootstrap": self.kafka.bootstrap_of(listener),
            "prefix": prefix,
            "security_protocol": LISTENERS[listener],
            "ssl_cafile": self.authority.file,
            "session_timeout_ms": Kafka.session_timeout_ms,
            "heartbeat_interval_ms": Kafka.session_timeout_ms // 6,
        }
        if listener in (SCRAM, EXPIRED):
            given |= {"sasl_username": principal, "sasl_password": self.passwords[principal]}
        if listener == MTLS:
            client = self.authority.identity(f"client-{principal}", common_name=principal)
            given |= {"ssl_certfile": client.certificate, "ssl_keyfile": client.key}
        if listener == OAUTH:
            given |= {"sasl_mechanism": "OAUTHBEARER"}
        return KafkaSettings.model_validate(given | more)


def binding(one: Right) -> Any:
    """A right in librdkafka's words."""
    return api.AclBinding(
        api.ResourceType[one.resource.upper()],
        one.name,
        api.ResourcePatternType[one.pattern.upper()],
        one.principal,
        "*",
        api.AclOperation[one.operation.upper()],
        api.AclPermissionType.ALLOW,
    )


def _filter(one: Any) -> Any:
    return api.AclBindingFilter(
        one.restype, one.name, one.resource_pattern_type, one.principal, one.host, one.operation, one.permission_type
    )


def environment(settings: KafkaSettings) -> dict[str, str]:
    """The variables by which a process gets these settings."""
    shown = {name: getattr(settings, name) for name in settings.model_fields_set}
    values = {name: one.get_secret_value() if hasattr(one, "get_secret_value") else one for name, one in shown.items()}
    return {f"LABELSTREAM_KAFKA_{name.upper()}": str(value) for name, value in values.items()}
