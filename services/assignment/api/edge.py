"""The edge of the API: size limit, security headers, timing. Plain ASGI, so that a response is never copied."""

import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.assignment.api.problems import Problem, respond
from services.assignment.metrics import AssignmentMetrics

TOO_LARGE = 413
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Edge:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, limit: int, metrics: AssignmentMetrics) -> None:
        self._app = app
        self._limit = limit
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def send_safe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        try:
            if _announced(scope) > self._limit:
                self._metrics.refusals.labels("too_large").inc()
                await respond(too_large(self._limit))(scope, receive, send_safe)
            else:
                await self._app(scope, self._limited(receive), send_safe)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request_seconds.labels(route, f"{status // 100}xx").observe(time.perf_counter() - started)

    def _limited(self, receive: Receive) -> Receive:
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > self._limit:
                    raise HTTPException(TOO_LARGE, f"The request is larger than {self._limit} bytes.")
            return message

        return limited


def too_large(limit: int) -> Problem:
    return Problem(
        TOO_LARGE, "too_large", f"The request is larger than {limit} bytes.", "Send it in several smaller ones."
    )


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
