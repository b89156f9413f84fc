"""A refusal is remembered, said, waited out with growing pauses, and forgotten."""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from structlog.testing import capture_logs

from shared.bus import access as module
from shared.bus.access import SHOWN_S, Access, access_of
from shared.bus.client import make_admin
from shared.errors import AccessRefused, ConfigurationError
from shared.runtime.settings import KafkaSettings
from tests.support.secure.authority import Authority


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def settings(bootstrap: str = "k:9093", **more: object) -> KafkaSettings:
    given = {"bootstrap": bootstrap, "sasl_username": "qc", "sasl_password": "Tz5-wLq9_rX2", **more}
    return KafkaSettings.model_validate(given)


def test_a_missing_right_is_shown_while_it_is_met() -> None:
    clock = Clock()
    access = Access(settings(), clock)
    with capture_logs() as logs:
        for _ in range(30):
            assert access.notice(TopicAuthorizationFailedError("lab.labels.v1")) is not None
            clock.now += 1.0
    assert access.refusal == (
        "Kafka does not let user 'qc' use topic lab.labels.v1;"
        " `labelstream topics acls` prints what every principal needs"
    )
    assert [one["event"] for one in logs] == ["access_refused"]  # once a minute
    clock.now += SHOWN_S
    assert access.refusal is None


def test_what_is_hidden_in_a_cause_is_found() -> None:
    access = Access(settings())
    outer = KafkaError("Unexpected error during batch delivery")
    outer.__cause__ = GroupAuthorizationFailedError("lab.qc.annotations.v1")
    with pytest.raises(AccessRefused, match=r"use group lab\.qc\.annotations\.v1"):
        access.check(outer)
    assert Access(settings()).notice(KafkaError("something else")) is None


def test_the_same_credentials_share_what_is_known() -> None:
    assert access_of(settings()) is access_of(settings())
    assert access_of(settings()) is not access_of(settings(sasl_password="Other-x8Wq2zP"))
    assert access_of(settings()) is not access_of(settings("other:9093"))


@asynccontextmanager
async def counting_server(authority: Authority) -> AsyncGenerator[tuple[int, list[float]]]:
    """TLS with a certificate that has expired; counts who knocks."""
    identity = authority.identity("server", "127.0.0.1", expired=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    knocks: list[float] = []

    async def on_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        knocks.append(asyncio.get_running_loop().time())
        try:
            await writer.start_tls(context)
        except OSError:
            pass
        finally:
            writer.close()
        del reader

    server = await asyncio.start_server(on_tcp, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], knocks


async def test_a_server_that_refuses_is_not_hammered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients try every few milliseconds; the network sees pauses that double."""
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.1)
    authority = Authority(tmp_path)
    async with counting_server(authority) as (port, knocks):
        kafka = settings(f"127.0.0.1:{port}", ssl_cafile=authority.file)
        started = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - started < 1.2:
            admin = make_admin(kafka)
            with pytest.raises(AccessRefused, match="has expired"):
                await admin.start()
            await admin.close()
            await asyncio.sleep(0.005)
    assert "has expired" in (access_of(kafka).refusal or "")
    gaps = [later - earlier for earlier, later in pairwise(knocks)]
    assert 3 <= len(knocks) <= 5, gaps
    assert all(later > 1.5 * earlier for earlier, later in pairwise(gaps)), gaps


async def test_files_that_vanish_are_a_refusal_not_a_crash(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("Tz5-wLq9_rX2")
    kafka = KafkaSettings(bootstrap="127.0.0.1:1", sasl_username="qc", sasl_password_file=password)
    admin = make_admin(kafka)
    password.unlink()
    with pytest.raises(AccessRefused):
        await admin.start()
    await admin.close()
    assert "there are no credentials to offer: the SASL password file cannot be read" in (
        access_of(kafka).refusal or ""
    )
    with pytest.raises(ConfigurationError, match="password file"):
        make_admin(kafka)


async def test_a_port_that_speaks_something_else_is_named() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        kafka = settings(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        admin = make_admin(kafka)
        with pytest.raises(AccessRefused):
            await admin.start()
        await admin.close()
    assert "does not speak TLS there; check the port and LABELSTREAM_KAFKA_SECURITY_PROTOCOL" in (
        access_of(kafka).refusal or ""
    )


async def test_a_renewed_certificate_is_taken_for_the_next_connection(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    kafka = settings(ssl_cafile=authority.file)
    first = access_of(kafka)._context()
    assert access_of(kafka)._context() is first
    assert first is not None
    authority.file.write_bytes(other.file.read_bytes())
    os.utime(authority.file, ns=(1, 1))
    second = access_of(kafka)._context()
    assert second is not None
    assert second.get_ca_certs() != first.get_ca_certs()
