"""Exactly-once effect on real Kafka and PostgreSQL: redelivery, fences, broken connections, poison."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from shared.bus.admin import create_topics
from shared.bus.client import make_admin
from shared.bus.deadletter import REASON, dead_letter, original
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import Outgoing, Received, header
from shared.events import Item
from shared.runtime.settings import KafkaSettings
from shared.topics import ASSIGNMENT, ITEMS, PREDICTIONS
from tests.support.brokers import Broker
from tests.support.probe import items, prepare, probe, running, stored_offset, times_seen, until, wait_for
from tests.support.servers import Database, plaintext

pytestmark = pytest.mark.timeout(60)
POISON = (b"{", b"\xff\xfe\x00", b"[]", b"[" * 200_000, b"null", b'{"item_id": "\\u0000"}', None, b"x" * 1_100_000)


@pytest.fixture
async def stream(kafka_settings: KafkaSettings, database: Database) -> KafkaSettings:
    """Topics and tables of one test."""
    await create_topics(kafka_settings, partitions=3)
    await prepare(database)
    return kafka_settings


async def publish(kafka: KafkaSettings, records: Sequence[Outgoing]) -> None:
    async with Publisher(kafka) as publisher:
        await publisher.publish(records)


async def test_every_item_has_one_effect_and_one_answer(stream: KafkaSettings, database: Database) -> None:
    async with running(probe(stream, database)):
        await publish(stream, items(1500))
        await wait_for(database, 1500)
    assert set((await times_seen(database)).values()) == {1}
    answers = Counter(header(record.headers, "ce_id") for record in await read_all(stream, PREDICTIONS.name))
    assert len(answers) == 1500
    assert set(answers.values()) == {1}


async def test_a_restart_starts_where_the_transaction_stood(stream: KafkaSettings, database: Database) -> None:
    async with running(probe(stream, database)):
        await publish(stream, items(300))
        await wait_for(database, 300)
    async with running(probe(stream, database)):
        await publish(stream, items(300, start=300))
        await wait_for(database, 600)
    assert set((await times_seen(database)).values()) == {1}
    assert await stored_offset(database, ITEMS.name) == 600


async def test_two_replicas_share_and_hand_over_without_a_second_effect(
    stream: KafkaSettings, database: Database
) -> None:
    async with running(probe(stream, database, max_records=20)):
        first = asyncio.create_task(publish(stream, items(2000)))
        async with running(probe(stream, database, max_records=20)):
            await publish(stream, items(2000, start=2000))
            await first
        await wait_for(database, 4000)
    assert set((await times_seen(database)).values()) == {1}
    assert await stored_offset(database, ITEMS.name) == 4000


async def test_a_consumer_that_lost_its_place_is_fenced(stream: KafkaSettings, database: Database) -> None:
    """Another owner moved the offsets: the batch has no effect, and reading goes on from the stored place."""
    moved = False

    service = probe(stream, database)
    async with running(service):
        await publish(stream, items(30))
        await wait_for(database, 30)
        connection = await asyncpg.connect(database.url(ASSIGNMENT))
        await connection.execute("UPDATE assignment.consumer_offsets SET next_offset = next_offset + 10")
        await connection.close()
        moved = True
        await publish(stream, items(300, start=1000))

        async def at_end() -> bool:
            return await stored_offset(database, ITEMS.name) == 330

        await until(at_end)
    seen = await times_seen(database)
    assert moved
    assert set(seen.values()) == {1}
    assert len(seen) == 300, "ten records of each of three partitions belonged to the other owner"
    fenced = service.registry.get_sample_value(
        "labelstream_batch_retries_total", {"topic": ITEMS.name, "cause": "fenced"}
    )
    assert fenced is not None
    assert fenced >= 1


async def test_what_the_client_passes_over_is_fetched_again(stream: KafkaSettings, database: Database) -> None:
    service = probe(stream, database, max_records=10)
    async with running(service):
        consumer = service.consumers[0].consumer
        assert consumer is not None
        publishing = asyncio.create_task(publish(stream, items(1500)))
        for further in range(10):
            await asyncio.sleep(0.05)
            for place in consumer.assignment():
                consumer.seek(place, min(await consumer.position(place) + 5 + further, consumer.highwater(place) or 0))
        await publishing
        await wait_for(database, 1500)
    assert set((await times_seen(database)).values()) == {1}


async def test_what_retention_took_is_passed_over(stream: KafkaSettings, database: Database) -> None:
    await publish(stream, items(300))
    admin = make_admin(stream)
    await admin.start()
    try:
        topic = stream.physical(ITEMS.name)
        await admin.delete_records({TopicPartition(topic, n): RecordsToDelete(before_offset=20) for n in range(3)})
    finally:
        await admin.close()
    async with running(probe(stream, database)):
        await wait_for(database, 240)
        await publish(stream, items(10, start=300))
        await wait_for(database, 250)


async def test_terminated_connections_lose_and_double_nothing(stream: KafkaSettings, database: Database) -> None:
    admin = await asyncpg.connect(database.admin_url)
    try:
        async with running(probe(stream, database, max_records=25)):
            publishing = asyncio.create_task(publish(stream, items(3000)))
            for _ in range(20):
                await asyncio.sleep(0.05)
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", ASSIGNMENT
                )
            await publishing
            await wait_for(database, 3000)
    finally:
        await admin.close()
    assert set((await times_seen(database)).values()) == {1}
    assert len({header(r.headers, "ce_id") for r in await read_all(stream, PREDICTIONS.name)}) == 3000


async def test_a_commit_whose_answer_was_lost_is_not_done_again_after_a_rebalance(
    stream: KafkaSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is in the database, its answer is lost, and a rebalance finds the new offset before the retry."""
    service = probe(stream, database)
    consumer = service.consumers[0]
    transaction = service.database.transaction
    cuts = 0

    @asynccontextmanager
    async def cut() -> AsyncGenerator[Any]:
        nonlocal cuts
        async with transaction() as connection:
            yield connection
        if cuts or not await times_seen(database):
            return
        cuts += 1
        assert consumer.consumer is not None
        await consumer.on_partitions_assigned(set(consumer.consumer.assignment()))
        raise ConnectionResetError("the answer to COMMIT was lost")

    monkeypatch.setattr(service.database, "transaction", cut)
    async with running(service):
        await publish(stream, items(300))
        await wait_for(database, 300)

        async def at_end() -> bool:
            return await stored_offset(database, ITEMS.name) == 300

        await until(at_end)
        await publish(stream, items(30, start=300))
        await wait_for(database, 330)
    assert cuts == 1
    assert set((await times_seen(database)).values()) == {1}


async def test_a_batch_that_a_rebalance_gave_again_is_not_done_again_while_it_is_judged(
    stream: KafkaSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka's group lags behind the database: what it gives again before the true place is known is judged for long."""
    service = probe(stream, database)
    consumer = service.consumers[0]
    judge = consumer._judge  # where a large batch waits for a thread
    late = 0

    async def slowly(records: Any) -> Any:
        nonlocal late
        if not consumer._expected:
            late += 1
            assert consumer.consumer is not None
            await consumer.on_partitions_assigned(set(consumer.consumer.assignment()))
        return await judge(records)

    monkeypatch.setattr(consumer, "_judge", slowly)
    async with running(service):
        await publish(stream, items(300))
        await wait_for(database, 300)
        assert consumer.consumer is not None
        places = set(consumer.consumer.assignment())
        await consumer.on_partitions_revoked(places)
        for place in places:
            consumer.consumer.seek(place, 0)
        await publish(stream, items(30, start=300))
        await wait_for(database, 330)
    assert late >= 1
    assert set((await times_seen(database)).values()) == {1}


@pytest.mark.timeout(120)
async def test_a_killed_broker_loses_nothing(own_kafka: Broker, database: Database, prefix: str) -> None:
    kafka = plaintext(own_kafka.bootstrap, prefix, idempotence=True)
    await create_topics(kafka, partitions=3)
    await prepare(database)
    async with running(probe(kafka, database, max_records=50)):
        await publish(kafka, items(2000))
        own_kafka.kill9()
        await asyncio.sleep(0.5)
        await own_kafka.restart()
        await publish(kafka, items(500, start=2000))
        await wait_for(database, 2500)

        async def answered() -> bool:
            return len({header(r.headers, "ce_id") for r in await read_all(kafka, PREDICTIONS.name)}) == 2500

        await until(answered, within_s=40)
    assert set((await times_seen(database)).values()) == {1}


async def test_poison_among_good_records_goes_to_the_dead_letters_once(
    stream: KafkaSettings, database: Database
) -> None:
    bad = [Outgoing(ITEMS.name, b"sentiment/bad", value, (("x", b"\xff\xfe"),)) for value in POISON]
    good = items(200)
    async with running(probe(stream, database)):
        await publish(stream, [*good[:100], *bad, *good[100:]])
        await wait_for(database, 200)
    letters = [original(letter) for letter in await read_all(stream, ITEMS.dlq)]
    assert Counter(letter.value for letter in letters) == Counter(POISON)
    assert all(letter.headers == (("x", b"\xff\xfe"),) for letter in letters)
    assert len(await times_seen(database)) == 200


async def test_a_record_that_breaks_the_handler_is_cornered(stream: KafkaSettings, database: Database) -> None:
    def intercept(batch: Sequence[Received[Item]]) -> None:
        if any(received.event.item_id == "i77" for received in batch):
            raise ZeroDivisionError("a mistake of ours that one record provokes")

    async with running(probe(stream, database, intercept)):
        await publish(stream, items(300))
        await wait_for(database, 299)
    seen = await times_seen(database)
    assert "i77" not in seen
    assert set(seen.values()) == {1}
    letters = await read_all(stream, ITEMS.dlq)
    assert [header(letter.headers, REASON) for letter in letters] == [b"unprocessable"]


async def test_everything_poison_stops_the_consumer(stream: KafkaSettings, database: Database) -> None:
    bad = [Outgoing(ITEMS.name, b"sentiment/%d" % n, b"{", ()) for n in range(400)]
    async with running(probe(stream, database, dlq_limit_records=100, max_records=50)) as http:
        await publish(stream, bad)

        async def sick() -> bool:
            return (await http.get("/health")).status_code == httpx.codes.SERVICE_UNAVAILABLE

        await until(sick)
        assert "poison" in (await http.get("/health")).text
        assert (await http.get("/ready")).status_code == httpx.codes.SERVICE_UNAVAILABLE
    letters = await read_all(stream, ITEMS.dlq)
    assert len(letters) < 100
    assert len(letters) == await stored_offset(database, ITEMS.name)


async def test_the_group_shows_no_lag_after_a_drain(stream: KafkaSettings, database: Database) -> None:
    from shared.bus.client import make_admin  # noqa: PLC0415

    service = probe(stream, database)
    async with running(service):
        await publish(stream, items(120))
        await wait_for(database, 120)
    admin = make_admin(stream)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(service.consumers[0].group)
    finally:
        await admin.close()
    assert sum(place.offset for place in offsets.values() if place.offset > 0) == 120


async def test_what_cannot_commit_is_never_published(stream: KafkaSettings, database: Database) -> None:
    """The database refuses one item at the very end of its transaction: nobody may have heard its answer."""
    admin = await asyncpg.connect(database.admin_url)
    try:
        await admin.execute(
            "CREATE FUNCTION assignment.refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'refused at the commit'; END $$;"
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON assignment.seen DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW WHEN (NEW.item_id = 'i7') EXECUTE FUNCTION assignment.refuse()"
        )
    finally:
        await admin.close()
    async with running(probe(stream, database)):
        await publish(stream, items(40))
        await wait_for(database, 39)
    assert "i7" not in await times_seen(database)
    answers = {
        PREDICTIONS.event.validate_json(r.value or b"").item_id for r in await read_all(stream, PREDICTIONS.name)
    }
    assert answers == {f"i{n}" for n in range(40)} - {"i7"}, "an answer was published that was rolled back"
    assert len(await read_all(stream, ITEMS.dlq)) == 1


async def test_a_batch_that_cannot_even_be_refused_is_not_passed_over(
    stream: KafkaSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong where nobody thought of it: the batch comes again, and nothing behind it is done before."""
    failures = iter(range(8))  # in the batch, in each half of it, and for the one record that is to blame

    def letter(*given: Any, **more: Any) -> Outgoing:
        if next(failures, None) is not None:
            raise RuntimeError("a mistake of ours in the very last resort")
        return dead_letter(*given, **more)

    monkeypatch.setattr("shared.bus.unit.dead_letter", letter)
    monkeypatch.setattr("shared.bus.consumer.BACKOFF_S", (0.1, 0.1))
    bad = Outgoing(ITEMS.name, b"k", b"{", ())
    async with running(probe(stream, database, max_records=20)):
        await publish(stream, [*items(30), bad, *items(60, start=30)])
        await wait_for(database, 90)

        async def refused() -> bool:
            return bool(await read_all(stream, ITEMS.dlq))

        await until(refused)
    assert set((await times_seen(database)).values()) == {1}
    assert len(await read_all(stream, ITEMS.dlq)) == 1


async def test_a_consumer_that_kafka_no_longer_answers_is_unhealthy(
    own_kafka: Broker, database: Database, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had no lag when it last heard; that must not pass for progress for ever."""
    kafka = plaintext(own_kafka.bootstrap, prefix, idempotence=True)
    monkeypatch.setattr("shared.bus.consumer.SILENT_S", 1.0)
    await create_topics(kafka, partitions=1)
    await prepare(database)
    async with running(probe(kafka, database, stall_after_s=3.0)) as http:
        await publish(kafka, items(20))
        await wait_for(database, 20)
        assert (await http.get("/health")).status_code == httpx.codes.OK

        async def healthy() -> bool:
            return (await http.get("/health")).status_code == httpx.codes.OK

        async def unhealthy() -> bool:
            return not await healthy()

        own_kafka.kill9()
        await until(unhealthy)
        await own_kafka.restart()
        await until(healthy, within_s=30)
