"""`--probe`: a topic of the doctor's own is made, written to and deleted. It shows the brokers' clock."""

import asyncio
from datetime import UTC, datetime

from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, for_code

from cli.doctor.databases import skew
from cli.doctor.findings import Finding, Status
from cli.doctor.kafka import administrator
from shared.bus.client import make_producer
from shared.clock import utc_now
from shared.errors import RetryLater
from shared.runtime.settings import KafkaSettings

NAME = "doctor"
TRIES, PAUSE_S = 50, 0.1


async def probe(kafka: KafkaSettings) -> list[Finding]:
    """Write one record that the broker stamps with its own time.

    Raises:
        KafkaError, RetryLater: what this principal may not, or the broker cannot.
    """
    topic = kafka.physical(NAME)
    settings = {"message.timestamp.type": "LogAppendTime", "retention.ms": "60000"}
    async with administrator(kafka) as admin:
        response = await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=settings)])
        code = response.topic_errors[0][1]
        if code:
            error: type[KafkaError] = for_code(code)
            raise RetryLater(f"topic {topic} cannot be made: {error.__name__}")
        try:
            found = await _stamped(kafka, topic)
        finally:
            await admin.delete_topics([topic])
    return [Finding("access", topic, Status.OK, "made, written to and deleted"), found]


async def _stamped(kafka: KafkaSettings, topic: str) -> Finding:
    producer = make_producer(kafka)
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"warm")  # the first record waits for metadata
        before = utc_now()
        async with asyncio.timeout(kafka.request_timeout_ms / 1000):
            sent = await producer.send_and_wait(topic, b"time")
        after = utc_now()
    finally:
        await producer.stop()
    if sent.timestamp_type != 1:
        return Finding("clock", "broker", Status.NOTE, "the broker does not stamp records with its own time")
    theirs = datetime.fromtimestamp(sent.timestamp / 1000, UTC)
    return skew("broker", theirs - (before + (after - before) / 2), after - before)
