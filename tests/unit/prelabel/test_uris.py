"""What may be fetched, and from where."""

from ipaddress import ip_address, ip_network

import pytest

from shared.uris import is_public, refusal

PREFIXES = ("https://img.example.com/pub", "https://cdn.example.com:8443/", "file:///data/images")


@pytest.mark.parametrize(
    "uri",
    [
        "https://img.example.com/pub/a.png",
        "https://IMG.example.com:443/pub/a.png?v=2",
        "https://cdn.example.com:8443/x",
        "file:///data/images/a%20b.png",
    ],
)
def test_allowed(uri: str) -> None:
    assert refusal(uri, PREFIXES) is None


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("https://img.example.com/public/a.png", "no prefix"),
        ("https://img.example.com.evil.org/pub/a.png", "no prefix"),
        ("https://img.example.com@evil.org/pub/a.png", "credentials"),
        ("https://user:pw@img.example.com/pub/a.png", "credentials"),
        ("https://img.example.com/pub/../secret", "normal form"),
        ("https://img.example.com/pub/%2e%2e/secret", "normal form"),
        ("https://img.example.com/pub/..\\secret", "normal form"),
        ("https://cdn.example.com/x", "no prefix"),
        ("https://img.example.com:99999/pub/a", "does not parse"),
        ("http://img.example.com/pub/a.png", "never fetched"),
        ("ftp://img.example.com/pub/a.png", "never fetched"),
        ("file:///data/images/../../etc/passwd", "normal form"),
        ("file:///etc/passwd", "no prefix"),
        ("file://host/data/images/a.png", "no prefix"),
    ],
)
def test_refused(uri: str, why: str) -> None:
    assert why in (refusal(uri, PREFIXES) or "")


def test_the_root_of_the_file_system_is_no_prefix() -> None:
    assert refusal("file:///etc/passwd", ("file:///",)) is not None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",  # noqa: S104  # an address to refuse
        "::1", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:a00:1::",
        "2001:0:1::1", "ff02::1", "::",
    ],
)  # fmt: skip
def test_private_addresses(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


def test_an_operator_may_allow_a_private_network() -> None:
    allowed = (ip_network("10.20.0.0/16"),)
    assert is_public(ip_address("10.20.1.1"), allowed)
    assert is_public(ip_address("::ffff:10.20.1.1"), allowed)
    assert not is_public(ip_address("10.21.1.1"), allowed)
