"""From errors to refusals: a problem for the caller, a count, a line of the request log."""

from collections.abc import Mapping

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.assignment.api.problems import Problem, explain_validation, respond
from services.assignment.jobs import Housekeeping
from services.assignment.metrics import AssignmentMetrics
from services.assignment.store.audit import LogLine
from shared.db.database import INFRASTRUCTURE
from shared.errors import RetryLater

KINDS: tuple[type[Exception], ...] = (Problem, RequestValidationError, HTTPException, RetryLater, *INFRASTRUCTURE)
"""What becomes a refusal; anything else is a mistake of ours."""
UNAVAILABLE = 503


class Refusals:
    """What is refused, wherever it was raised."""

    def __init__(self, metrics: AssignmentMetrics, watch: Housekeeping) -> None:
        self._metrics = metrics
        self._watch = watch

    async def handle(self, request: Request, error: Exception) -> Response:
        """An exception handler of FastAPI."""
        route = getattr(request.scope.get("route"), "path", "other")
        subject = str(request.path_params.get("lease_id", request.path_params.get("project_id", "-")))
        caller = getattr(request.state, "principal_id", "-")
        return self.refuse(error, caller=caller, action=f"{request.method} {route}", subject=subject)

    def refuse(self, error: Exception, *, caller: str, action: str, subject: str) -> Response:
        """The response; the refusal is counted, and will be logged."""
        problem = _problem(error)
        self._metrics.refusals.labels(problem.code).inc()
        self._watch.refused(LogLine(problem.caller or caller, action, problem.code, subject[:200]))
        headers: Mapping[str, str] | None = problem.headers
        if headers is None and problem.status == UNAVAILABLE:
            headers = {"retry-after": "1"}
        return respond(problem, headers)


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return explain_validation(list(error.errors()))
    if isinstance(error, HTTPException):
        codes = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
        code = codes.get(error.status_code, "refused")
        return Problem(error.status_code, code, str(error.detail), "Correct the request; /openapi.json describes it.")
    return Problem(
        UNAVAILABLE, "unavailable", "The service cannot reach its database or broker.", "Try the same call again."
    )
