"""Files and servers that items point at: how they are reached, and what is never reached through a URI."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from shared.errors import LabelstreamError
from shared.uris import HTTPS_PORT, Network, is_public, refusal


class NotAllowedError(LabelstreamError):
    """Why a URI is not read; the message never holds the URI."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a replica may reach.

    Attributes:
        networks: private networks that may be connected to.
        ca_file: PEM bundle to trust instead of the system's.
        timeout_s: of connecting and of each wait for bytes.
    """

    networks: tuple[Network, ...] = ()
    ca_file: Path | None = None
    timeout_s: float = 10.0


def check_prefix(uri: str, prefixes: Sequence[str]) -> None:
    """Refuse what no prefix of the project allows.

    Raises:
        NotAllowedError: why.
    """
    why_not = refusal(uri, prefixes)
    if why_not is not None:
        raise NotAllowedError(why_not)


def is_file(uri: str) -> bool:
    """Whether a URI names a file."""
    return urlsplit(uri).scheme == "file"


def file_behind(uri: str, prefixes: Sequence[str]) -> Path:
    """The file that a URI names; links are followed, and must stay inside.

    Raises:
        NotAllowedError: it is outside of every allowed directory, or is none.
    """
    path = Path(unquote(urlsplit(uri).path)).resolve()
    roots = [Path(unquote(parts.path)).resolve() for parts in map(urlsplit, prefixes) if parts.scheme == "file"]
    if not any(path.is_relative_to(root) for root in roots):
        raise NotAllowedError("a link leads out of the allowed directory")
    if not path.is_file():
        raise NotAllowedError("there is no such file")
    return path


def new_client(reach: Reach) -> httpx.AsyncClient:
    """A client that follows no redirects and uses no proxy."""
    if reach.ca_file is None:
        context = httpx.create_ssl_context()
    else:
        context = ssl.create_default_context(cafile=str(reach.ca_file))
    return httpx.AsyncClient(verify=context, trust_env=False, follow_redirects=False, timeout=reach.timeout_s)


async def request_to(
    client: httpx.AsyncClient, uri: str, reach: Reach, headers: dict[str, str] | None = None
) -> httpx.Request:
    """A request for an https URI that goes to an address that was checked.

    It goes to the address and not to the name: a second answer of the name server changes nothing.

    Raises:
        NotAllowedError: an address of the host is not public.
        OSError: the host is not known.
    """
    parts = urlsplit(uri)
    host, port = parts.hostname or "", parts.port or HTTPS_PORT
    address = await _resolve(host, port, reach.networks)
    return client.build_request(
        "GET",
        httpx.URL(uri).copy_with(host=address),
        headers={"Host": parts.netloc, "Accept-Encoding": "identity", **(headers or {})},
        extensions={"sni_hostname": host},
    )


async def _resolve(host: str, port: int, networks: Sequence[Network]) -> str:
    """One address of the host, all of which must be allowed."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not is_public(ip_address(address.split("%")[0]), networks):
            raise NotAllowedError("the host has an address that is not public")
    if not addresses:
        raise NotAllowedError("the host has no address")
    return addresses[0]
