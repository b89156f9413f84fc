"""Routes that read and answer by hand what FastAPI would find out by reflection (docs/decisions/0015).

FastAPI still documents them, from the endpoint that they stand for.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from services.assignment.api.schemas import IdempotencyKey

M = TypeVar("M", bound=BaseModel)
JSON = "application/json"
_UUID: TypeAdapter[UUID] = TypeAdapter(UUID)
_KEY: TypeAdapter[str | None] = TypeAdapter(IdempotencyKey)


def direct(handler: Callable[[Request], Awaitable[Response]]) -> type[APIRoute]:
    """The class of a route that calls `handler` in place of FastAPI's own."""

    class Direct(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
            return handler

    return Direct


async def read(request: Request, model: type[M]) -> M:
    """The body.

    Raises:
        RequestValidationError: it is not JSON, says so, or does not fit.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise RequestValidationError([{"type": "json_type", "loc": ("body",), "msg": f"Content-Type must be {JSON}"}])
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error, "body") from None


def lease_of(request: Request) -> UUID:
    """The lease in the path.

    Raises:
        RequestValidationError: it is no UUID.
    """
    try:
        return _UUID.validate_strings(request.path_params["lease_id"])
    except ValidationError as error:
        raise _refused(error, "path", "lease_id") from None


def key_of(request: Request) -> str | None:
    """The Idempotency-Key.

    Raises:
        RequestValidationError: too long, or not printable ASCII.
    """
    found = request.headers.get("idempotency-key")
    if found is None:
        return None
    try:
        return _KEY.validate_python(found)
    except ValidationError as error:
        raise _refused(error, "header", "Idempotency-Key") from None


def answer(model: BaseModel) -> Response:
    """A response of 200."""
    return Response(model.__pydantic_serializer__.to_json(model), media_type=JSON)


def _refused(error: ValidationError, *place: str) -> RequestValidationError:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return RequestValidationError([{**one, "loc": (*place, *one["loc"])} for one in found])
