"""Fetching the media that items point at: from allowed places only, with limits on size, time and number."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import httpx

from services.prelabel.domain.preprocess import Media
from services.prelabel.domain.questions import Abstained
from services.prelabel.domain.uris import HTTPS_PORT, Network, is_public, refusal
from services.prelabel.store.inference import decode_media
from shared.errors import LabelstreamError
from shared.events import Abstention, AudioInput, ImageInput


class NotFetchedError(LabelstreamError):
    """Why one URI was not fetched."""


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
        except NotFetchedError as error:
            return Abstained(Abstention.NOT_FETCHED, str(error))
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            return Abstained(Abstention.NOT_FETCHED, f"fetching failed: {type(error).__name__}")
        return await asyncio.to_thread(decode_media, encoded, spec, max_pixels=self._limits.max_pixels)

    async def _read(self, uri: str, prefixes: Sequence[str]) -> bytes:
        why_not = refusal(uri, prefixes)
        if why_not is not None:
            raise NotFetchedError(why_not)
        if urlsplit(uri).scheme == "file":
            return await asyncio.to_thread(self._read_file, uri, prefixes)
        return await self._download(uri)

    def _read_file(self, uri: str, prefixes: Sequence[str]) -> bytes:
        path = Path(unquote(urlsplit(uri).path)).resolve()
        roots = [Path(unquote(parts.path)).resolve() for parts in map(urlsplit, prefixes) if parts.scheme == "file"]
        if not any(path.is_relative_to(root) for root in roots):
            raise NotFetchedError("a link leads out of the allowed directory")
        if not path.is_file():
            raise NotFetchedError("there is no such file")
        with path.open("rb") as file:
            content = file.read(self._limits.max_bytes + 1)
        self._check_size(len(content))
        return content

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_bytes:
            raise NotFetchedError(f"the file is larger than the limit of {self._limits.max_bytes} bytes")

    async def _download(self, uri: str) -> bytes:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port or HTTPS_PORT
        address = await self._resolve(host, port)
        client = self._client
        if client is None:
            client = self._client = self._new_client()
        request = client.build_request(
            "GET",
            httpx.URL(uri).copy_with(host=address),
            headers={"Host": parts.netloc, "Accept-Encoding": "identity"},
            extensions={"sni_hostname": host},
        )
        response = await client.send(request, stream=True)
        try:
            if response.status_code != httpx.codes.OK:
                raise NotFetchedError(f"the server answered {response.status_code}")
            content = bytearray()
            async for part in response.aiter_raw():
                content += part
                self._check_size(len(content))
            return bytes(content)
        finally:
            await response.aclose()

    def _new_client(self) -> httpx.AsyncClient:
        ca_file = self._limits.ca_file
        context = httpx.create_ssl_context() if ca_file is None else _trusting(ca_file)
        return httpx.AsyncClient(
            verify=context, trust_env=False, follow_redirects=False, timeout=self._limits.timeout_s
        )

    async def _resolve(self, host: str, port: int) -> str:
        """One address of the host, all of which must be allowed.

        The connection goes to that address, not to the name: a second answer of the name server changes nothing.
        """
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            if not is_public(ip_address(address.split("%")[0]), self._limits.networks):
                raise NotFetchedError("the host has an address that is not public")
        if not addresses:
            raise NotFetchedError("the host has no address")
        return addresses[0]


def _trusting(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file))
