"""Certificates and tokens for tests, made anew each time."""

import base64
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Identity:
    """Files in PEM: the certificate with its chain, its key in PKCS #8, and both in one."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """A CA whose certificates live in a directory.

    Args:
        directory: of the files.
        name: of the CA's own file.
    """

    def __init__(self, directory: Path, name: str = "ca") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._ca = trustme.CA()
        self.file = directory / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def identity(self, name: str, *hosts: str, common_name: str | None = None, expired: bool = False) -> Identity:
        """A certificate for hosts, or for a client by its common name."""
        now = datetime.now(UTC)
        life = (now - timedelta(days=30), now - timedelta(days=1)) if expired else (None, None)
        names = hosts or ((f"{common_name}.clients.invalid",) if common_name else ())
        made = self._ca.issue_cert(*names, common_name=common_name, not_before=life[0], not_after=life[1])
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        loaded = serialization.load_pem_private_key(made.private_key_pem.bytes(), password=None)
        key = loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        found = Identity(*(self._directory / f"{name}{end}.pem" for end in ("", ".key", ".both")))
        found.certificate.write_bytes(chain)
        found.key.write_bytes(key)
        found.key.chmod(0o600)
        found.both.write_bytes(key + chain)
        return found


@dataclass
class TokenIssuer:
    """Signs JSON Web Tokens as an identity provider does (RFC 7519, RS256)."""

    issuer: str = "https://id.example.com"
    audience: str = "kafka"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def jwks(self) -> str:
        """The public key, as an identity provider publishes it (RFC 7517)."""
        numbers = self.key.public_key().public_numbers()
        about = {"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig"}
        return json.dumps({"keys": [{**about, "n": _number(numbers.n), "e": _number(numbers.e)}]})

    def token(self, subject: str, *, life_s: float = 300, **claims: Any) -> str:
        """A token; negative life gives an expired one."""
        now = time.time()
        body = {
            "iss": self.issuer, "aud": self.audience, "sub": subject, "iat": int(now - 600), "exp": int(now + life_s),
            **claims,
        }  # fmt: skip
        signed = f"{_part({'alg': 'RS256', 'kid': 'k1', 'typ': 'JWT'})}.{_part(body)}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8))


def _part(document: dict[str, Any]) -> str:
    return _base64(json.dumps(document).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
