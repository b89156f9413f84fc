"""Where a source's topic is, and with whose credentials it is read."""

from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from services.prelabel.settings import PrelabelSettings, SourceCredentials
from shared.bus.admin import DLQ_RETENTION_MS
from shared.bus.client import connection, make_admin
from shared.errors import ConfigurationError, RetryLater
from shared.events import Source
from shared.runtime.settings import KafkaSettings
from shared.runtime.transport import Transport
from shared.topics import ITEMS

SLOWEST_POLL_RECORDS = 10


def source_group(settings: PrelabelSettings, project_id: str, source: Source) -> str:
    """The consumer group of a source, on the source's own cluster."""
    return settings.kafka.physical(f"prelabel.source.{project_id}.{source.name}")


def source_cluster(settings: PrelabelSettings, source: Source) -> KafkaSettings:
    """How to reach the cluster of a source.

    Our own credentials go to our own cluster only: a source with servers of its own gets those it names, or none.

    Raises:
        ConfigurationError: the credentials are unknown, or bound to other servers.
    """
    own = settings.kafka
    if source.credentials is None:
        if source.bootstrap_servers is None or source.bootstrap_servers == own.bootstrap:
            return own
        protocol = "PLAINTEXT" if own.allow_insecure else "SSL"
        named = SourceCredentials(security_protocol=protocol, allow_insecure=own.allow_insecure)
    elif source.credentials in settings.source_credentials:
        named = settings.source_credentials[source.credentials]
    else:
        raise ConfigurationError(
            f"source {source.name} names the credentials {source.credentials!r}; "
            "add them to LABELSTREAM_PRELABEL_SOURCE_CREDENTIALS"
        )
    servers = source.bootstrap_servers or named.bootstrap_servers or own.bootstrap
    if named.bootstrap_servers not in (None, servers):
        raise ConfigurationError(f"credentials {source.credentials!r} of source {source.name} are for other servers")
    # Every field that is a secret or says where one goes is given, so that none falls back to our own cluster's.
    transport = {name: getattr(named, name) for name in Transport.model_fields}
    origin = f"LABELSTREAM_PRELABEL_SOURCE_CREDENTIALS[{source.credentials!r}]" if source.credentials else "the source"
    return KafkaSettings(bootstrap=servers, prefix="", **transport).of_source(origin)


def make_source_consumer(settings: PrelabelSettings, project_id: str, source: Source) -> AIOKafkaConsumer:
    """A consumer of the source's group that commits only when told. Not started, not subscribed.

    Raises:
        ConfigurationError: see `source_cluster`.
    """
    cluster = source_cluster(settings, source)
    arguments: dict[str, Any] = connection(cluster)
    slowest_ms = int(SLOWEST_POLL_RECORDS * 1000 / source.max_per_second) if source.max_per_second else 0
    return AIOKafkaConsumer(
        **arguments,
        group_id=source_group(settings, project_id, source),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=cluster.session_timeout_ms,
        heartbeat_interval_ms=cluster.heartbeat_interval_ms,
        max_poll_interval_ms=max(cluster.max_poll_interval_ms, slowest_ms),
        max_partition_fetch_bytes=4 * 1_048_576,
    )


async def create_dead_letter_topic(kafka: KafkaSettings, source_topic: str) -> None:
    """A source's dead letters lie on our own cluster, copied as often as our items; where it exists, nothing happens.

    Raises:
        RetryLater: the broker refuses.
    """
    name = kafka.physical(f"{source_topic}.dlq")
    admin = make_admin(kafka)
    try:
        await admin.start()
        if name in await admin.list_topics():
            return
        topic = NewTopic(name, num_partitions=1, replication_factor=await _replication(admin, kafka))
        topic.topic_configs = {
            "retention.ms": str(DLQ_RETENTION_MS),
            "max.message.bytes": str(2 * kafka.max_record_bytes + 65_536),
        }
        answer = await admin.create_topics([topic])
        for _, code, *_ in answer.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                raise RetryLater(f"topic {name} cannot be created: {for_code(code).__name__}")
    finally:
        await admin.close()


async def _replication(admin: AIOKafkaAdminClient, kafka: KafkaSettings) -> int:
    (found,) = await admin.describe_topics([kafka.physical(ITEMS.name)])
    return max([len(partition["replicas"]) for partition in found["partitions"]], default=1)
