"""What a cluster lets us do: each new connection takes the newest credentials, and a refusal is said loudly.

aiokafka hides both: it keeps the password that a client began with, logs why a connection failed, raises something
else, and tries again every 100 ms for ever. So every connection of this process is made here.
"""

import ssl
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import client, conn
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from shared.bus.refusals import explain
from shared.bus.tokens import HonestAuthenticator, Tokens
from shared.errors import AccessRefused, ConfigurationError
from shared.runtime.settings import KafkaSettings
from shared.runtime.transport import OAUTHBEARER, Transport

log = structlog.get_logger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
"""Between two attempts to connect to a broker that refuses us: doubled each time."""
SHOWN_S = 10.0
"""A refusal that nobody met again for so long is over, or its broker is gone."""
SAID_EVERY_S = 60.0
DENIALS = (ClusterAuthorizationFailedError, GroupAuthorizationFailedError, TopicAuthorizationFailedError)


@dataclass(slots=True)
class _Bootstrap:
    """The connections that one client's bootstrap has made."""

    made: list[Any]
    over: bool = False


_UNDER_WAY: ContextVar[_Bootstrap | None] = ContextVar("the bootstrap under way", default=None)


class Refused(KafkaConnectionError):  # type: ignore[misc]  # noqa: N818  # aiokafka has no types
    """A broker refused the connection; the message says what to check."""


@dataclass(slots=True)
class _Refusal:
    why: str
    seen_at: float = 0.0
    say_at: float = 0.0
    pause_s: float = 0.0
    again_at: float = 0.0


class Access(AbstractTokenProvider):  # type: ignore[misc]
    """One cluster as one principal sees it. Every client carries it as its token provider, which reaches `connect`.

    Args:
        kafka: the cluster and the credentials.
        clock: monotonic seconds.
    """

    def __init__(self, kafka: KafkaSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._kafka = kafka
        self._clock = clock
        self._tokens = Tokens(kafka)
        self._refusals: dict[str, _Refusal] = {}
        self._made: tuple[tuple[int, ...], ssl.SSLContext | None] | None = None

    async def token(self) -> str:
        """For aiokafka: the OAUTHBEARER token of a new connection."""
        return await self._tokens.get()

    @property
    def refusal(self) -> str | None:
        """Why we are not let in, or may not do something, for now."""
        now = self._clock()
        held = [one for one in self._refusals.values() if now - one.seen_at < SHOWN_S or now < one.again_at]
        return "; ".join(sorted({one.why for one in held})) or None

    async def connect(self, host: str, port: int, options: dict[str, Any]) -> Any:
        """A connection to one broker, with the credentials of this moment.

        Raises:
            Refused: we are not let in; while the pause after a refusal lasts, the network is not touched.
            KafkaError, OSError, TimeoutError: as aiokafka does.
        """
        place = f"{host}:{port}"
        known = self._refusals.get(place)
        if known is not None and self._clock() < known.again_at:
            raise Refused(known.why)
        try:
            made = await conn.create_conn(host, port, **{**options, **self._newest()})
        except (KafkaError, OSError, TimeoutError, ValueError, ConfigurationError) as error:
            why = explain(error, place, self._kafka)
            if why is None:
                raise
            self._tokens.forget()
            self._refuse(place, why)
            raise Refused(why) from error
        bootstrap = _UNDER_WAY.get()
        if bootstrap is not None and not bootstrap.over:
            bootstrap.made.append(made)
        if self._refusals.pop(place, None) is not None:
            log.info("access_granted", server=place)
        return made

    def _newest(self) -> dict[str, Any]:
        kafka = self._kafka
        found: dict[str, Any] = {}
        if kafka.uses_tls:
            found["ssl_context"] = self._context()
        if kafka.uses_sasl and kafka.sasl_mechanism != OAUTHBEARER:
            found["sasl_plain_password"] = kafka.password()
        return found

    def _context(self) -> ssl.SSLContext | None:
        """Made again only where a file has changed: reading the system's CAs takes longer than a connection."""
        files = (self._kafka.ssl_cafile, self._kafka.ssl_certfile, self._kafka.ssl_keyfile)
        try:
            stamps = tuple(0 if file is None else file.stat().st_mtime_ns for file in files)
        except OSError as error:
            raise ConfigurationError(f"the TLS files of Kafka cannot be used: {error}") from error
        if self._made is None or self._made[0] != stamps:
            self._made = (stamps, ssl_context(self._kafka))
        return self._made[1]

    def notice(self, error: BaseException | None) -> str | None:
        """Look for a missing right in an error and what caused it; remembers and returns what to say, or None."""
        while error is not None:
            if isinstance(error, DENIALS):
                why = explain(error, "", self._kafka) or str(error)
                self._refuse(why, why)
                return why
            if isinstance(error, Refused | AccessRefused):
                return str(error)
            error = error.__cause__
        return None

    def check(self, error: BaseException) -> None:
        """Say what an error hides: that we are not let in, or lack a right.

        Raises:
            AccessRefused: that is what it was; says what to check.
        """
        why = self.notice(error) or self.refusal
        if why is not None:
            raise AccessRefused(why) from error

    def settled(self) -> None:
        """What needed the rights that were missing has worked since."""
        for place in [place for place, one in self._refusals.items() if place == one.why]:
            del self._refusals[place]

    def _refuse(self, place: str, why: str) -> None:
        now = self._clock()
        known = self._refusals.get(place)
        if known is None or known.why != why:
            known = self._refusals[place] = _Refusal(why, pause_s=FIRST_PAUSE_S)
        elif now >= known.again_at:  # else another client met it at the same time
            known.pause_s = min(2 * known.pause_s, LONGEST_PAUSE_S)
        known.again_at = max(known.again_at, now + known.pause_s)
        known.seen_at = now
        if now >= known.say_at:
            known.say_at = now + SAID_EVERY_S
            log.error("access_refused", server=self._kafka.bootstrap, detail=why)


def ssl_context(kafka: Transport) -> ssl.SSLContext | None:
    """The TLS context, or None where the transport has none.

    Raises:
        ConfigurationError: a certificate or key file is missing or does not parse.
    """
    if not kafka.uses_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=str(kafka.ssl_cafile) if kafka.ssl_cafile else None)
        if kafka.ssl_certfile is not None:
            context.load_cert_chain(str(kafka.ssl_certfile), str(kafka.ssl_keyfile) if kafka.ssl_keyfile else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"the TLS files of Kafka cannot be used: {error}") from error
    return context


_KNOWN: dict[tuple[Any, ...], Access] = {}
_FIELDS: Iterable[str] = ("bootstrap", *Transport.model_fields)


def access_of(kafka: KafkaSettings) -> Access:
    """What is known of a cluster with these credentials; the same for every client that has them."""
    key = tuple(getattr(kafka, name) for name in _FIELDS)
    return _KNOWN.setdefault(key, Access(kafka))


async def _create_conn(host: str, port: int, **options: Any) -> Any:
    access = options.get("sasl_oauth_token_provider")
    if isinstance(access, Access):
        return await access.connect(host, port, options)
    return await conn.create_conn(host, port, **options)


_bootstrap_of_aiokafka = client.AIOKafkaClient.bootstrap


async def _bootstrap(self: Any) -> None:
    """Aiokafka's forgets the connection where it is cancelled before the first answer: a start that times out leaks."""
    bootstrap = _Bootstrap([])
    before = _UNDER_WAY.set(bootstrap)
    try:
        await _bootstrap_of_aiokafka(self)
    except BaseException:
        for one in bootstrap.made:
            one.close()
        raise
    finally:
        bootstrap.over = True  # tasks that it started go on in this context
        bootstrap.made.clear()
        _UNDER_WAY.reset(before)


def install() -> None:
    """Make every client of this process connect through here; again is harmless."""
    client.create_conn = _create_conn
    client.AIOKafkaClient.bootstrap = _bootstrap
    conn.OAuthAuthenticator = HonestAuthenticator
