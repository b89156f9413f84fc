"""Who calls: tokens, roles, and what each may touch. Whatever is not permitted here is refused."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from fastapi import Request
from fastapi.security import HTTPBearer

from services.assignment.api.problems import Problem, forbidden, unauthenticated
from services.assignment.jobs import Housekeeping
from services.assignment.settings import AssignmentSettings
from services.assignment.store.people import Person, find_by_token
from shared.events import Audience
from shared.runtime.service import Service

PREFIX = "ls_"
TOKEN_BYTES = 32
MAX_TOKEN_CHARACTERS = 200
CACHE_LIMIT = 10_000


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


class Identities:
    """Checks tokens. A checked one is believed for `token_cache_s`, by each replica for itself."""

    def __init__(self, service: Service, settings: AssignmentSettings, watch: Housekeeping) -> None:
        token = settings.bootstrap_token()
        self._admin = None if token is None else hash_token(token)
        self._service = service
        self._ttl_s = settings.token_cache_s
        self._watch = watch
        self._cache: dict[bytes, tuple[float, Principal | None]] = {}

    def forget(self) -> None:
        """Believe nothing checked before: a person or token has changed."""
        self._cache.clear()

    async def identify(self, request: Request) -> Principal:
        """Who calls.

        Raises:
            Problem: 401, without saying what is wrong with the token.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARACTERS:
            raise unauthenticated()
        digest = hash_token(token)
        now = time.monotonic()
        known = self._cache.get(digest)
        if known is None or known[0] < now:
            if len(self._cache) >= CACHE_LIMIT:
                self._cache.clear()
            known = (now + self._ttl_s, await self._look_up(digest))
            self._cache[digest] = known
        principal = known[1]
        if principal is None:
            raise unauthenticated()
        request.state.principal_id = principal.id
        if principal.person is not None:
            self._watch.saw(principal.id)
        return principal

    async def _look_up(self, digest: bytes) -> Principal | None:
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            return Principal(BOOTSTRAP, Role.ADMIN, None, None)
        async with self._service.database.pool.acquire(timeout=10) as connection:
            found = await find_by_token(connection, digest)
        if found is None or not hmac.compare_digest(digest, found[1]) or not found[0].enabled:
            return None
        person = found[0]
        projects = None if person.projects is None else frozenset(person.projects)
        return Principal(person.id, Role(person.role), projects, person)


bearer = HTTPBearer(auto_error=False, description="`ls_...`: the token that an administrator gave you.")


def requires(identities: Identities, roles: frozenset[Role]) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency that lets these roles in and nobody else."""

    async def allowed(request: Request) -> Principal:
        principal = await identities.identify(request)
        if principal.role not in roles:
            names = " or ".join(sorted(role.value for role in roles))
            raise forbidden(f"This is for the role {names}; yours is {principal.role.value}.")
        return principal

    return allowed


def check_project(principal: Principal, project_id: str) -> None:
    """Refuse a project that is not the caller's, in the words used for one that does not exist.

    Raises:
        Problem: 404.
    """
    if not principal.sees(project_id):
        raise Problem(404, "project_unknown", f"There is no project {project_id!r}.", "See `labelstream project list`.")
