"""Every kind of item from item to stored annotation, its media by a signed link; and links that give nothing."""

import json
import ssl
import threading
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit
from uuid import UUID

import httpx
import pytest
import trustme

from services.assignment.api.links import Links
from services.assignment.domain.links import link
from services.assignment.store.media import TooLargeError
from shared.errors import ConfigurationError
from shared.events import Annotation, Content, MediaContent, Prediction, TextContent
from shared.topics import ANNOTATIONS, ITEMS, PREDICTIONS
from tests.support import events as make
from tests.support.assignment import Replica, settings
from tests.support.events import AT

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
KEY = "t8Qw2mZx7LpRv5NcY9KdHs4JbG6FuEaX"


@dataclass
class Web:
    """An HTTPS server on the loopback that knows ranges, and what it was asked."""

    port: int
    ca_file: Path
    asked: list[str] = field(default_factory=list)

    def uri(self, name: str) -> str:
        return f"https://localhost:{self.port}/pub/{name}"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Generator[Web]:
    directory = tmp_path_factory.mktemp("media")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.headers.get("Range", ""))
            name = self.path.rsplit("/", 1)[-1]
            if name == "moved.png":
                self.send_response(302)
                self.send_header("Location", "/pub/ok.png")
                self.end_headers()
            elif name == "missing.png":
                self.send_error(404)
            elif name == "endless.png":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"x" * 100_000)
            else:
                self._whole_or_part("text/html" if name == "page.png" else "image/png")

        def _whole_or_part(self, media_type: str) -> None:
            wanted = self.headers.get("Range")
            start, end = 0, len(PNG)
            if wanted:
                first, last = wanted.removeprefix("bytes=").split("-")
                start, end = int(first), int(last) + 1 if last else len(PNG)
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(end - start))
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(PNG)}")
            self.end_headers()
            self.wfile.write(PNG[start:end])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    served = Web(server.server_address[1], directory / "ca.pem")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def desk(assignment_url: str, web: Web) -> AsyncGenerator[Replica]:
    """A replica that may reach the loopback and hands on no more than 5,000 bytes."""
    more = {
        "media_key": KEY, "media_max_bytes": 5_000, "media_cafile": web.ca_file,
        "media_networks": (ip_network("127.0.0.0/8"), ip_network("::1/128")),
    }  # fmt: skip
    one = Replica(assignment_url, more=more)
    await one.service.database.connect()
    yield one
    for stop in one.service.stops:
        await stop()
    await one.service.database.close()


BOX = {"x": 1, "y": 2, "width": 3, "height": 4, "label": "cat"}
SQUARE = {"points": [[0, 0], [4, 0], [4, 4]], "label": "cat"}
FRAME = {"frame": 0, "x": 0, "y": 0, "width": 2, "height": 2}
SPAN = {"start": 2, "end": 5, "label": "cat", "id": "a"}
OTHER_SPAN = {"start": 6, "end": 9, "label": "cat", "id": "b"}
TEXT = "😀 Ann Lee"


def mixed(span: dict[str, Any]) -> dict[str, Any]:
    return {"parts": {"mood": {"kind": "choice", "choice": "dog"}, "names": {"kind": "spans", "spans": [span]}}}


ARC = {"head": "a", "tail": "b", "label": "near"}
GIVEN: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "spans": ("text", {"spans": [SPAN]}, {"spans": [{**SPAN, "end": 10}]}, "spans[0].end"),
    "relations": (
        "text", {"spans": [SPAN, OTHER_SPAN], "relations": [ARC]},
        {"spans": [SPAN, OTHER_SPAN], "relations": [{**ARC, "label": "far"}]}, "relations[0].label",
    ),
    "boxes": ("image", {"boxes": [BOX]}, {"boxes": [{**BOX, "width": -1}]}, "boxes.0.width"),
    "polygons": ("image", {"polygons": [SQUARE]}, {"polygons": [{**SQUARE, "label": "owl"}]}, "polygons[0].label"),
    "masks": (
        "image", {"width": 2, "height": 2, "masks": [{"counts": [1, 3], "label": "cat"}]},
        {"width": 2, "height": 2, "masks": [{"counts": [1, 9], "label": "cat"}]}, "add up to 10",
    ),
    "transcript": ("audio", {"text": "hello"}, {"text": "a\x00"}, "text"),
    "segments": (
        "audio", {"segments": [{"start": 0.5, "end": 1, "label": "cat"}]},
        {"segments": [{"start": 1, "end": 0.5, "label": "cat"}]}, "not after its start",
    ),
    "tracks": (
        "video", {"tracks": [{"id": "t", "label": "cat", "frames": [FRAME]}]},
        {"tracks": [{"id": "t", "label": "cat", "frames": [FRAME, FRAME]}]}, "frame 0 follows frame 0",
    ),
    "mixed": ("text", mixed(SPAN), mixed({**SPAN, "end": 10}), "parts.names.spans[0].end"),
}  # fmt: skip
ENDINGS = {"image": "png", "audio": "wav", "video": "mp4"}
TYPES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4"}


async def give(desk: Replica, kind: str, data: str, content: Content, prefixes: tuple[str, ...]) -> None:
    """A project of this kind, and one item of it that a model proposes something for."""
    label: dict[str, Any] = {"kind": kind}
    if kind == "mixed":
        parts = {"mood": "choice", "names": "spans"}
        label["parts"] = {name: {"kind": each, "classes": ("cat", "dog")} for name, each in parts.items()}
    elif kind != "transcript":
        label["classes"] = ("cat", "dog")
    if kind == "relations":
        label["relation_classes"] = ("near",)
    desk.project(make.project_spec(data=data, label=label, uri_prefixes=prefixes))
    await desk.handle(ITEMS, make.item("i1", content=content))
    value = {"kind": kind, **GIVEN[kind][1]}
    scores = None if kind in ("transcript", "relations", "mixed") else (0.6,)
    proposed = {"project_id": make.PROJECT, "item_id": "i1", "value": value, "confidence": 0.6, "model_version": "m1"}
    times = {"item_created_at": AT, "predicted_at": make.at(1)}
    await desk.handle(PREDICTIONS, Prediction.model_validate({**proposed, **times, "object_scores": scores}))


async def one_task(desk: Replica, name: str = "ann") -> tuple[httpx.AsyncClient, dict[str, Any]]:
    client = await desk.person(name)
    (task,) = (await client.post("/v1/next", json={})).json()["tasks"]
    return client, task


@pytest.mark.parametrize("kind", GIVEN)
async def test_every_kind_goes_from_item_to_stored_annotation(
    desk: Replica, web: Web, tmp_path: Path, kind: str
) -> None:
    data, good, bad, place = GIVEN[kind]
    await give(desk, kind, data, shown(data, web, tmp_path), (web.uri(""), tmp_path.as_uri()))
    client, task = await one_task(desk)
    if data == "text":
        assert task["media"] is None
    else:
        await seen_in_a_browser(desk, task["media"]["path"], TYPES[data])
    assert task["proposal"] is None or task["proposal"]["value"]["kind"] == kind
    lease = f"/v1/leases/{task['lease_id']}"
    refused = await client.post(f"{lease}/submit", json={"value": {"kind": kind, **bad}})
    problem = refused.json()
    assert refused.status_code == 422
    assert place in f"{problem['message']} {[one['where'] for one in problem['errors']]}"
    assert problem["action"]
    taken = await client.post(f"{lease}/submit", json={"value": {"kind": kind, **good}})
    assert taken.status_code == 200, taken.text
    (stored,) = await desk.published(ANNOTATIONS)
    assert isinstance(stored, Annotation)
    assert stored.value is not None
    assert stored.value.kind == kind
    assert _holds(json.loads(stored.value.model_dump_json()), good)


def shown(data: str, web: Web, directory: Path) -> Content:
    """An item's content: a text, a picture of the server, or a file."""
    if data == "text":
        return TextContent(text=TEXT)
    file = directory / f"item.{ENDINGS[data]}"
    file.write_bytes(PNG)
    return MediaContent.model_validate({"kind": data, "uri": web.uri("ok.png") if data == "image" else file.as_uri()})


async def seen_in_a_browser(desk: Replica, path: str, media_type: str) -> None:
    """Whose elements send no token."""
    async with desk.client(token="none") as browser:  # no token of anybody
        got = await browser.get(path)
        part = await browser.get(path, headers={"range": "bytes=8-15"})
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, PNG, media_type)
    assert (part.status_code, part.content) == (206, PNG[8:16])
    assert part.headers["content-range"] == f"bytes 8-15/{len(PNG)}"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"].startswith("default-src 'none'")


def _holds(found: Any, given: Any) -> bool:
    """Whether everything that was given is there."""
    if isinstance(given, dict):
        return all(name in found and _holds(found[name], one) for name, one in given.items())
    if isinstance(given, list):
        return len(found) == len(given) and all(map(_holds, found, given))
    return bool(found == given)


async def picture(desk: Replica, web: Web, name: str, *, media_type: str | None = None) -> tuple[Any, str]:
    content = MediaContent(kind="image", uri=web.uri(name), media_type=media_type)
    await give(desk, "boxes", "image", content, (web.uri(""),))
    client, task = await one_task(desk)
    return client, task["media"]["path"]


REFUSED = {
    "moved.png": (502, "media_unavailable", "answered 302"),
    "missing.png": (404, "media_missing", "nothing where the item points"),
    "page.png": (415, "media_type_refused", "no image of a known type"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_its_server_does_not_give_is_told(desk: Replica, web: Web, name: str) -> None:
    status, code, why = REFUSED[name]
    _, path = await picture(desk, web, name)
    async with desk.client() as client:
        found = await client.get(path)
    assert (found.status_code, found.json()["code"]) == (status, code)
    assert why in found.json()["message"]
    assert found.json()["action"]


async def test_a_server_that_sends_without_end_is_cut_off(desk: Replica, web: Web) -> None:
    _, path = await picture(desk, web, "endless.png")
    async with desk.client() as client:
        with pytest.raises(TooLargeError):
            await client.get(path)


async def test_files_too_large_elsewhere_or_behind_a_link_out_are_refused(desk: Replica, tmp_path: Path) -> None:
    inside, secret = tmp_path / "pub", tmp_path / "secret.png"
    inside.mkdir()
    secret.write_bytes(PNG)
    (inside / "big.png").write_bytes(b"x" * 5_001)
    (inside / "out.png").symlink_to(secret)
    (inside / "drawing.svg").write_bytes(b"<svg/>")
    expected = {
        (inside / "big.png").as_uri(): (413, "media_too_large"),
        (inside / "out.png").as_uri(): (403, "media_refused"),
        secret.as_uri(): (403, "media_refused"),
        (inside / "drawing.svg").as_uri(): (415, "media_type_refused"),
        "https://10.0.0.1/pub/a.png": (403, "media_refused"),
        "https://169.254.169.254/latest/a.png": (403, "media_refused"),
        "http://localhost/pub/a.png": (403, "media_refused"),
    }
    prefixes = (inside.as_uri(), "https://10.0.0.1/pub/", "https://169.254.169.254/")
    label = {"kind": "boxes", "classes": ("cat",)}
    desk.project(make.project_spec(data="image", label=label, uri_prefixes=prefixes))
    names = {uri: f"i{number}" for number, uri in enumerate(expected)}
    await desk.handle(
        ITEMS, *(make.item(name, content=MediaContent(kind="image", uri=uri)) for uri, name in names.items())
    )
    await desk.handle(PREDICTIONS, *(make.abstention(name) for name in names.values()))
    ann = await desk.person("ann")
    tasks = (await ann.post("/v1/next", json={"count": 20})).json()["tasks"]
    assert len(tasks) == len(expected)
    for task in tasks:
        found = await ann.get(task["media"]["path"])
        assert (found.status_code, found.json()["code"]) == expected[task["content"]["uri"]], task["content"]["uri"]


async def test_a_link_that_was_changed_or_has_expired_opens_nothing(desk: Replica, web: Web) -> None:
    ann, path = await picture(desk, web, "ok.png")
    parts = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    lease = parts.path.rpartition("/")[2]
    later, sign = str(int(query["expires"]) + 1), query["signature"]
    forged = [
        f"expires={later}&signature={sign}",
        f"expires={query['expires']}&signature={sign[:-1]}{'0' if sign[-1] != '0' else '1'}",
        f"expires={query['expires']}",
        f"expires=-1&signature={sign}",
        f"expires={'9' * 400}&signature={sign}",
        "",
    ]
    asked = len(web.asked)
    for changed in forged:
        found = await ann.get(urlunsplit(parts._replace(query=changed)))
        assert found.status_code == (422 if len(changed) > 300 else 403), changed
        assert found.json()["code"] == ("invalid_request" if len(changed) > 300 else "link_invalid")
    other = await ann.get(path.replace(lease, "00000000-0000-0000-0000-000000000001"))
    assert (other.status_code, other.json()["code"]) == (403, "link_invalid")
    elsewhere = Links(b"another key", 60.0)
    old = link(KEY.encode(), UUID(lease), AT).path
    expired = await ann.get(old)
    assert (expired.status_code, expired.json()["code"]) == (403, "link_expired")
    assert "renew" in expired.json()["action"]
    assert (await ann.get(link(elsewhere.key, UUID(lease), AT).path)).json()["code"] == "link_invalid"
    assert len(web.asked) == asked


async def test_a_renewed_lease_has_a_new_link_and_an_answered_one_has_none(desk: Replica, web: Web) -> None:
    ann, path = await picture(desk, web, "ok.png")
    lease = urlsplit(path).path.rpartition("/")[2]
    renewed = (await ann.post(f"/v1/leases/{lease}/renew")).json()
    assert (await ann.get(renewed["media"]["path"])).status_code == 200
    value = {"kind": "boxes", "boxes": [BOX]}
    assert (await ann.post(f"/v1/leases/{lease}/submit", json={"value": value})).status_code == 200
    over = await ann.get(path)
    assert (over.status_code, over.json()["code"]) == (403, "link_expired")
    assert "over" in over.json()["message"]


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-", 206, (0, len(PNG))),
        ("bytes=-4", 206, (len(PNG) - 4, len(PNG))),
        ("bytes=10-999999", 206, (10, len(PNG))),
        ("bytes=999999-", 416, None),
        ("bytes=0-1,4-5", 200, (0, len(PNG))),
        ("lines=1-2", 200, (0, len(PNG))),
    ],
)
async def test_ranges_of_sound(
    desk: Replica, tmp_path: Path, wanted: str, status: int, part: tuple[int, int] | None
) -> None:
    (tmp_path / "a.wav").write_bytes(PNG)
    content = MediaContent(kind="audio", uri=(tmp_path / "a.wav").as_uri())
    await give(desk, "transcript", "audio", content, (tmp_path.as_uri(),))
    ann, task = await one_task(desk)
    found = await ann.get(task["media"]["path"], headers={"range": wanted})
    assert found.status_code == status
    if part is None:
        assert found.headers["content-range"] == f"bytes */{len(PNG)}"
    else:
        assert found.content == PNG[part[0] : part[1]]
        assert found.headers["accept-ranges"] == "bytes"


def test_a_weak_key_is_refused_and_none_is_drawn(tmp_path: Path) -> None:
    drawn = [Links.of(settings("postgresql://x")).key for _ in range(2)]
    assert drawn[0] != drawn[1]
    assert len(drawn[0]) == 32
    for weak in ("short", "changeme" * 5):
        with pytest.raises(ConfigurationError, match="LABELSTREAM_ASSIGNMENT_MEDIA_KEY"):
            Links.of(settings("postgresql://x", media_key=weak))
    with pytest.raises(ConfigurationError, match="the file of LABELSTREAM_ASSIGNMENT_MEDIA_KEY"):
        Links.of(settings("postgresql://x", media_key_file=tmp_path / "none"))
