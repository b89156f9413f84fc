"""Refusals in words: who refused what, and what to check."""

import ssl

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from shared.bus.tokens import NoToken
from shared.certificates import refuses_ours, untrusted
from shared.errors import ConfigurationError
from shared.runtime.settings import KafkaSettings
from shared.runtime.transport import OAUTHBEARER

ACLS = "`labelstream topics acls` prints what every principal needs"
NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNEXPECTED_MESSAGE")


def explain(error: BaseException, place: str, kafka: KafkaSettings) -> str | None:
    """What a failed connection or request means, or None where nobody refused anything.

    Args:
        error: as raised; what caused it is looked at too.
        place: host:port of the broker.
        kafka: the settings, for the names of what to check.
    """
    found: BaseException | None = error
    while found is not None:
        why = _explain(found, place, kafka)
        if why is not None:
            return why
        found = found.__cause__
    return None


def _explain(error: BaseException, place: str, kafka: KafkaSettings) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return untrusted(error, f"Kafka's broker {place}", kafka.setting("ssl_cafile"))
    if isinstance(error, ssl.SSLError):
        return _handshake(error, place, kafka)
    if isinstance(error, SaslAuthenticationFailed | ValueError):
        return _credentials(error, place, kafka)
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"Kafka's broker {place} does not offer {kafka.sasl_mechanism}; check {kafka.setting('sasl_mechanism')}"
    if isinstance(error, NoToken | ConfigurationError):
        return f"there are no credentials to offer: {error}"
    return _right(error, kafka)


def _handshake(error: ssl.SSLError, place: str, kafka: KafkaSettings) -> str | None:
    reason = error.reason or ""
    if refuses_ours(error):
        files = f"{kafka.setting('ssl_certfile')} and {kafka.setting('ssl_keyfile')}"
        return (
            f"Kafka's broker {place} refuses our client certificate ({reason.lower()}); check {files}: are they given, "
            "not expired, and signed by a CA that the broker trusts?"
        )
    if any(word in reason for word in NOT_TLS):
        protocol = kafka.setting("security_protocol")
        return f"Kafka's broker {place} does not speak TLS there; check the port and {protocol}"
    return None


def _credentials(error: BaseException, place: str, kafka: KafkaSettings) -> str | None:
    if isinstance(error, ValueError) and not isinstance(error, SaslAuthenticationFailed):
        if "wrong signature" not in str(error) and "Server nonce" not in str(error):
            return None
        return f"{place} could not prove that it knows our password: is it the broker that was meant?"
    if kafka.sasl_mechanism == OAUTHBEARER:
        source = "oauth_token_file" if kafka.oauth_token_file is not None else "oauth_token_url"
        return (
            f"Kafka's broker {place} refuses our token ({error}); check {kafka.setting(source)}: is it expired, and are"
            " its issuer, audience and signature those that the broker expects?"
        )
    return (
        f"Kafka's broker {place} refuses user {kafka.sasl_username!r} by {kafka.sasl_mechanism}; check"
        f" {kafka.setting('sasl_username')} and {kafka.setting('sasl_password')} or ..._file"
    )


def _right(error: BaseException, kafka: KafkaSettings) -> str | None:
    who = f"user {kafka.sasl_username!r}" if kafka.sasl_username else "our principal"
    what = _names(error.args[0]) if error.args else "one of the deployment's"
    if isinstance(error, TopicAuthorizationFailedError):
        return f"Kafka does not let {who} use topic {what}; {ACLS}"
    if isinstance(error, GroupAuthorizationFailedError):
        return f"Kafka does not let {who} use group {what}; {ACLS}"
    if isinstance(error, ClusterAuthorizationFailedError):
        return f"Kafka does not let {who} do this on the cluster; {ACLS}"
    return None


def _names(given: object) -> str:
    return ", ".join(sorted(map(str, given))) if isinstance(given, set | frozenset | list | tuple) else str(given)
