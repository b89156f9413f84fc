"""OAUTHBEARER tokens: out of a file that something else renews, or from a token endpoint by client credentials."""

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from aiokafka.conn import OAuthAuthenticator
from aiokafka.errors import KafkaConnectionError

from shared.runtime.transport import Transport

TIMEOUT_S = 10.0
RENEW_AT = 0.8
"""The share of its life after which a token is fetched anew."""
REFUSED = frozenset({400, 401, 403})


class NoToken(KafkaConnectionError):  # type: ignore[misc]  # noqa: N818  # aiokafka has no types
    """There is no token to offer, and only an operator can change that."""


class Tokens:
    """Where the tokens of one principal come from.

    Args:
        transport: its settings.
        clock: monotonic seconds.
    """

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._token = ""
        self._good_until = 0.0

    async def get(self) -> str:
        """A token that has not expired.

        Raises:
            NoToken: the file holds none, or the endpoint refuses us.
            KafkaConnectionError: the endpoint does not answer.
        """
        if self._transport.oauth_token_file is not None:
            return _from_file(self._transport.oauth_token_file)
        if self._clock() >= self._good_until:
            self._token, life_s = await _fetch(self._transport)
            self._good_until = self._clock() + RENEW_AT * life_s
        return self._token

    def forget(self) -> None:
        """The broker refused it: fetch another one."""
        self._good_until = 0.0


def _from_file(file: Path) -> str:
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoToken(f"the token file cannot be read: {error}") from error
    if not token:
        raise NoToken(f"the token file {file} is empty")
    return token


async def _fetch(transport: Transport) -> tuple[str, float]:
    """RFC 6749 section 4.4; the client authenticates by Basic, section 2.3.1."""
    url = transport.oauth_token_url
    form = {"grant_type": "client_credentials", **({"scope": transport.oauth_scope} if transport.oauth_scope else {})}
    verify = True if transport.oauth_cafile is None else ssl.create_default_context(cafile=str(transport.oauth_cafile))
    secret = transport.client_secret()
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, verify=verify, follow_redirects=False) as client:
            answer = await client.post(url, data=form, auth=(transport.oauth_client_id, secret))
    except httpx.HTTPError as error:
        raise KafkaConnectionError(f"the token endpoint {url} does not answer: {error!r}") from error
    return _read(url, answer)


def _read(url: str, answer: httpx.Response) -> tuple[str, float]:
    try:
        document = answer.json()
        document = document if isinstance(document, dict) else {}
    except ValueError:
        document = {}
    if answer.status_code in REFUSED:
        raise NoToken(f"the token endpoint {url} refuses the client: {answer.status_code} {document.get('error', '')}")
    token, life_s = document.get("access_token"), document.get("expires_in", 60)
    if answer.status_code != httpx.codes.OK or not isinstance(token, str):
        raise KafkaConnectionError(f"the token endpoint {url} answered {answer.status_code} without a token")
    return token, float(life_s)


class HonestAuthenticator(OAuthAuthenticator):  # type: ignore[misc]
    """aiokafka's takes a refusal for success: the broker says no in its first answer and waits for one more byte.

    RFC 7628 section 3.2.3: the client then sends 0x01, and the server ends the exchange with its error.
    """

    async def step(self, payload: bytes | None) -> tuple[str | bytes, bool] | None:
        """The next message to send, or None after the last."""
        if self._token_sent and payload:
            return b"\x01", True
        found: tuple[str | bytes, bool] | None = await super().step(payload)
        return found
