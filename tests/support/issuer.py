"""A small OpenID Connect issuer over HTTP, with real keys: what it signs, and what a forger would."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "labelstream"
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Issuer:
    """Serves discovery and keys; counts how often it is asked.

    Attributes:
        url: its address, which is what its tokens say.
        asked: path -> requests so far.
        down: True: it answers every request with 500.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.asked: dict[str, int] = {}
        self.down = False
        self.keys: dict[str, Private] = {}
        self.extra: list[Any] = []
        self.says: dict[str, Any] = {}
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_key(self, kid: str, kind: str = "RS256") -> Private:
        key: Private = (
            rsa.generate_private_key(65537, 2048) if kind == "RS256" else ec.generate_private_key(ec.SECP256R1())
        )
        self.keys[kid] = key
        return key

    def token(self, subject: str, kid: str, *, headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token as the issuer gives it; a claim that is None is left out."""
        key = self.keys[kid]
        now = int(time.time())
        body = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600, **claims}
        kept = {name: value for name, value in body.items() if value is not None}
        kind = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(kept, key, algorithm=kind, headers={"kid": kid, **(headers or {})})

    def public_pem(self, kid: str) -> bytes:
        return self.keys[kid].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            self.asked[path] = self.asked.get(path, 0) + 1
            status, body = self._answer(path)
            said = json.dumps(body).encode()
            writer.write(
                b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (status, len(said), said)
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str) -> tuple[int, Any]:
        if self.down:
            return 500, {}
        if path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.says}
        if path == "/keys":
            return 200, {"keys": [*(public(kid, key) for kid, key in self.keys.items()), *self.extra]}
        return 404, {}


def public(kid: str, key: Private) -> dict[str, Any]:
    """A public key as a JWK."""
    algorithm: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    found: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return {**found, "kid": kid, "use": "sig"}


@asynccontextmanager
async def issuer() -> AsyncGenerator[Issuer]:
    """One with an RSA key "r1" and an elliptic one "e1"."""
    one = Issuer()
    one.new_key("r1")
    one.new_key("e1", "ES256")
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes | None) -> str:
    """A token by hand: unsigned, or signed by HMAC-SHA256 with whatever is at hand."""
    said = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    mark = b"" if secret is None else hmac.new(secret, said.encode(), hashlib.sha256).digest()
    return f"{said}.{b64(mark)}"
