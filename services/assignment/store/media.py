"""What an item points at, opened to be handed on: checked, measured, read in parts, never held as a whole."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from shared.runtime.origins import Reach, check_prefix, file_behind, is_file, new_client, request_to

PART = 262_144
OK, PARTIAL, MISSING, UNSATISFIABLE = 200, 206, 404, 416
_RANGE = re.compile(r"^bytes=(\d{1,15})?-(\d{1,15})?$")
_TOTAL = re.compile(r"^bytes (?:\d{1,15}-\d{1,15}|\*)/(\d{1,15})$")

TYPES: Mapping[str, tuple[str, ...]] = {
    "image": ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/avif"),
    "audio": (
        "audio/mpeg",
        "audio/wav",
        "audio/x-wav",
        "audio/ogg",
        "audio/flac",
        "audio/mp4",
        "audio/aac",
        "audio/webm",
    ),
    "video": ("video/mp4", "video/webm", "video/ogg", "video/quicktime"),
}
"""What is handed on, by kind of item. No SVG: it may hold scripts."""
ENDINGS: Mapping[str, tuple[str, ...]] = {
    "image": ("png image/png", "jpg image/jpeg", "jpeg image/jpeg", "webp image/webp", "gif image/gif", "bmp image/bmp",
              "avif image/avif"),
    "audio": ("mp3 audio/mpeg", "wav audio/wav", "ogg audio/ogg", "oga audio/ogg", "opus audio/ogg", "flac audio/flac",
              "m4a audio/mp4", "aac audio/aac", "weba audio/webm"),
    "video": ("mp4 video/mp4", "m4v video/mp4", "webm video/webm", "ogv video/ogg", "mov video/quicktime"),
}  # fmt: skip


class UnavailableError(Exception):
    """What an item points at cannot be had now; says why, without the URI."""


class TooLargeError(Exception):
    """It is larger than this service hands on."""


class MissingError(Exception):
    """There is nothing where the item points."""


class UnsatisfiableError(Exception):
    """The range lies outside of it; the argument is its size."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A response that is about to be handed on.

    Attributes:
        status: 200, or 206 for a part.
        media_type: as its origin calls it; None where it does not say.
        length: bytes of the body; None where the origin does not say.
        part: the value of Content-Range, for a part.
        body: the bytes.
    """

    status: int
    media_type: str | None
    length: int | None
    part: str | None
    body: AsyncIterator[bytes]


@dataclass(slots=True)
class MediaStore:
    """Opens URIs.

    Attributes:
        reach: which servers may be connected to.
        max_bytes: of what is handed on, the whole and not a part of it.
    """

    reach: Reach
    max_bytes: int
    _client: httpx.AsyncClient | None = field(default=None, init=False)

    async def close(self) -> None:
        """Close the connections; they are opened again on the next use."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def opened(self, uri: str, prefixes: Sequence[str], wanted: str | None) -> AsyncGenerator[Opened]:
        """What is behind a URI, or the wanted part of it.

        Args:
            uri: of the item.
            prefixes: that the project allows.
            wanted: the Range header; one that is not a single range of bytes is as if there were none (RFC 9110, 14.2).

        Raises:
            NotAllowedError: the project's prefixes or this service's networks do not allow it.
            MissingError, TooLargeError, UnsatisfiableError, UnavailableError: as they say.
        """
        check_prefix(uri, prefixes)
        asked = wanted if wanted is not None and _is_range(wanted) else None
        way = self._file(uri, prefixes, asked) if is_file(uri) else self._server(uri, asked)
        async with way as found:
            yield found

    @asynccontextmanager
    async def _file(self, uri: str, prefixes: Sequence[str], asked: str | None) -> AsyncGenerator[Opened]:
        try:
            path = await asyncio.to_thread(file_behind, uri, prefixes)
            descriptor = await asyncio.to_thread(_open, path)
        except OSError as error:
            raise UnavailableError(f"the file cannot be read ({type(error).__name__})") from None
        try:
            size = os.fstat(descriptor).st_size
            self._check(size)
            start, end = (0, size) if asked is None else _bounds(asked, size)
            part = None if asked is None else f"bytes {start}-{end - 1}/{size}"
            body = _read(descriptor, start, end)
            yield Opened(OK if part is None else PARTIAL, None, end - start, part, body)
        finally:
            os.close(descriptor)

    @asynccontextmanager
    async def _server(self, uri: str, asked: str | None) -> AsyncGenerator[Opened]:
        if self._client is None:
            self._client = new_client(self.reach)
        try:
            headers = {} if asked is None else {"Range": asked}
            request = await request_to(self._client, uri, self.reach, headers)
            response = await self._client.send(request, stream=True)
        except (httpx.HTTPError, OSError) as error:
            raise UnavailableError(f"its server does not answer ({type(error).__name__})") from None
        try:
            yield self._answered(response, asked)
        finally:
            await response.aclose()

    def _answered(self, response: httpx.Response, asked: str | None) -> Opened:
        status, headers = response.status_code, response.headers
        total = _TOTAL.match(headers.get("content-range", ""))
        if status == MISSING:
            raise MissingError
        if status == UNSATISFIABLE and asked is not None and total:
            raise UnsatisfiableError(int(total[1]))
        if status not in (OK, PARTIAL) or (status == PARTIAL and (asked is None or not total)):
            raise UnavailableError(f"its server answered {status}")
        if headers.get("content-encoding", "identity") != "identity":
            raise UnavailableError("its server sends it compressed")
        announced = headers.get("content-length", "")
        length = int(announced) if announced.isdigit() else None
        self._check(int(total[1]) if total else length or 0)
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower() or None
        part = headers["content-range"] if status == PARTIAL else None
        return Opened(status, media_type, length, part, self._limited(response))

    async def _limited(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The bytes; a server that sends more than it may is cut off."""
        read = 0
        async for part in response.aiter_raw(PART):
            read += len(part)
            if read > self.max_bytes:
                raise TooLargeError
            yield part

    def _check(self, size: int) -> None:
        if size > self.max_bytes:
            raise TooLargeError


def type_of(uri: str, kind: str, said: Sequence[str | None]) -> str | None:
    """The media type to hand it on as; None where none is known that this kind of item may have.

    Args:
        uri: whose ending counts where nobody says anything of use.
        kind: of the item: image, audio or video.
        said: what the item and its origin say, in this order.
    """
    allowed = TYPES.get(kind, ())
    for one in said:
        plain = (one or "").partition(";")[0].strip().lower()
        if plain in allowed:
            return plain
        if plain and plain not in ("application/octet-stream", "binary/octet-stream"):
            return None
    ending = Path(urlsplit(uri).path).suffix.removeprefix(".").lower()
    return dict(one.split(" ") for one in ENDINGS.get(kind, ())).get(ending)


def _is_range(wanted: str) -> bool:
    found = _RANGE.match(wanted)
    return found is not None and any(found.groups())


def _bounds(asked: str, size: int) -> tuple[int, int]:
    """First byte, and the one after the last, of a range that `_is_range` knows."""
    found = _RANGE.match(asked)
    first, last = found.groups() if found else (None, None)
    if first is None:
        start, end = max(0, size - int(last or 0)), size
    else:
        start, end = int(first), size if last is None else min(size, int(last) + 1)
    if start >= end:
        raise UnsatisfiableError(size)
    return start, end


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


async def _read(descriptor: int, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        part = await asyncio.to_thread(os.pread, descriptor, min(PART, end - start), start)
        if not part:
            return
        start += len(part)
        yield part
