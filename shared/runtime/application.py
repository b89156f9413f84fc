"""The ASGI application of a service: its own routes, and what is mounted beside them."""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send


class Application(Starlette):
    """Starlette, with a short way to what is mounted at the root: that has error handling and routing of its own."""

    def __init__(self, routes: Sequence[Route], mounts: Sequence[Mount], lifespan: Callable[[Any], Any]) -> None:
        super().__init__(routes=[*routes, *mounts], lifespan=lifespan)
        self._own = frozenset(route.path for route in routes)
        self._root = next((mount.app for mount in mounts if not mount.path), None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._root is not None and scope["type"] == "http" and scope["path"] not in self._own:
            await self._root(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
