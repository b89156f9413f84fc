"""Tokens of an OpenID Connect issuer: checked once, then known by their hash like any other token.

Source: RFC 7519 (JWT), RFC 7515 (JWS), RFC 8725 (best current practices), OpenID Connect Discovery 1.0.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from services.assignment.api.keys import Keys
from services.assignment.settings import OidcSettings, RoleName

RANKS: tuple[RoleName, ...] = ("annotator", "expert", "lead", "admin")
MAX_CHARACTERS = 8192
MAX_ID_CHARACTERS = 200
MAX_VALUES = 1000
BROKEN = (jwt.PyJWTError, ValueError, RecursionError)
REQUIRED = ["exp", "iss", "aud"]


class Refused(Exception):  # noqa: N818  # nobody is told more than that
    """A token that is not believed. The message is for the log, and holds nothing of the token."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a token says of a person. None where the settings leave it to administrators.

    Attributes:
        kid: of the key that signed it.
        expires_at: on the clock of `time.time`, with the leeway.
        issued_at: of two tokens the later one counts.
    """

    id: str
    name: str
    role: RoleName | None
    projects: Sequence[str] | None
    languages: Sequence[str] | None
    groups: Sequence[str] | None
    kid: str
    expires_at: float
    issued_at: float


def looks_like_one(token: str) -> bool:
    """Whether a token has the shape of a signed JWT; an API token never has."""
    return token.startswith("eyJ") and token.count(".") == 2  # noqa: PLR2004  # header, claims, signature


class Verifier:
    """Checks signatures and claims."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self.keys = Keys(settings)

    async def check(self, token: str) -> Login:
        """What a token says, if it is to be believed.

        Raises:
            Refused: it is not.
            Problem: 503, the issuer's keys cannot be had.
        """
        if len(token) > MAX_CHARACTERS:
            raise Refused("too long")
        try:
            header = jwt.get_unverified_header(token)
        except BROKEN as error:
            raise Refused(type(error).__name__) from None
        kid, algorithm = header.get("kid"), header.get("alg")
        if algorithm not in self._settings.algorithms or not isinstance(kid, str) or "crit" in header:
            raise Refused("header")
        found = await self.keys.get(kid)
        if found is None or found[0] != algorithm:
            raise Refused("key")
        try:
            claims = jwt.decode(
                token,
                found[1],
                algorithms=[found[0]],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_s,
                options={"require": REQUIRED},
            )
        except BROKEN as error:
            raise Refused(type(error).__name__) from None
        return login_of(claims, self._settings, kid=kid)

    def stands(self, login: Login) -> bool:
        """Whether a token that was checked before is still to be believed."""
        return login.expires_at > time.time() and self.keys.has(login.kid)


def login_of(claims: Mapping[str, Any], settings: OidcSettings, *, kid: str) -> Login:
    """The claims by the settings' names.

    Raises:
        Refused: they name nobody, or nobody who has a role.
    """
    subject = _claim(claims, settings.subject_claim)
    if not isinstance(subject, str) or not subject:
        raise Refused("subject")
    person = settings.id_prefix + subject
    if len(person) > MAX_ID_CHARACTERS or not person.isprintable() or person != person.strip():
        raise Refused("subject")
    name = _claim(claims, settings.name_claim) if settings.name_claim else None
    return Login(
        id=person,
        name=name[:MAX_ID_CHARACTERS] if isinstance(name, str) and name.isprintable() and name.strip() else person,
        role=_role(claims, settings),
        projects=_projects(claims, settings),
        languages=_values(claims, settings.languages_claim) if settings.languages_claim else None,
        groups=_values(claims, settings.groups_claim) if settings.groups_claim else None,
        kid=kid,
        expires_at=float(claims["exp"]) + settings.leeway_s,
        issued_at=float(claims.get("iat", 0)),
    )


def _role(claims: Mapping[str, Any], settings: OidcSettings) -> RoleName | None:
    """The highest role that the token names; None where administrators set roles.

    Raises:
        Refused: it names none, and there is no role for that.
    """
    if not settings.roles_claim:
        return None
    named = {settings.role_names[one] for one in _values(claims, settings.roles_claim) if one in settings.role_names}
    found = max(named, key=RANKS.index, default=settings.default_role)
    if found is None:
        raise Refused("role")
    return found


def _projects(claims: Mapping[str, Any], settings: OidcSettings) -> list[str] | None:
    if not settings.projects_claim:
        return None
    prefix = settings.projects_prefix
    return [one[len(prefix) :] for one in _values(claims, settings.projects_claim) if one.startswith(prefix)]


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by a path through objects with dots between the names."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _values(claims: Mapping[str, Any], path: str) -> list[str]:
    """The texts of a claim: a list, or one text with spaces between them."""
    found = _claim(claims, path)
    listed = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return [one for one in listed[:MAX_VALUES] if isinstance(one, str) and one and one.isprintable()]
