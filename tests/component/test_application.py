"""What is mounted in a service answers nothing before the service has started."""

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from shared.runtime.application import Application


async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("project known")(scope, receive, send)


async def health(_: Request) -> PlainTextResponse:
    return PlainTextResponse("alive")


async def test_whoever_comes_while_the_service_starts_is_asked_to_come_again() -> None:
    starting = True
    app = Application([Route("/health", health)], [Mount("", mounted)], None, lambda: starting)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as http:
        early = await http.post("/v1/next")
        assert (early.status_code, early.json()["code"], early.headers["retry-after"]) == (503, "starting", "1")
        assert (await http.get("/health")).text == "alive"
        starting = False
        assert (await http.post("/v1/next")).text == "project known"
