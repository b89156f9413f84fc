"""Connections to PostgreSQL that are cut at a chosen moment, and work that is cancelled at a chosen await."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

BEGIN = b"BEGIN;"


class Cutter:
    """A way to PostgreSQL that is closed when a transaction has come to a given place.

    Attributes:
        url: the address of the way.
        place: which message of a transaction is the last one, BEGIN being 0; None cuts nothing.
        answered: whether the server gets that message, and its answer alone is lost.
        cuts: what the last messages were.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self.url = url
        self.place: int | None = None
        self.answered = False
        self.cuts: list[bytes] = []

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["Cutter"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        host = f"{self._parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"
        self.url = urlunsplit(self._parts._replace(netloc=host))
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        away, toward = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        back = asyncio.create_task(_copy(away, writer))
        try:
            await self._forward(reader, toward, away, back)
        finally:
            back.cancel()
            toward.close()
            writer.close()

    async def _forward(
        self, reader: asyncio.StreamReader, toward: asyncio.StreamWriter, away: asyncio.StreamReader, back: Any
    ) -> None:
        """asyncpg waits for the answer to each message, so what one read gives is one message."""
        place = -1
        while message := await reader.read(1 << 20):
            place = 0 if BEGIN in message else place + 1 if place >= 0 else place
            if self.place is not None and place == self.place:
                self.place = None
                self.cuts.append(message)
                if self.answered:
                    back.cancel()
                    with suppress(asyncio.CancelledError):
                        await back
                    toward.write(message)
                    await away.read(1 << 20)
                return
            toward.write(message)
            place = -1 if b"COMMIT;" in message or b"ROLLBACK;" in message else place


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
    writer.close()


class CancelledAt:
    """Awaits `work`, and cancels the task at its await of that number, from 0; `reached`: whether there was one."""

    def __init__(self, work: Coroutine[Any, Any, Any], number: int) -> None:
        self._work = work
        self._number = number
        self.reached = False

    def __await__(self) -> Generator[Any, Any, None]:
        thrown: BaseException | None = None
        for number in itertools.count():
            try:
                waited = self._work.throw(thrown) if thrown is not None else self._work.send(None)
            except StopIteration:
                return
            if number == self._number:
                self.reached = True
                current = asyncio.current_task()
                if current is not None:
                    current.cancel()
            try:
                yield waited
                thrown = None
            except BaseException as error:  # noqa: BLE001  # is handed on
                thrown = error
