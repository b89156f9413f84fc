"""The assignment service's HTTP API as commands use it."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from cli.output import CommandFailed

TIMEOUT_S = 30.0
KEPT_S = 2.0
"""A connection that rests is kept for so long: less than the service keeps it, which would close it under a request."""


class Api:
    """One caller of the API.

    Args:
        url: base URL of the assignment service.
        token: the caller's token.
        connections: kept open.
    """

    def __init__(self, url: str, token: str, *, connections: int = 4) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            trust_env=False,
            limits=httpx.Limits(max_connections=connections, keepalive_expiry=KEPT_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """GET, as JSON.

        Raises:
            CommandFailed: the service refused; holds its words.
        """
        return _body(await self._client.get(path, params=query))

    async def post(self, path: str, body: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """POST, as JSON; `key` is the Idempotency-Key.

        Raises:
            CommandFailed: the service refused; holds its words.
        """
        headers = {"idempotency-key": key} if key is not None else {}
        return _body(await self._client.post(path, json=body, headers=headers))

    async def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """PUT, as JSON.

        Raises:
            CommandFailed: the service refused; holds its words.
        """
        return _body(await self._client.put(path, json=body))


def _body(response: httpx.Response) -> dict[str, Any]:
    if response.is_success:
        found: dict[str, Any] = response.json() if response.content else {}
        return found
    request = response.request
    raise CommandFailed(
        f"{request.method} {request.url.path} was refused: {response.status_code} {response.text[:500]}"
    )
