"""The Kafka of compose.yaml, started as it is configured there: it asks for a password and takes ours."""

import secrets
from pathlib import Path

import pytest
import yaml

from cli.stack.kafka import Kafka
from shared.bus.client import make_admin
from shared.errors import AccessRefused
from shared.runtime.settings import KafkaSettings

COMPOSE = Path(__file__).parents[2] / "compose.yaml"
# Addresses and directories of the container; the test has its own.
PLACES = {"KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS", "KAFKA_CONTROLLER_QUORUM_VOTERS", "KAFKA_LOG_DIRS"}
NOT_PROPERTIES = {"KAFKA_HEAP_OPTS"}
MAP = "listener.security.protocol.map"


def properties(password: str, admin_password: str) -> dict[str, str]:
    """Kafka's settings as the image makes them of its environment: KAFKA_A_B is a.b."""
    environment = yaml.safe_load(COMPOSE.read_text())["services"]["kafka"]["environment"]
    found = {}
    for name, value in environment.items():
        if name.startswith("KAFKA_") and name not in PLACES | NOT_PROPERTIES:
            text = str(value).replace("${KAFKA_PASSWORD}", password).replace("${KAFKA_ADMIN_PASSWORD}", admin_password)
            text = text.replace("${KAFKA_ADMIN_PASSWORD:?set it in .env, see .env.example}", admin_password)
            assert "${" not in text
            found[name.removeprefix("KAFKA_").lower().replace("_", ".")] = text.strip()
    found[MAP] += ",INTERNAL:PLAINTEXT"  # by which the test sees that the broker is up
    return found


def client(bootstrap: str, password: str) -> KafkaSettings:
    environment = yaml.safe_load(COMPOSE.read_text())["x-kafka"]
    return KafkaSettings(
        bootstrap=bootstrap,
        security_protocol=environment["LABELSTREAM_KAFKA_SECURITY_PROTOCOL"],
        sasl_mechanism=environment["LABELSTREAM_KAFKA_SASL_MECHANISM"],
        sasl_username=environment["LABELSTREAM_KAFKA_SASL_USERNAME"],
        sasl_password=password,
        allow_insecure=True,
        request_timeout_ms=5000,
    )


@pytest.mark.timeout(120)
async def test_the_broker_of_compose_starts_and_wants_the_password(tmp_path: Path) -> None:
    password, admin_password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    wanted = properties(password, admin_password)
    listeners = dict.fromkeys(("BROKER", "CLIENT", "HOST"), "SASL_PLAINTEXT")
    async with Kafka(tmp_path / "kafka", extra_listeners=listeners, properties=wanted) as kafka:
        for listener in ("CLIENT", "HOST"):
            admin = make_admin(client(kafka.bootstrap_of(listener), password))
            await admin.start()
            assert await admin.list_topics() == []
            await admin.close()
        stranger = make_admin(client(kafka.bootstrap_of("CLIENT"), "Wr0ng-one-of-many"))
        with pytest.raises(AccessRefused, match="refuses user 'labelstream' by PLAIN"):
            await stranger.start()
        await stranger.close()
