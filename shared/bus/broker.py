"""The FastStream broker of a service: only it subscribes, and it never decides about offsets."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLOAuthBearer, SASLPlaintext, SASLScram256, SASLScram512

from shared.bus.access import Access, access_of, ssl_context
from shared.bus.client import METADATA_MAX_AGE_MS
from shared.runtime.settings import KafkaSettings, ServiceSettings
from shared.runtime.transport import OAUTHBEARER

log = structlog.get_logger(__name__)

PATIENCE_MS = 1000


class _Log:
    """What FastStream says that matters, as one structured event; handlers of ours never raise through it."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def log(self, level: int, msg: Any, /, *, exc_info: Any = None, extra: Mapping[str, Any] | None = None) -> None:
        del extra
        if isinstance(exc_info, BaseException) and self._access.notice(exc_info) is not None:
            return  # said there, and shown by /ready for as long as it goes on
        if level >= logging.WARNING and exc_info is not None:
            log.warning("consumer_trouble", detail=str(msg), error=repr(exc_info)[:300])


_SASL: dict[str, type[Any]] = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


def security(kafka: KafkaSettings) -> BaseSecurity:
    """FastStream's form of the transport security.

    Raises:
        ConfigurationError: the TLS or password files cannot be used.
    """
    context = ssl_context(kafka)
    if kafka.uses_sasl and kafka.sasl_mechanism == OAUTHBEARER:
        return SASLOAuthBearer(ssl_context=context, use_ssl=context is not None)
    if kafka.uses_sasl:
        chosen = _SASL[kafka.sasl_mechanism]
        sasl: BaseSecurity = chosen(
            username=kafka.sasl_username, password=kafka.password(), ssl_context=context, use_ssl=context is not None
        )
        return sasl
    return BaseSecurity(ssl_context=context, use_ssl=context is not None)


class PatientConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """Answers when there are records. FastStream would ask, and then sleep, 25 times a second."""

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None) -> Any:
        """Records by partition, never none. Looks for errors of the group every PATIENCE_MS."""
        while True:
            found = await super().getmany(*partitions, timeout_ms=max(timeout_ms, PATIENCE_MS), max_records=max_records)
            if found:
                return found


class EagerBroker(KafkaBroker):
    """Starts its subscribers side by side: each joins a group of its own, which takes seconds on some brokers."""

    async def start(self) -> None:
        """Connect, and return once every subscriber has its first assignment.

        Raises:
            BaseException: what the first subscriber failed with that did; the others are stopped by `stop`.
        """
        await self.connect()
        made: Any = self.config.broker_config.builder
        self.config.broker_config.builder = partial(PatientConsumer, **made.keywords)
        try:
            async with asyncio.TaskGroup() as group:
                for subscriber in self.subscribers:
                    group.create_task(subscriber.start())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        self.running = True


def make_broker(service: str, settings: ServiceSettings) -> KafkaBroker:
    """The broker of one service. Publishing is the relay's or the publisher's business, so it only consumes."""
    kafka = settings.kafka
    return EagerBroker(
        kafka.bootstrap.split(","),
        client_id=f"{kafka.client_id}-{service}",
        request_timeout_ms=kafka.request_timeout_ms,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        security=security(kafka),
        sasl_oauth_token_provider=access_of(kafka),
        allow_auto_create_topics=False,
        consumer_only=True,
        graceful_timeout=settings.graceful_timeout_s,
        logger=_Log(access_of(kafka)),
        acks="all",
    )
