"""What a refused request gets: RFC 9457 problem details with a code, a message, and what to do."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


class Mistake(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="Path of the field, as in `body.value.choice`.")
    what: str


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:labelstream:problem:lease_expired"])
    title: str
    status: int
    code: str = Field(description="Stable, for programs.", examples=["lease_expired"])
    message: str = Field(description="What happened.")
    action: str = Field(description="What to do.")
    errors: list[Mistake] = Field(default_factory=list)


class Problem(Exception):  # noqa: N818  # a response, not a failure
    """Raised by an endpoint to refuse a request."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        action: str,
        *,
        errors: list[Mistake] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.action = action
        self.errors = errors or []
        self.headers = headers
        self.caller: str | None = None

    def body(self) -> ProblemBody:
        """As it goes out."""
        return ProblemBody(
            type=f"urn:labelstream:problem:{self.code}",
            title=self.code.replace("_", " "),
            status=self.status,
            code=self.code,
            message=self.message,
            action=self.action,
            errors=self.errors,
        )


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response of a problem."""
    extra = dict(headers or {})
    if problem.status == 401:  # noqa: PLR2004
        extra["www-authenticate"] = 'Bearer realm="labelstream"'
    return JSONResponse(problem.body().model_dump(), problem.status, extra, MEDIA_TYPE)


def unauthenticated() -> Problem:
    return Problem(
        401,
        "unauthenticated",
        "The request has no valid token.",
        "Send `Authorization: Bearer ls_...` with the token you were given; ask an administrator for a new one.",
    )


def forbidden(what: str) -> Problem:
    return Problem(403, "forbidden", what, "Ask an administrator for the role or the project.")


def lease_unknown() -> Problem:
    return Problem(404, "lease_unknown", "You hold no such lease.", "Get a task from POST /v1/next.")


def lease_expired() -> Problem:
    return Problem(
        409,
        "lease_expired",
        "The lease ran out before this call; nothing was counted and the task went back to the queue.",
        "Get the next task; renew leases (POST /v1/leases/{id}/renew) while you work on them.",
    )


def lease_finished() -> Problem:
    return Problem(
        409,
        "lease_finished",
        "This task has been answered or skipped already, and not with this answer; the first one stands.",
        "Get the next task.",
    )


def invalid_label(where: str, what: str) -> Problem:
    return Problem(
        422,
        "invalid_label",
        f"{where}: {what}",
        "Correct the value; the lease is still yours.",
        errors=[Mistake(where=where, what=what)],
    )


def key_reused() -> Problem:
    return Problem(
        422,
        "idempotency_key_reused",
        "This Idempotency-Key was used for a request with another body.",
        "Take a new key for each new request; repeat a request only with its own body.",
    )


def project_unknown(project_id: str) -> Problem:
    return Problem(404, "project_unknown", f"There is no project {project_id!r}.", "See `labelstream project list`.")


def explain_validation(errors: list[Any]) -> Problem:
    """The problem of a body or parameter that does not fit its schema; never repeats the input."""
    mistakes = [
        Mistake(where=".".join(str(part) for part in error["loc"]), what=str(error["msg"])[:500])
        for error in errors[:20]
    ]
    first = mistakes[0] if mistakes else Mistake(where="body", what="invalid")
    return Problem(
        422,
        "invalid_request",
        f"{first.where}: {first.what}",
        "Correct the request; /openapi.json describes it.",
        errors=mistakes,
    )
