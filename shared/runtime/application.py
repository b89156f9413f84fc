"""The ASGI application of a service: its own routes, and what is mounted beside them."""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

STARTING = {
    "type": "urn:labelstream:problem:starting",
    "title": "starting",
    "status": 503,
    "code": "starting",
    "message": "The service is starting and does not know its projects yet.",
    "action": "Send the same request again in a second.",
    "errors": [],
}


class Application(Starlette):
    """Starlette, with a short way to what is mounted at the root: that has error handling and routing of its own.

    What is mounted answers nothing before the service has started: it would call known projects unknown.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        mounts: Sequence[Mount],
        lifespan: Callable[[Any], Any],
        starting: Callable[[], bool],
    ) -> None:
        super().__init__(routes=[*routes, *mounts], lifespan=lifespan)
        self._starting = starting
        self._own = frozenset(route.path for route in routes)
        self._root = next((mount.app for mount in mounts if not mount.path), None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        mounted = scope["type"] == "http" and scope["path"] not in self._own
        if mounted and self._starting():
            answer = JSONResponse(STARTING, 503, {"retry-after": "1"}, "application/problem+json")
            await answer(scope, receive, send)
        elif mounted and self._root is not None:
            await self._root(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
