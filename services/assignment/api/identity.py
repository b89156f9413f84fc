"""Who calls: tokens, roles, and what each may touch. Whatever is not permitted here is refused."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

import structlog
from fastapi import Request
from fastapi.security import HTTPBearer

from services.assignment.api.limits import Limits
from services.assignment.api.oidc import MAX_CHARACTERS, Login, Refused, Verifier, looks_like_one
from services.assignment.api.problems import Problem, forbidden, unauthenticated
from services.assignment.api.together import Together
from services.assignment.jobs import Housekeeping, record
from services.assignment.settings import AssignmentSettings
from services.assignment.store.audit import LogLine
from services.assignment.store.people import (
    NewPerson,
    Person,
    add_people,
    find_by_tokens,
    get_people,
    update_people,
)
from shared.events import Audience
from shared.runtime.service import Service

log = structlog.get_logger(__name__)
PREFIX = "ls_"
TOKEN_BYTES = 32
MAX_TOKEN_CHARACTERS = 200
CACHE_LIMIT = 10_000
RECENT_S = 60.0
"""How long after a call somebody counts as at work, so that the token is kept fresh."""


class Role(StrEnum):
    ANNOTATOR = "annotator"
    EXPERT = "expert"
    LEAD = "lead"
    ADMIN = "admin"


WORKERS = frozenset({Role.ANNOTATOR, Role.EXPERT})
LEADERS = frozenset({Role.LEAD, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})
BOOTSTRAP = "admin"
"""The id of the administrator of the settings; nobody else may have it."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `projects` is None for all; `person` is None for the administrator of the settings."""

    id: str
    role: Role
    projects: frozenset[str] | None
    person: Person | None

    def sees(self, project_id: str) -> bool:
        return self.projects is None or project_id in self.projects

    @property
    def audience(self) -> Audience:
        return Audience.EXPERT if self.role is Role.EXPERT else Audience.ANNOTATOR


def new_token() -> str:
    """A token of 32 random bytes; shown once, stored only as its hash."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> bytes:
    """SHA-256; a token has 256 bits of randomness, so a slow hash would add nothing."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


@dataclass(slots=True)
class _Known:
    """What was found out about a token; `login` is what one of an issuer said."""

    principal: Principal | None
    until: float
    used_at: float
    login: Login | None = None


class Identities:
    """Checks tokens. What was found is believed for `token_cache_s`, by each replica for itself.

    Tokens in use are looked up again together, in one statement, before that time is over: no call of somebody at work
    waits for it, and unknown ones that come at once share a statement too. A signature is checked once.
    """

    def __init__(self, service: Service, settings: AssignmentSettings, watch: Housekeeping) -> None:
        token = settings.bootstrap_token()
        self._admin = None if token is None else hash_token(token)
        self._service = service
        self._ttl_s = settings.token_cache_s
        self._watch = watch
        self.limits = Limits(settings.calls_per_s, settings.calls_burst)
        self._cache: dict[bytes, _Known] = {}
        self._asked: Together[bytes, Principal | None] = Together(self._look_up, lambda digest: frozenset([digest]))
        self._issuer = Verifier(settings.oidc) if settings.oidc.issuer else None
        self._registers = settings.oidc.register_people
        self._default_role = settings.oidc.default_role
        self._came: Together[Login, Principal | None] = Together(self._let_in, lambda login: frozenset([login.id]))

    def forget(self) -> None:
        """Believe nothing checked before: a person or token has changed."""
        self._cache = {}

    async def identify(self, authorization: str) -> Principal:
        """Who calls.

        Args:
            authorization: the header.

        Raises:
            Problem: 401, without saying what is wrong with the token; 503, the issuer's keys cannot be had.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_CHARACTERS:
            raise unauthenticated()
        digest = hash_token(token)
        now = time.monotonic()
        known = self._cache.get(digest)
        if known is None or known.until < now:
            if len(self._cache) >= CACHE_LIMIT:
                self._cache = {}
            known = await self._check(token, digest, now)
            self._cache[digest] = known
        principal = known.principal
        if principal is None:
            raise unauthenticated()
        known.used_at = now
        if principal.person is not None:
            self._watch.saw(principal.id)
        return principal

    async def _check(self, token: str, digest: bytes, now: float) -> _Known:
        if self._issuer is None or not looks_like_one(token):
            found = await self._asked.do(digest) if len(token) <= MAX_TOKEN_CHARACTERS else None
            return _Known(found, now + self._ttl_s, now)
        try:
            login = await self._issuer.check(token)
        except Refused as error:
            log.info("token_refused", reason=str(error))
            return _Known(None, now + self._ttl_s, now)
        return _Known(await self._came.do(login), self._until(now, login), now, login)

    def _until(self, now: float, login: Login | None) -> float:
        """Until when something found now is believed; never beyond a token's own end."""
        left_s = self._ttl_s if login is None else min(self._ttl_s, login.expires_at - time.time())
        return now + left_s

    async def refresh(self) -> None:
        """Look up again whoever has called of late; the rest is forgotten when its time is over."""
        before, now = self._cache, time.monotonic()
        used = {one: k for one, k in before.items() if k.principal is not None and k.used_at > now - RECENT_S}
        logins = {one: k.login for one, k in used.items() if k.login is not None}
        plain = [one for one in used if one not in logins]
        found = dict(zip(plain, await self._look_up(plain), strict=True))
        if self._issuer is not None and logins:
            standing = {one: login for one, login in logins.items() if self._issuer.stands(login)}
            people = await self._people([login.id for login in standing.values()])
            found |= {one: people.get(standing[one].id) if one in standing else None for one in logins}
        if self._cache is not before:
            return  # told to forget meanwhile
        renewed = {
            one: _Known(who, self._until(now, used[one].login), used[one].used_at, used[one].login)
            for one, who in found.items()
        }
        self._cache = {one: known for one, known in before.items() if known.until > now} | renewed

    async def _look_up(self, digests: Sequence[bytes]) -> list[Principal | None]:
        """One principal per digest; None for what is no token of ours."""
        known: dict[bytes, Principal] = {}
        if self._admin is not None:
            known = {one: BOOTSTRAPPED for one in digests if hmac.compare_digest(one, self._admin)}
        wanted = [one for one in digests if one not in known]
        if wanted:
            async with self._service.database.pool.acquire(timeout=10) as connection:
                found = await find_by_tokens(connection, wanted)
            known |= {digest: principal_of(person) for digest, person in found.items() if person.enabled}
        return [known.get(one) for one in digests]

    async def _people(self, ids: Sequence[str]) -> dict[str, Principal]:
        async with self._service.database.pool.acquire(timeout=10) as connection:
            found = await get_people(connection, ids)
        return {who: principal_of(person) for who, person in found.items() if person.enabled}

    async def _let_in(self, logins: Sequence[Login]) -> list[Principal | None]:
        """People whose tokens were seen for the first time: registered if that is wanted, else as far as known."""
        said = [_said(one) for one in logins if one.id != BOOTSTRAP]
        async with self._service.unit() as unit:
            if self._registers:
                fresh = await add_people(
                    unit.connection, [replace(one, role=one.role or self._default_role) for one in said]
                )
                lines = [LogLine(one, "register", "done", one) for one in sorted(fresh)]
                await record(unit, lines)
            await update_people(unit.connection, said)
        people = await self._people([one.id for one in said])
        return [people.get(one.id) for one in logins]


def _said(login: Login) -> NewPerson:
    return NewPerson(
        id=login.id,
        name=login.name,
        role=login.role,
        projects=login.projects,
        languages=login.languages,
        groups=login.groups,
        claims_at=datetime.fromtimestamp(login.issued_at, UTC),
    )


BOOTSTRAPPED = Principal(BOOTSTRAP, Role.ADMIN, None, None)


def principal_of(person: Person) -> Principal:
    """What a person may."""
    projects = None if person.projects is None else frozenset(person.projects)
    return Principal(person.id, Role(person.role), projects, person)


bearer = HTTPBearer(auto_error=False, description="`ls_...`: the token that an administrator gave you.")


def admits(identities: Identities, roles: frozenset[Role]) -> Callable[[str], Awaitable[Principal]]:
    """What lets these roles in and nobody else, by the Authorization header."""

    async def admit(authorization: str) -> Principal:
        principal = await identities.identify(authorization)
        try:
            identities.limits.take(principal.id)
            if principal.role not in roles:
                names = " or ".join(sorted(role.value for role in roles))
                raise forbidden(f"This is for the role {names}; yours is {principal.role.value}.")
        except Problem as refusal:
            refusal.caller = principal.id
            raise
        return principal

    return admit


def requires(identities: Identities, roles: frozenset[Role]) -> Callable[[Request], Awaitable[Principal]]:
    """The same as a dependency of FastAPI."""
    admit = admits(identities, roles)

    async def allowed(request: Request) -> Principal:
        principal = await admit(request.headers.get("authorization", ""))
        request.state.principal_id = principal.id
        return principal

    return allowed


def check_project(principal: Principal, project_id: str) -> None:
    """Refuse a project that is not the caller's, in the words used for one that does not exist.

    Raises:
        Problem: 404.
    """
    if not principal.sees(project_id):
        raise Problem(404, "project_unknown", f"There is no project {project_id!r}.", "See `labelstream project list`.")
