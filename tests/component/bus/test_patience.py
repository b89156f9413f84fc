"""A consumer without work sleeps: it answers FastStream when there is something, and passes errors on."""

from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError

from shared.bus.broker import PATIENCE_MS, PatientConsumer

PLACE = TopicPartition("t", 0)


async def test_it_answers_when_there_are_records(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[dict[TopicPartition, list[int]]] = [{}, {}, {PLACE: [1, 2]}]
    asked: list[tuple[int, int | None]] = []

    async def getmany(_: Any, *, timeout_ms: int, max_records: int | None) -> dict[TopicPartition, list[int]]:
        asked.append((timeout_ms, max_records))
        if not answers:
            raise ConsumerStoppedError
        return answers.pop(0)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    consumer = PatientConsumer("t")
    try:
        assert await consumer.getmany(timeout_ms=20, max_records=500) == {PLACE: [1, 2]}
        assert asked == [(PATIENCE_MS, 500)] * 3
        with pytest.raises(ConsumerStoppedError):
            await consumer.getmany(timeout_ms=20, max_records=500)
    finally:
        await consumer.stop()
