"""The one place that makes Kafka clients and their security."""

from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.bus import access, stopping, tolerant
from shared.bus.access import access_of, ssl_context
from shared.runtime.settings import KafkaSettings
from shared.runtime.transport import OAUTHBEARER

tolerant.install()
access.install()
stopping.install()

METADATA_MAX_AGE_MS = 15_000
"""An aiokafka client that lost its broker may wait for the next routine look at the cluster: else five minutes."""


def connection(kafka: KafkaSettings) -> dict[str, Any]:
    """The arguments every aiokafka client shares.

    Raises:
        ConfigurationError: a certificate, key or password file is missing or does not parse.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap.split(","),
        "client_id": kafka.client_id,
        "security_protocol": kafka.security_protocol,
        "request_timeout_ms": kafka.request_timeout_ms,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        "sasl_oauth_token_provider": access_of(kafka),
    }
    context = ssl_context(kafka)
    if context is not None:
        arguments["ssl_context"] = context
    if kafka.security_protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = kafka.sasl_mechanism
        if kafka.sasl_mechanism != OAUTHBEARER:
            arguments["sasl_plain_username"] = kafka.sasl_username
            arguments["sasl_plain_password"] = kafka.password()
    return arguments


def make_producer(kafka: KafkaSettings) -> AIOKafkaProducer:
    """A producer that waits for all in-sync replicas. Not started."""
    return AIOKafkaProducer(
        **connection(kafka),
        acks="all",
        enable_idempotence=kafka.idempotence,
        compression_type=None if kafka.compression == "none" else kafka.compression,
        max_batch_size=262_144,
        max_request_size=2 * kafka.max_record_bytes + 65_536,
        linger_ms=0,
    )


def make_reader(kafka: KafkaSettings, *, wait_ms: int = 50) -> AIOKafkaConsumer:
    """A consumer without a group, for reference topics and for reading a topic to its end. Not started.

    Args:
        kafka: where.
        wait_ms: how long the broker may hold a fetch that finds nothing; long for a reader that follows a topic.
    """
    return AIOKafkaConsumer(
        **connection(kafka),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=wait_ms,
        max_partition_fetch_bytes=4 * 1_048_576,
    )


class Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka has no types
    """Says why it could not start."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__(**connection(kafka))
        self._access = access_of(kafka)

    async def start(self) -> None:
        """Connect.

        Raises:
            AccessRefused: we are not let in.
            KafkaError: no broker answers.
        """
        try:
            await super().start()
        except KafkaError as error:
            self._access.check(error)
            raise


def make_admin(kafka: KafkaSettings) -> AIOKafkaAdminClient:
    """An admin client. Not started."""
    return Admin(kafka)
