"""The HTTP server's bound on headers, and what it writes at once."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from shared.runtime.http import MAX_HEAD_BYTES, BoundedProtocol, Gathering


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
async def port() -> AsyncGenerator[int]:
    app = Starlette(routes=[Route("/", _echo, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=BoundedProtocol, log_level="warning", lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn gives no event
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def _send(port: int, *parts: bytes) -> bytes:
    """What comes back until the server has answered or closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.05)
        return await asyncio.wait_for(reader.read(65_536), 5)
    finally:
        writer.close()


@pytest.mark.parametrize("head", [b"x-long: " + b"a" * MAX_HEAD_BYTES, b"x: y\r\n" * (MAX_HEAD_BYTES // 6 + 1)])
async def test_headers_that_do_not_end_are_refused(port: int, head: bytes) -> None:
    answer = await _send(port, b"POST / HTTP/1.1\r\nhost: x\r\n", head[:40_000], head[40_000:])
    assert answer.startswith(b"HTTP/1.1 400")


async def test_a_large_body_is_not_a_large_head_and_a_connection_is_used_again(port: int) -> None:
    one = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + b"a" * 100_000
    answer = await _send(port, one, one)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.count(b"100000") == 2


class Recorded(asyncio.Transport):
    """What is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def is_closing(self) -> bool:
        return b"" in self.sent

    def close(self) -> None:
        self.sent.append(b"")


async def test_a_head_goes_with_its_body_or_soon_after() -> None:
    transport, head = Recorded(), b"HTTP/1.1 200 OK\r\n\r\n"
    gathering = Gathering(transport, asyncio.get_running_loop())
    gathering.write(head)
    gathering.write(b"body")
    gathering.write(b"more")
    assert transport.sent == [head + b"body", b"more"]
    gathering.write(head)
    await asyncio.sleep(0)
    assert transport.sent == [head + b"body", b"more", head]
    gathering.write(head)
    gathering.close()
    await asyncio.sleep(0)
    assert transport.sent == [head + b"body", b"more", head, head, b""]
