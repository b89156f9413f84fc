"""Every way of proving who one is, through every client: admin, references, producers, consumers, sources."""

import asyncio
import base64
import gc
import json
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from aiokafka.admin import NewTopic
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from cli.project.commands import apply_spec
from services.prelabel.app import build
from services.prelabel.settings import PrelabelSettings, SourceCredentials
from shared.bus.access import access_of
from shared.bus.acls import Right, rights
from shared.bus.client import make_admin, make_producer
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.events import ProjectSpec
from shared.labels import ChoiceSchema
from shared.runtime.service import Service
from shared.runtime.settings import KafkaSettings
from shared.runtime.transport import Transport
from shared.topics import ITEMS, OPERATOR, PREDICTIONS, PRELABEL
from tests.support.events import AT, PROJECT
from tests.support.probe import items, running, until
from tests.support.secure.authority import Authority, TokenIssuer
from tests.support.secure.kafka import MTLS, OAUTH, OAUTH_SESSION_MS, SCRAM, SecureKafka
from tests.support.servers import plaintext

pytestmark = pytest.mark.timeout(60)
CLIENT_SECRET = "cV7-kq2LmZx9_client"


@pytest.fixture
async def operator(secure: SecureKafka, deployment: str) -> KafkaSettings:
    """Who applied the project."""
    secure.allow(rights(OPERATOR, prefix=deployment))
    settings = secure.settings(OPERATOR, deployment)
    spec = ProjectSpec.model_validate({"project": PROJECT, "data": "text", "label": ChoiceSchema(classes=("a", "b"))})
    await apply_spec(settings, spec, now=AT)
    return settings


async def send(kafka: KafkaSettings, number: int, start: int = 0) -> None:
    async with Publisher(kafka) as publisher:
        await publisher.publish(items(number, start))


def answered(kafka: KafkaSettings, number: int) -> Callable[[], Any]:
    async def check() -> bool:
        return len({record.key for record in await read_all(kafka, PREDICTIONS.name)}) >= number

    return check


def prelabel(kafka: KafkaSettings, directory: Path, **more: Any) -> Service:
    return build(PrelabelSettings(kafka=kafka, model_dir=directory, **more))


async def test_mutual_tls(secure: SecureKafka, deployment: str, operator: KafkaSettings, tmp_path: Path) -> None:
    """The principal is the certificate's common name, so the same ACLs hold."""
    await send(secure.settings(OPERATOR, deployment, MTLS), 20)
    async with running(prelabel(secure.settings(PRELABEL, deployment, MTLS), tmp_path)):
        await until(answered(operator, 20))


async def test_a_token_file_is_read_again_for_every_connection(
    secure: SecureKafka, deployment: str, operator: KafkaSettings, tmp_path: Path
) -> None:
    """The broker ends a session with its token; the next connection offers the one that lies there then."""
    file = tmp_path / "token"
    file.write_text(secure.issuer.token(PRELABEL))
    kafka = secure.settings(PRELABEL, deployment, OAUTH, oauth_token_file=file)
    async with running(prelabel(kafka, tmp_path)) as http:
        await send(operator, 20)
        await until(answered(operator, 20))
        first = file.read_text()
        file.write_text(secure.issuer.token(PRELABEL, life_s=600) + "\n")
        assert file.read_text().strip() != first
        await asyncio.sleep(1.5 * OAUTH_SESSION_MS / 1000)
        await send(operator, 20, 20)
        await until(answered(operator, 40))
        assert (await http.get("/ready")).json() == {"ready": True, "reasons": {}}
        assert access_of(kafka).refusal is None


@asynccontextmanager
async def token_endpoint(authority: Authority, issuer: TokenIssuer, seen: list[str]) -> AsyncGenerator[str]:
    """An identity provider that knows one client; HTTPS by the same CA."""

    async def give(request: Request) -> Response:
        form = (await request.body()).decode()
        seen.append(form)
        if request.headers.get("authorization") != _basic(PRELABEL, CLIENT_SECRET):
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        return JSONResponse({"access_token": issuer.token(PRELABEL), "token_type": "Bearer", "expires_in": 300})

    identity = authority.identity("idp", "127.0.0.1")
    app = Starlette(routes=[Route("/token", give, methods=["POST"])])
    config = uvicorn.Config(
        app, port=0, log_level="warning", ssl_certfile=identity.certificate, ssl_keyfile=identity.key, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110  # it gives no event
                await asyncio.sleep(0.02)
        yield f"https://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/token"
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_tokens_by_client_credentials(
    secure: SecureKafka, deployment: str, operator: KafkaSettings, tmp_path: Path
) -> None:
    seen: list[str] = []
    async with token_endpoint(secure.authority, secure.issuer, seen) as url:
        given = {
            "oauth_token_url": url,
            "oauth_client_id": PRELABEL,
            "oauth_scope": "kafka",
            "oauth_cafile": secure.authority.file,
        }
        kafka = secure.settings(PRELABEL, deployment, OAUTH, **given, oauth_client_secret=CLIENT_SECRET)
        await send(operator, 20)
        async with running(prelabel(kafka, tmp_path)):
            await until(answered(operator, 20))
        assert set(seen) == {"grant_type=client_credentials&scope=kafka"}
        assert len(seen) <= 2  # kept until it is nearly over, not fetched for each of a dozen connections

        wrong = secure.settings(PRELABEL, deployment, OAUTH, **given, oauth_client_secret="vW3-other-secret")
        async with running(prelabel(wrong, tmp_path), wait=False) as http:

            async def says() -> bool:
                text = (await http.get("/ready")).text
                return "refuses the client: 401 invalid_client" in text

            await until(says)


async def test_a_start_that_is_cancelled_leaves_no_connection(secure: SecureKafka, deployment: str) -> None:
    """At any moment of it: a connection that nobody closes is a warning, and so a failure."""
    kafka = secure.settings(PRELABEL, deployment)
    for step in range(40):
        admin = make_admin(kafka)
        starting = asyncio.create_task(admin.start())
        await asyncio.sleep(step / 500)
        starting.cancel()
        await asyncio.wait([starting])
        await admin.close()
    gc.collect()


@pytest.mark.parametrize("listener", [SCRAM, MTLS, OAUTH])
async def test_a_source_with_a_cluster_of_its_own(
    secure: SecureKafka, deployment: str, operator: KafkaSettings, tmp_path: Path, listener: str
) -> None:
    """It is read as another principal, by the credentials that the source names; ours may not read that topic."""
    topic, name = f"shop.{deployment}reviews", "shop"
    inside = plaintext(secure.kafka.bootstrap, "", idempotence=True)
    await create(inside, topic, [json.dumps({"id": f"r{n}", "text": f"review {n}"}).encode() for n in range(30)])
    theirs = secure.settings("stranger", "", listener, **token_of(secure, tmp_path, listener))
    secure.allow(
        [
            Right("stranger", "User:stranger", "topic", topic, "literal", "Read"),
            Right("stranger", "User:stranger", "group", f"{deployment}prelabel.source.", "prefixed", "Read"),
            *(one for one in rights(PRELABEL, prefix=deployment, sources=[topic]) if one.name.endswith("reviews.dlq")),
        ]
    )
    source = {
        "name": "reviews", "topic": topic, "start": "earliest", "map": {"id": "id", "text": "text"},
        "bootstrap_servers": theirs.bootstrap, "credentials": name,
    }  # fmt: skip
    fields = {"project": "shop", "data": "text", "label": ChoiceSchema(classes=("a", "b")), "sources": [source]}
    await apply_spec(operator, ProjectSpec.model_validate(fields), now=AT)
    transport = {key: getattr(theirs, key) for key in theirs.model_fields_set & Transport.model_fields.keys()}
    credentials = {name: SourceCredentials(bootstrap_servers=theirs.bootstrap, **transport)}
    service = prelabel(
        secure.settings(PRELABEL, deployment), tmp_path, source_credentials=credentials, source_poll_s=0.1
    )

    async def mapped() -> bool:
        return len(await read_all(operator, ITEMS.name)) == 30

    async with running(service):
        await until(mapped)


async def test_a_source_that_is_refused_is_said_and_holds_nobody_up(
    secure: SecureKafka, deployment: str, operator: KafkaSettings, tmp_path: Path
) -> None:
    source = {
        "name": "reviews", "topic": "shop.reviews", "start": "earliest", "map": {"id": "id", "text": "text"},
        "bootstrap_servers": secure.kafka.bootstrap_of(SCRAM), "credentials": "shop",
    }  # fmt: skip
    fields = {"project": "shop", "data": "text", "label": ChoiceSchema(classes=("a", "b")), "sources": [source]}
    await apply_spec(operator, ProjectSpec.model_validate(fields), now=AT)
    secure.allow(rights(PRELABEL, prefix=deployment, sources=["shop.reviews"]))
    wrong = SourceCredentials(
        sasl_username="stranger", sasl_password=SecretStr(CLIENT_SECRET), ssl_cafile=secure.authority.file
    )
    own = secure.settings(PRELABEL, deployment)
    service = prelabel(own, tmp_path, source_credentials={"shop": wrong}, source_poll_s=0.1, source_retry_s=0.2)
    with capture_logs() as logs:
        async with running(service):

            async def failing() -> bool:
                return any(one["event"] == "source_interrupted" for one in logs)

            await until(failing)
            await send(operator, 20)
            await until(answered(operator, 20))
    (said,) = (one for one in logs if one["event"] == "access_refused")
    assert "refuses user 'stranger'" in said["detail"]
    assert "sasl_password in LABELSTREAM_PRELABEL_SOURCE_CREDENTIALS['shop']" in said["detail"]
    assert CLIENT_SECRET not in str(logs)


def token_of(secure: SecureKafka, directory: Path, listener: str) -> dict[str, Any]:
    if listener != OAUTH:
        return {}
    file = directory / "stranger.token"
    file.write_text(secure.issuer.token("stranger"))
    return {"oauth_token_file": file}


async def create(kafka: KafkaSettings, topic: str, values: list[bytes]) -> None:
    """A topic that is not ours, with records in it."""
    admin, producer = make_admin(kafka), make_producer(kafka)
    await admin.start()
    await producer.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()
        await admin.close()
