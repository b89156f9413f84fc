"""The issuer's public keys: read over HTTP, kept, and never read more often than the settings allow."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from services.assignment.api.problems import Problem
from services.assignment.settings import OidcSettings

log = structlog.get_logger(__name__)
DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_S = 5.0
MOST_BYTES, MOST_KEYS = 1_000_000, 100
LEAST_RSA_BITS = 2048
PublicKey = RSAPublicKey | EllipticCurvePublicKey


class Keys:
    """The keys of one issuer by `kid`.

    A key that is known is given at once; when the set is old it is read again behind the caller's back. For an unknown
    one the set is read, but at most once in `keys_pause_s` however many tokens ask, and by one request at a time.
    """

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._keys: dict[str, tuple[str, PublicKey]] = {}
        self._read_at = self._tried_at = float("-inf")
        self._failed = False
        self._reading: asyncio.Task[None] | None = None

    def has(self, kid: str) -> bool:
        """Whether a key stands."""
        return kid in self._keys and self._age() <= self._settings.keys_kept_s

    async def get(self, kid: str) -> tuple[str, PublicKey] | None:
        """Algorithm and key; None where the issuer has none of that name.

        Raises:
            Problem: 503, the issuer does not answer and the key is not known.
        """
        if self.has(kid):
            if self._age() > self._settings.keys_refresh_s:
                self._read_soon()
            return self._keys[kid]
        reading = self._read_soon()
        if reading is not None:
            await asyncio.shield(reading)
        if self.has(kid):
            return self._keys[kid]
        if self._failed or self._age() > self._settings.keys_kept_s:
            raise _unreachable(self._settings.keys_pause_s)
        return None

    def _age(self) -> float:
        return time.monotonic() - self._read_at

    def _read_soon(self) -> "asyncio.Task[None] | None":
        """The reading under way, or a new one; None where the last try was a moment ago."""
        if self._reading is None and time.monotonic() - self._tried_at >= self._settings.keys_pause_s:
            self._tried_at = time.monotonic()
            self._reading = asyncio.create_task(self._read())
        return self._reading

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                found = await self._fetch()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            self._failed = True
            log.warning("issuer_unreachable", issuer=self._settings.issuer, error=type(error).__name__)
        else:
            self._keys, self._read_at, self._failed = found, time.monotonic(), False
        finally:
            self._reading = None

    async def _fetch(self) -> dict[str, tuple[str, PublicKey]]:
        limits = httpx.Timeout(TIMEOUT_S)
        async with httpx.AsyncClient(timeout=limits, follow_redirects=False, trust_env=True) as client:
            url = self._settings.jwks_url
            if not url:
                said = await _json(client, self._settings.issuer.rstrip("/") + DISCOVERY)
                url = str(said.get("jwks_uri", ""))
                if said.get("issuer") != self._settings.issuer:
                    raise ValueError("the discovery document is of another issuer")
                if not url.startswith("https://") and not self._settings.allow_insecure:
                    raise ValueError("jwks_uri is no https:// address")
            found = await _json(client, url)
        listed = found.get("keys")
        if not isinstance(listed, list):
            raise ValueError("the key set holds no list of keys")  # noqa: TRY004  # of the issuer, not of a caller
        keys = (_load(one, self._settings.algorithms) for one in listed[:MOST_KEYS])
        return {kid: (algorithm, key) for kid, algorithm, key in filter(None, keys)}


async def _json(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """One JSON object of a bounded size."""
    body = b""
    async with client.stream("GET", url, headers={"accept": "application/json"}) as response:
        response.raise_for_status()
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"status {response.status_code}")
        async for part in response.aiter_bytes():
            body += part
            if len(body) > MOST_BYTES:
                raise ValueError("the answer is too large")
    found = httpx.Response(httpx.codes.OK, content=body).json()
    if not isinstance(found, dict):
        raise ValueError("the answer is no object")  # noqa: TRY004  # of the issuer, not of a caller
    return found


def _load(one: Any, allowed: list[Any]) -> tuple[str, str, PublicKey] | None:
    """Name, algorithm and key; None for what is not for signatures that are believed here.

    The algorithm follows from the kind of key, never from a token: a public key is no secret for an HMAC.
    """
    if not isinstance(one, Mapping) or not isinstance(one.get("kid"), str) or one.get("use", "sig") != "sig":
        return None
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(one.get("kty")))
    if algorithm is None or algorithm not in allowed or one.get("alg", algorithm) != algorithm or "d" in one:
        return None
    try:
        key = jwt.PyJWK(dict(one), algorithm).key
    except (jwt.PyJWTError, ValueError, KeyError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size >= LEAST_RSA_BITS:
        return one["kid"], algorithm, key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return one["kid"], algorithm, key
    return None


def _unreachable(pause_s: float) -> Problem:
    return Problem(
        503,
        "identity_unavailable",
        "The issuer of your token does not give its keys just now, and this key is not known yet.",
        "Try the same call again; API tokens go on working.",
        headers={"retry-after": str(max(1, round(pause_s)))},
    )
