"""Fetching pictures: allowed places, limits, no redirects, no private addresses; one that fails abstains alone."""

import asyncio
import base64
import ipaddress
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cli.stack.kafka.jars import executable
from services.prelabel.domain.preprocess import Pixels
from services.prelabel.domain.questions import Abstained
from services.prelabel.store.media import FetchLimits, MediaFetcher
from shared.events import Abstention, ImageInput, MediaContent
from tests.support import onnx_models as make
from tests.support.prelabel import Prelabel

SPEC = ImageInput(width=4, height=4, channels=1, layout="flat")
PIXELS = np.arange(16, dtype=np.uint8).reshape(4, 4) * 10
AS_READ = Pixels(PIXELS.tobytes(), 4, 4)
ENCODED = base64.b64decode(make.png(PIXELS))
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
CONFIG = """
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
subjectAltName = DNS:localhost
basicConstraints = critical,CA:TRUE
keyUsage = critical,digitalSignature,keyCertSign
"""


@dataclass
class Web:
    """An HTTPS server on the loopback, and the (path, host header) of what it was asked."""

    port: int
    ca_file: Path
    asked: list[tuple[str, str]] = field(default_factory=list)

    def uri(self, path: str) -> str:
        return f"https://localhost:{self.port}/pub/{path}"

    @property
    def prefixes(self) -> tuple[str, ...]:
        return (f"https://localhost:{self.port}/pub/",)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    directory = tmp_path_factory.mktemp("tls")
    config, certificate, key = (directory / name for name in ("openssl.cnf", "cert.pem", "key.pem"))
    config.write_text(CONFIG)
    command = [executable("openssl", "OpenSSL (Debian: openssl)"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-days", "2", "-config", str(config), "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True, timeout=20)  # noqa: S603  # our own command
    return certificate, key


@pytest.fixture
def web(certificate: tuple[Path, Path]) -> Generator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers["Host"]))
            name = self.path.rsplit("/", 1)[-1]
            if name == "moved":
                self.send_response(302)
                self.send_header("Location", "/pub/ok.png")
                self.end_headers()
                return
            self.send_response(404 if name == "missing" else 200)
            self.end_headers()
            if name == "slow":
                time.sleep(2.5)
            self.wfile.write(b"x" * 50_000 if name == "huge" else ENCODED)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    served = Web(server.server_address[1], certificate[0])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def limits(certificate: tuple[Path, Path]) -> FetchLimits:
    return FetchLimits(
        max_bytes=5_000, timeout_s=1.5, batch_timeout_s=5.0, concurrency=4, max_pixels=1_000,
        networks=LOOPBACK, ca_file=certificate[0],
    )  # fmt: skip


@pytest.fixture
async def fetcher(limits: FetchLimits) -> AsyncGenerator[MediaFetcher]:
    async with MediaFetcher.opened(limits) as opened:
        yield opened


def why(found: object) -> str:
    assert isinstance(found, Abstained)
    assert found.reason is Abstention.NOT_FETCHED
    return found.detail


async def test_a_picture_behind_https(web: Web, fetcher: MediaFetcher) -> None:
    uri = web.uri("ok.png")
    assert await fetcher.media([uri], web.prefixes, SPEC) == {uri: AS_READ}
    assert web.asked == [("/pub/ok.png", f"localhost:{web.port}")]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "404"),
        ("moved", "302"),
        ("huge", "limit of 5000 bytes"),
        ("slow", "TimeoutError"),
        ("../x", "normal form"),
    ],
)
async def test_what_fails_abstains_alone(web: Web, fetcher: MediaFetcher, path: str, reason: str) -> None:
    good, bad = web.uri("ok.png"), web.uri(path)
    found = await fetcher.media([bad, good], web.prefixes, SPEC)
    assert reason in why(found[bad])
    assert found[good] == AS_READ
    assert len(web.asked) <= 2  # a redirect was not followed


async def test_a_private_address_is_never_connected_to(web: Web, limits: FetchLimits) -> None:
    async with MediaFetcher.opened(replace(limits, networks=())) as fetcher:
        found = await fetcher.media([web.uri("ok.png")], web.prefixes, SPEC)
    assert "not public" in why(found[web.uri("ok.png")])
    assert web.asked == []


async def test_a_name_with_one_private_address_among_public_ones_is_refused(
    web: Web, limits: FetchLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(2, 1, 6, "", ("93.184.216.34", web.port)), (2, 1, 6, "", ("127.0.0.1", web.port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answers)
    async with MediaFetcher.opened(replace(limits, networks=())) as fetcher:
        found = await fetcher.media([web.uri("ok.png")], web.prefixes, SPEC)
    assert "not public" in why(found[web.uri("ok.png")])


async def test_an_untrusted_certificate_is_refused(web: Web, limits: FetchLimits) -> None:
    async with MediaFetcher.opened(replace(limits, ca_file=None)) as fetcher:
        found = await fetcher.media([web.uri("ok.png")], web.prefixes, SPEC)
    assert "ConnectError" in why(found[web.uri("ok.png")])
    assert web.asked == []


async def test_a_certificate_of_another_host_is_refused(
    web: Web, fetcher: MediaFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def here(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(2, 1, 6, "", ("127.0.0.1", web.port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", here)
    uri = f"https://other.example:{web.port}/pub/ok.png"
    found = await fetcher.media([uri], (f"https://other.example:{web.port}/",), SPEC)
    assert "ConnectError" in why(found[uri])
    assert web.asked == []


async def test_a_batch_of_slow_pictures_ends_in_time(web: Web, limits: FetchLimits) -> None:
    uris = [web.uri(f"{number}/slow") for number in range(30)]
    started = time.monotonic()
    async with MediaFetcher.opened(replace(limits, batch_timeout_s=0.8)) as fetcher:
        found = await fetcher.media(uris, web.prefixes, SPEC)
    assert time.monotonic() - started < 3
    assert "within 0.8 s of its batch" in why(found[uris[-1]])


async def test_files_are_read_inside_their_directory_only(tmp_path: Path, fetcher: MediaFetcher) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret.png"
    allowed.mkdir()
    secret.write_bytes(ENCODED)
    (allowed / "a b.png").write_bytes(ENCODED)
    (allowed / "link.png").symlink_to(secret)
    (allowed / "big.png").write_bytes(b"x" * 50_000)
    (allowed / "broken.png").write_bytes(ENCODED[:40])
    prefixes = (allowed.as_uri(),)
    names = {name: (allowed / name).as_uri() for name in ("a b.png", "link.png", "big.png", "broken.png", "none.png")}
    found = await fetcher.media([*names.values(), secret.as_uri()], prefixes, SPEC)
    assert found[names["a b.png"]] == AS_READ
    assert "leads out" in why(found[names["link.png"]])
    assert "larger than" in why(found[names["big.png"]])
    assert "no such file" in why(found[names["none.png"]])
    assert "no prefix" in why(found[secret.as_uri()])
    broken = found[names["broken.png"]]
    assert isinstance(broken, Abstained)
    assert broken.reason is Abstention.UNREADABLE


async def test_items_that_point_at_files_are_predicted_as_inline_ones(prelabel: Prelabel, tmp_path: Path) -> None:
    trained = make.digits()
    prelabel.project(make.DIGITS, data="image", uri_prefixes=[tmp_path.as_uri()])
    prelabel.register(trained.content, trained.manifest)
    prelabel.promote("m1", 1)
    inline = trained.inputs[:5]
    pointing = []
    for number, content in enumerate(inline):
        assert isinstance(content, MediaContent)
        file = tmp_path / f"{number}.png"
        file.write_bytes(base64.b64decode(content.data or ""))
        pointing.append(MediaContent(kind="image", uri=file.as_uri()))
    pointing.append(MediaContent(kind="image", uri=(tmp_path / "gone.png").as_uri()))
    found = await prelabel.predict(pointing)
    assert [one.distribution for one in found[:5]] == [one.distribution for one in await prelabel.predict(inline)]
    assert found[5].abstention is Abstention.NOT_FETCHED
