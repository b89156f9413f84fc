"""The FastAPI application: routes, and how refusals look."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.assignment.api.admins import admin_routes
from services.assignment.api.desk import Desk
from services.assignment.api.edge import Edge
from services.assignment.api.golden import gold_routes
from services.assignment.api.identity import Identities
from services.assignment.api.leads import lead_routes
from services.assignment.api.problems import Problem, ProblemBody, explain_validation, principal_of, respond
from services.assignment.api.workers import worker_routes
from services.assignment.jobs import Housekeeping
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from services.assignment.store.people import LogLine
from shared.db.database import INFRASTRUCTURE
from shared.errors import RetryLater
from shared.runtime.service import Service

ABOUT = """Annotators take tasks (`/v1/next`), renew, answer or skip them. Leads see the queue and act on behalf of
people. Administrators add people. Every call carries `Authorization: Bearer ls_...`; every refusal is problem+json with
a `code`, a `message` and an `action`."""

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody, "description": about}
    for status, about in (
        (401, "No valid token."),
        (403, "Not for this role or person."),
        (404, "No such thing, or not yours."),
        (409, "Too late, or taken."),
        (413, "Too large."),
        (422, "The request is wrong; says what and where."),
        (503, "Not now; try again."),
    )
}
"""Responses that every operation may give."""


def make_api(
    service: Service, settings: AssignmentSettings, metrics: AssignmentMetrics, watch: Housekeeping
) -> FastAPI:
    """The application, to be mounted at `/`."""
    identities = Identities(service, settings, watch)
    desk = Desk(service, settings, metrics, identities)
    api = FastAPI(
        title="Labelstream assignment",
        version="1",
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        responses=PROBLEMS,
    )
    api.add_middleware(Edge, limit=settings.body_limit_bytes, metrics=metrics)
    api.include_router(worker_routes(desk))
    api.include_router(lead_routes(desk))
    api.include_router(gold_routes(desk))
    api.include_router(admin_routes(desk))
    refuse = _refusing(metrics, watch)
    api.add_exception_handler(Problem, refuse)
    api.add_exception_handler(RequestValidationError, refuse)
    api.add_exception_handler(HTTPException, refuse)
    for kind in (RetryLater, *INFRASTRUCTURE):
        api.add_exception_handler(kind, refuse)
    return api


def _refusing(metrics: AssignmentMetrics, watch: Housekeeping) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def refuse(request: Request, error: Exception) -> Response:
        problem = _problem(error)
        metrics.refusals.labels(problem.code).inc()
        route = getattr(request.scope.get("route"), "path", "other")
        subject = str(request.path_params.get("lease_id", request.path_params.get("project_id", "-")))
        watch.refused(LogLine(principal_of(request), f"{request.method} {route}", problem.code, subject[:200]))
        return respond(problem, {"retry-after": "1"} if problem.status == 503 else None)  # noqa: PLR2004

    return refuse


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return explain_validation(list(error.errors()))
    if isinstance(error, HTTPException):
        codes = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
        code = codes.get(error.status_code, "refused")
        return Problem(error.status_code, code, str(error.detail), "Correct the request; /openapi.json describes it.")
    return Problem(503, "unavailable", "The service cannot reach its database or broker.", "Try the same call again.")
