"""Whoever is refused says by whom and what to check, is not ready, and comes back by itself once it is put right."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import uvloop
from structlog.testing import capture_logs

from cli.project.commands import apply_spec
from services.prelabel.app import build
from services.prelabel.settings import PrelabelSettings
from shared.bus import access
from shared.bus.acls import Right, rights
from shared.bus.client import make_admin
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.errors import AccessRefused
from shared.events import ProjectSpec
from shared.labels import ChoiceSchema
from shared.runtime.service import Service
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS, OPERATOR, PREDICTIONS, PRELABEL, PROJECTS
from tests.support.events import AT, PROJECT
from tests.support.probe import items, running, until
from tests.support.secure.authority import Authority, TokenIssuer
from tests.support.secure.kafka import EXPIRED, MTLS, OAUTH, SCRAM, SecureKafka

pytestmark = pytest.mark.timeout(60)
WRONG = "Wrong-8fJq2xPz"
Case = Callable[[SecureKafka, str, Path], KafkaSettings]


def prelabel(kafka: KafkaSettings, directory: Path) -> Service:
    return build(PrelabelSettings(kafka=kafka, model_dir=directory))


def wrong_password(secure: SecureKafka, prefix: str, _: Path) -> KafkaSettings:
    return secure.settings(PRELABEL, prefix, sasl_password=WRONG)


def unknown_user(secure: SecureKafka, prefix: str, _: Path) -> KafkaSettings:
    return secure.settings(PRELABEL, prefix, sasl_username="nobody")


def untrusted_server(secure: SecureKafka, prefix: str, path: Path) -> KafkaSettings:
    return secure.settings(PRELABEL, prefix, ssl_cafile=Authority(path / "other").file)


def expired_server(secure: SecureKafka, prefix: str, _: Path) -> KafkaSettings:
    return secure.settings(PRELABEL, prefix, EXPIRED)


def other_host(secure: SecureKafka, prefix: str, _: Path) -> KafkaSettings:
    by_name = secure.kafka.bootstrap_of(SCRAM).replace("127.0.0.1", "localhost")
    return secure.settings(PRELABEL, prefix, bootstrap=by_name)


def no_client_certificate(secure: SecureKafka, prefix: str, _: Path) -> KafkaSettings:
    return secure.settings(PRELABEL, prefix, MTLS, ssl_certfile=None, ssl_keyfile=None)


def expired_client(secure: SecureKafka, prefix: str, _: Path) -> KafkaSettings:
    old = secure.authority.identity("old", common_name=PRELABEL, expired=True)
    return secure.settings(PRELABEL, prefix, MTLS, ssl_certfile=old.certificate, ssl_keyfile=old.key)


def untrusted_client(secure: SecureKafka, prefix: str, path: Path) -> KafkaSettings:
    forged = Authority(path / "other").identity("forged", common_name=PRELABEL)
    return secure.settings(PRELABEL, prefix, MTLS, ssl_certfile=forged.certificate, ssl_keyfile=forged.key)


def expired_token(secure: SecureKafka, prefix: str, path: Path) -> KafkaSettings:
    return with_token(secure, prefix, path, secure.issuer.token(PRELABEL, life_s=-120))


def forged_token(secure: SecureKafka, prefix: str, path: Path) -> KafkaSettings:
    return with_token(secure, prefix, path, TokenIssuer().token(PRELABEL))


def token_for_others(secure: SecureKafka, prefix: str, path: Path) -> KafkaSettings:
    return with_token(secure, prefix, path, secure.issuer.token(PRELABEL, aud="billing"))


def no_token(secure: SecureKafka, prefix: str, path: Path) -> KafkaSettings:
    return with_token(secure, prefix, path, "")


def other_mechanism(secure: SecureKafka, prefix: str, _: Path) -> KafkaSettings:
    return secure.settings(PRELABEL, prefix, bootstrap=secure.kafka.bootstrap_of(OAUTH))


def with_token(secure: SecureKafka, prefix: str, path: Path, token: str) -> KafkaSettings:
    file = path / "token"
    file.write_text(token)
    return secure.settings(PRELABEL, prefix, OAUTH, oauth_token_file=file)


REFUSALS: dict[Case, tuple[str, ...]] = {
    wrong_password: ("refuses user 'prelabel' by SCRAM-SHA-512", "LABELSTREAM_KAFKA_SASL_PASSWORD"),
    unknown_user: ("refuses user 'nobody'", "LABELSTREAM_KAFKA_SASL_USERNAME"),
    untrusted_server: ("is not trusted", "LABELSTREAM_KAFKA_SSL_CAFILE"),
    expired_server: ("the certificate of Kafka's broker", "has expired; renew it there"),
    other_host: ("is for another host name", "use a name that it holds"),
    no_client_certificate: ("refuses our client certificate", "LABELSTREAM_KAFKA_SSL_CERTFILE"),
    expired_client: ("refuses our client certificate", "not expired"),
    untrusted_client: ("refuses our client certificate", "signed by a CA that the broker trusts"),
    expired_token: ("refuses our token", "LABELSTREAM_KAFKA_OAUTH_TOKEN_FILE"),
    forged_token: ("refuses our token", "signature"),
    token_for_others: ("refuses our token", "audience"),
    no_token: ("there are no credentials to offer", "is empty"),
    other_mechanism: ("does not offer SCRAM-SHA-512", "LABELSTREAM_KAFKA_SASL_MECHANISM"),
}


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.__name__)
async def test_a_refusal_is_said_and_leaves_the_service_not_ready(
    secure: SecureKafka, deployment: str, tmp_path: Path, case: Case
) -> None:
    service = prelabel(case(secure, deployment, tmp_path), tmp_path)
    with capture_logs() as logs:
        async with running(service, wait=False) as http:
            await until(lambda: shows(http, *REFUSALS[case]), 15)
            assert (await http.get("/health")).status_code == httpx.codes.OK  # a restart would not help
            assert not service.fatal.is_set()
    said = [one for one in logs if one["event"] == "access_refused"]
    assert len(said) == 1
    assert said[0]["log_level"] == "error"
    assert all(words in said[0]["detail"] for words in REFUSALS[case])
    assert WRONG not in str(logs)
    assert secure.passwords[PRELABEL] not in str(logs)


async def test_uvloop_sees_the_same(secure: SecureKafka, deployment: str, tmp_path: Path) -> None:
    """The loop of the processes has a TLS of its own."""
    access._KNOWN.clear()  # what the tests before met

    async def connect(kafka: KafkaSettings) -> str:
        admin = make_admin(kafka)
        try:
            await admin.start()
        except AccessRefused as error:
            return str(error)
        finally:
            await admin.close()
            await asyncio.sleep(0.2)  # this loop ends at once; goodbyes of TLS take a round trip
        return "let in"

    for case, words in REFUSALS.items():
        directory = tmp_path / case.__name__
        directory.mkdir()
        found = await asyncio.to_thread(uvloop.run, connect(case(secure, deployment, directory)))
        assert all(one in found for one in words), (case.__name__, found)


async def shows(http: httpx.AsyncClient, *words: str) -> bool:
    answer = await http.get("/ready")
    return answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and all(one in answer.text for one in words)


async def ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/ready")).status_code == httpx.codes.OK


async def test_a_corrected_password_needs_no_restart(secure: SecureKafka, deployment: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(WRONG)
    kafka = secure.settings(PRELABEL, deployment, sasl_password="", sasl_password_file=file)
    async with running(prelabel(kafka, tmp_path), wait=False) as http:
        await until(lambda: shows(http, "refuses user"))
        file.write_text(secure.passwords[PRELABEL] + "\n")
        await until(lambda: ready(http))


def of(prefix: str, resource: str, operation: str, name: str = "") -> list[Right]:
    """prelabel's rights on one thing."""
    found = [
        one
        for one in rights(PRELABEL, prefix=prefix)
        if (one.resource, one.operation) == (resource, operation)
        and one.name in (f"{prefix}{name}", f"{prefix}{PRELABEL}.")
    ]
    assert len(found) == 1
    return found


@pytest.mark.parametrize(
    "lacking",
    [("topic", "Read", PROJECTS.name), ("topic", "Read", ITEMS.name), ("group", "Read", "")],
    ids=["reference", "topic", "group"],
)
async def test_a_missing_right_is_named_and_waited_for(
    secure: SecureKafka, deployment: str, tmp_path: Path, lacking: tuple[str, str, str]
) -> None:
    missing = of(deployment, *lacking)
    secure.forbid(missing)
    kafka = secure.settings(PRELABEL, deployment)
    name = missing[0].name
    async with running(prelabel(kafka, tmp_path), wait=False) as http:
        await until(lambda: shows(http, f"Kafka does not let user 'prelabel' use {lacking[0]} {name}", "topics acls"))
        assert (await http.get("/health")).status_code == httpx.codes.OK
        secure.allow(missing)
        await until(lambda: ready(http), 30)


async def test_a_right_that_is_taken_away_at_work(
    secure: SecureKafka, deployment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a reader nor a writer that lost its right is silent; nothing of the stream is lost meanwhile."""
    monkeypatch.setattr(access, "SHOWN_S", 6.0)  # FastStream looks again every 5 s
    secure.allow(rights(OPERATOR, prefix=deployment))
    operator = secure.settings(OPERATOR, deployment)
    spec = ProjectSpec.model_validate({"project": PROJECT, "data": "text", "label": ChoiceSchema(classes=("a", "b"))})
    await apply_spec(operator, spec, now=AT)

    async def answered(number: int) -> bool:
        return len({record.key for record in await read_all(operator, PREDICTIONS.name)}) == number

    async with (
        Publisher(operator) as publisher,
        running(prelabel(secure.settings(PRELABEL, deployment), tmp_path)) as http,
    ):
        await publisher.publish(items(20))
        await until(lambda: answered(20))
        reading, writing = (
            of(deployment, "topic", "Read", ITEMS.name),
            of(deployment, "topic", "Write", PREDICTIONS.name),
        )
        secure.forbid([*reading, *writing])
        await until(lambda: shows(http, f"use topic {reading[0].name}"))  # once the fetch that waits is over
        await publisher.publish(items(20, 20))
        secure.allow(reading)
        await until(lambda: shows(http, f"use topic {writing[0].name}"), 30)
        secure.allow(writing)
        await until(lambda: answered(40), 30)
        await until(lambda: ready(http), 30)


async def test_a_client_of_one_call_says_so_too(secure: SecureKafka, deployment: str) -> None:
    """What a command prints, not only what a service shows."""
    with pytest.raises(Exception, match=r"refuses user 'prelabel'") as caught:
        await read_all(secure.settings(PRELABEL, deployment, sasl_password=WRONG), ITEMS.name)
    assert type(caught.value).__name__ == "AccessRefused"
    async with asyncio.timeout(10):
        with pytest.raises(Exception, match=r"refuses user 'prelabel'"):
            await Publisher(secure.settings(PRELABEL, deployment, sasl_password=WRONG)).publish(items(1))
