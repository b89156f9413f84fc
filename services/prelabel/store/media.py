"""Fetching the media that items point at: from allowed places only, with limits on size, time and number."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from services.prelabel.domain.preprocess import Media
from services.prelabel.domain.questions import Abstained
from services.prelabel.store.inference import decode_media
from shared.events import Abstention, AudioInput, ImageInput
from shared.runtime.origins import NotAllowedError, Reach, check_prefix, file_behind, is_file, new_client, request_to
from shared.uris import Network


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Limits of one replica.

    Attributes:
        max_bytes: of one file.
        timeout_s: of one file.
        batch_timeout_s: of all files of one batch.
        concurrency: files in flight.
        max_pixels: of one picture.
        networks: private networks that may be connected to.
        ca_file: PEM bundle to trust instead of the system's.
    """

    max_bytes: int
    timeout_s: float
    batch_timeout_s: float
    concurrency: int
    max_pixels: int
    networks: tuple[Network, ...] = ()
    ca_file: Path | None = None


class MediaFetcher:
    """Fetches and decodes. Redirects are not followed, proxies and compression are not used."""

    def __init__(self, limits: FetchLimits) -> None:
        self._limits = limits
        self._reach = Reach(limits.networks, limits.ca_file, limits.timeout_s)
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._client: httpx.AsyncClient | None = None

    @classmethod
    @asynccontextmanager
    async def opened(cls, limits: FetchLimits) -> AsyncGenerator[Self]:
        """A fetcher that closes its connections at the end."""
        fetcher = cls(limits)
        try:
            yield fetcher
        finally:
            await fetcher.close()

    async def close(self) -> None:
        """Close the connections; they are opened again on the next use."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def media(
        self, uris: Collection[str], prefixes: Sequence[str], spec: ImageInput | AudioInput
    ) -> dict[str, Media | Abstained]:
        """What is behind each URI (see `decode_media`), or why nothing is. Never raises for a URI."""
        late = Abstained(Abstention.NOT_FETCHED, f"not fetched within {self._limits.batch_timeout_s:g} s of its batch")
        found: dict[str, Media | Abstained] = dict.fromkeys(uris, late)

        async def fetch(uri: str) -> None:
            async with self._slots:
                found[uri] = await self._one(uri, prefixes, spec)

        try:
            async with asyncio.timeout(self._limits.batch_timeout_s), asyncio.TaskGroup() as group:
                for uri in found:
                    group.create_task(fetch(uri))
        except TimeoutError:
            pass
        return found

    async def _one(self, uri: str, prefixes: Sequence[str], spec: ImageInput | AudioInput) -> Media | Abstained:
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                encoded = await self._read(uri, prefixes)
        except NotAllowedError as error:
            return Abstained(Abstention.NOT_FETCHED, str(error))
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            return Abstained(Abstention.NOT_FETCHED, f"fetching failed: {type(error).__name__}")
        return await asyncio.to_thread(decode_media, encoded, spec, max_pixels=self._limits.max_pixels)

    async def _read(self, uri: str, prefixes: Sequence[str]) -> bytes:
        check_prefix(uri, prefixes)
        if is_file(uri):
            return await asyncio.to_thread(self._read_file, uri, prefixes)
        return await self._download(uri)

    def _read_file(self, uri: str, prefixes: Sequence[str]) -> bytes:
        with file_behind(uri, prefixes).open("rb") as file:
            content = file.read(self._limits.max_bytes + 1)
        self._check_size(len(content))
        return content

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_bytes:
            raise NotAllowedError(f"the file is larger than the limit of {self._limits.max_bytes} bytes")

    async def _download(self, uri: str) -> bytes:
        if self._client is None:
            self._client = new_client(self._reach)
        client = self._client
        response = await client.send(await request_to(client, uri, self._reach), stream=True)
        try:
            if response.status_code != httpx.codes.OK:
                raise NotAllowedError(f"the server answered {response.status_code}")
            content = bytearray()
            async for part in response.aiter_raw():
                content += part
                self._check_size(len(content))
            return bytes(content)
        finally:
            await response.aclose()
