"""Which URIs may be fetched, and from which addresses."""

import posixpath
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from urllib.parse import unquote, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HTTPS_PORT = 443
_EMBEDS_IPV4 = tuple(ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))


def refusal(uri: str, prefixes: Sequence[str]) -> str | None:
    """Why a URI may not be fetched, or None where one of the project's prefixes allows it.

    Prefixes are compared by their parts, never as text: `https://a.example/img` allows neither `https://a.example.evil/`
    nor `https://a.example/images`.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return "the URI does not parse"
    if parts.scheme not in ("https", "file"):
        return f"scheme {parts.scheme!r} is never fetched; https and file are"
    if parts.username is not None or parts.password is not None:
        return "the URI holds credentials"
    path = unquote(parts.path)
    if "\\" in path or "\x00" in path or posixpath.normpath(path) != (path.rstrip("/") or "/"):
        return "the URI's path is not in normal form"
    if any(_covers(prefix, parts.scheme, (parts.hostname or "", port or HTTPS_PORT), path) for prefix in prefixes):
        return None
    return "no prefix in the project's uri_prefixes allows the URI"


def _covers(prefix: str, scheme: str, server: tuple[str, int], path: str) -> bool:
    try:
        allowed = urlsplit(prefix)
        allowed_server = (allowed.hostname or "", allowed.port or HTTPS_PORT)
    except ValueError:
        return False
    root = unquote(allowed.path).rstrip("/")
    return (
        (allowed.scheme, allowed_server) == (scheme, server)
        and (scheme != "file" or root != "")
        and (path == root or path.startswith(f"{root}/"))
    )


def is_public(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether an address may be connected to: a public one, or in a network that the operator allows by settings."""
    plain: Address = address
    if isinstance(address, IPv6Address):
        plain = address.ipv4_mapped or address
    if any(plain.version == network.version and plain in network for network in allowed):
        return True
    if isinstance(plain, IPv6Address) and any(plain in network for network in _EMBEDS_IPV4):
        return False
    return plain.is_global and not plain.is_multicast and not plain.is_reserved
