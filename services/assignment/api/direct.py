"""The calls that annotators make all day, without the layers of a web framework (docs/decisions/0045).

FastAPI documents these routes from the endpoints that stand for them, and serves everything else.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.types import Message, Receive, Scope, Send

from services.assignment.api.edge import HEADERS, too_large
from services.assignment.api.identity import Principal
from services.assignment.api.refusing import KINDS, Refusals
from services.assignment.api.schemas import IdempotencyKey
from services.assignment.metrics import AssignmentMetrics

M = TypeVar("M", bound=BaseModel)
JSON = "application/json"
OK, BAD_REQUEST = 200, 400
_UUID: TypeAdapter[UUID] = TypeAdapter(UUID)
_KEY: TypeAdapter[str | None] = TypeAdapter(IdempotencyKey)
_LEASE = "/v1/leases/"


class Gone(Exception):  # noqa: N818  # nobody is left to be told of an error
    """The client hung up before its request was complete."""


@dataclass(slots=True)
class Call:
    """One request, read."""

    headers: Mapping[bytes, bytes]
    body: bytes
    lease: str = "-"
    caller: str = "-"

    @property
    def authorization(self) -> str:
        return self.headers.get(b"authorization", b"").decode("latin-1")

    def read(self, model: type[M]) -> M:
        """The body.

        Raises:
            RequestValidationError: it is not JSON, says so, or does not fit.
        """
        kind = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
        if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
            raise RequestValidationError(
                [{"type": "json_type", "loc": ("body",), "msg": f"Content-Type must be {JSON}"}]
            )
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            raise _refused(error, "body") from None

    @property
    def lease_id(self) -> UUID:
        """The lease in the path.

        Raises:
            RequestValidationError: it is no UUID.
        """
        try:
            return _UUID.validate_strings(self.lease)
        except ValidationError as error:
            raise _refused(error, "path", "lease_id") from None

    @property
    def key(self) -> str | None:
        """The Idempotency-Key.

        Raises:
            RequestValidationError: too long, or not printable ASCII.
        """
        found = self.headers.get(b"idempotency-key")
        if found is None:
            return None
        try:
            return _KEY.validate_python(found.decode("latin-1"))
        except ValidationError as error:
            raise _refused(error, "header", "Idempotency-Key") from None


Admit = Callable[[str], Awaitable[Principal]]
Handler = Callable[[Principal, Call], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """A route: who is let in, and what makes the JSON of its response."""

    path: str
    admit: Admit
    handler: Handler


class Direct:
    """POST requests to a few routes."""

    def __init__(
        self, routes: Mapping[str, DirectRoute], *, limit: int, refusals: Refusals, metrics: AssignmentMetrics
    ) -> None:
        self._routes = {path: route for path, route in routes.items() if "{" not in path}
        self._of_lease = {path.rpartition("}")[2]: route for path, route in routes.items() if "{" in path}
        self._limit = limit
        self._refusals = refusals
        self._metrics = metrics
        self._start: Message = {
            "type": "http.response.start",
            "status": OK,
            "headers": [(b"content-type", JSON.encode()), *HEADERS],
        }

    def route(self, scope: Scope) -> tuple[DirectRoute, str] | None:
        """The route of a request, and the lease in its path; None where it is not one of ours."""
        if scope["method"] != "POST":
            return None
        path: str = scope["path"]
        found = self._routes.get(path)
        if found is not None:
            return found, "-"
        if not path.startswith(_LEASE):
            return None
        lease, slash, verb = path[len(_LEASE) :].partition("/")
        found = self._of_lease.get(slash + verb)
        return None if found is None else (found, lease)

    async def serve(self, found: tuple[DirectRoute, str], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        route, lease = found
        started, status = time.perf_counter(), OK
        call = Call(dict(scope["headers"]), b"", lease)
        try:
            principal = await route.admit(call.authorization)
            call.caller = principal.id
            call.body = await self._body(call.headers, receive)
            payload = await route.handler(principal, call)
            start = {**self._start, "headers": [*self._start["headers"], (b"content-length", b"%d" % len(payload))]}
            await send(start)
            await send({"type": "http.response.body", "body": payload})
        except Gone:
            status = BAD_REQUEST
        except KINDS as error:
            action = f"POST {route.path}"
            response = self._refusals.refuse(error, caller=call.caller, action=action, subject=lease)
            status = response.status_code
            response.raw_headers.extend(HEADERS)
            await response(scope, receive, send)
        finally:
            self._metrics.request_seconds.labels(route.path, f"{status // 100}xx").observe(
                time.perf_counter() - started
            )

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._limit:
            raise too_large(self._limit)
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self._limit:
                raise too_large(self._limit)
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)


class Api(FastAPI):
    """FastAPI, with a short way for some routes."""

    direct: Direct | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.direct is not None and scope["type"] == "http" and (found := self.direct.route(scope)) is not None:
            await self.direct.serve(found, scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def dump(model: BaseModel) -> bytes:
    """The JSON of a response."""
    found: bytes = model.__pydantic_serializer__.to_json(model)
    return found


def _refused(error: ValidationError, *place: str) -> RequestValidationError:
    found: list[Any] = error.errors(include_url=False, include_input=False, include_context=False)
    return RequestValidationError([{**one, "loc": (*place, *one["loc"])} for one in found])
