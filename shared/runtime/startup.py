"""Bringing a service up, step by step, each step tried again until it works; and draining it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.errors import KafkaError

from shared.bus.client import make_admin
from shared.bus.reader import read_to_end
from shared.bus.unit import Unit
from shared.bus.validate import Rejected, decode
from shared.db.database import INFRASTRUCTURE
from shared.db.migrate import check_migrated
from shared.db.store import count_outbox, get_published, save_published
from shared.errors import AccessRefused, ConfigurationError, InvariantBroken, RetryLater
from shared.runtime.logging import where
from shared.topics import Topic

if TYPE_CHECKING:
    from shared.bus.consumer import Consumer
    from shared.runtime.service import Service

log = structlog.get_logger(__name__)
Step = Callable[[], Awaitable[None]]

RETRY_S, LONGEST_PAUSE_S = 1.0, 15.0
REPORT_S = 1.0
TICK_S = 2.0
TRANSIENT = (*INFRASTRUCTURE, KafkaError, RetryLater)
FATAL = (ConfigurationError, InvariantBroken)


async def bring_up(service: "Service") -> None:
    """Start everything, run until cancelled, then drain while relay and followers still run."""
    try:
        async with asyncio.TaskGroup() as group:
            try:
                for name, step in _steps(service, group):
                    await _until_done(service, name, step)
                service.health.starting = None
                log.info("service_ready")
                await asyncio.Event().wait()
            finally:
                await _drain(service)
    except* FATAL as errors:
        why = "; ".join(str(error) for error in errors.exceptions)
        service.health.fatal = why
        service.fatal.set()
        log.error("service_refuses_to_start", detail=why)  # the message says all, a traceback would hide it
    finally:
        with suppress(*TRANSIENT):
            await service.publisher.close()
        if service.has_database:
            await service.database.close()
        for hook in service.stops:
            await hook()


def _steps(service: "Service", group: asyncio.TaskGroup) -> list[tuple[str, Step]]:
    steps: list[tuple[str, Step]] = []
    if service.has_database:
        steps += [("database", service.database.connect), ("migrations", lambda: _check_schema(service))]
    steps.append(("cluster", lambda: _check_cluster(service)))
    steps.append(("references", lambda: service.references.load(service.settings.kafka)))
    for topic, _ in service.rebuilds:
        steps.append((f"rebuild from {topic.name}", lambda topic=topic: _rebuild(service, topic)))  # type: ignore[misc]
    steps += [("start hooks", lambda: _run_hooks(service)), ("tasks", lambda: _start_tasks(service, group))]
    steps.append(("consumers", lambda: _start_consumers(service, group)))
    return steps


async def _until_done(service: "Service", name: str, step: Step) -> None:
    health = service.health
    health.starting, health.failure = name, None
    pause_s = RETRY_S
    while True:
        try:
            await step()
        except TRANSIENT as error:
            refused = _refusal(service, error)
            failure = f"{type(error).__name__}: {error}" if refused is None else f"refused: {refused}"
            if failure != health.failure:
                level = logging.WARNING if refused is None else logging.ERROR
                log.log(level, "start_step_fails", step=name, detail=failure)
            health.failure = failure
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S) if isinstance(error, AccessRefused) else RETRY_S
        else:
            service.access.settled()
            return


def _refusal(service: "Service", error: BaseException) -> str | None:
    """What to check where an error means that a server refuses us, or None."""
    if isinstance(error, AccessRefused):
        return str(error)
    if isinstance(error, KafkaError):
        return service.access.notice(error) or service.access.refusal
    return None


async def _check_schema(service: "Service") -> None:
    if service.migrations is not None:
        async with service.database.transaction() as connection:
            await check_migrated(connection, service.name, service.migrations)


async def _check_cluster(service: "Service") -> None:
    """Ask the brokers who they are; the database must belong to that cluster."""
    admin = make_admin(service.settings.kafka)
    try:
        async with asyncio.timeout(service.settings.kafka.request_timeout_ms / 1000):
            await admin.start()
            described = await admin.describe_cluster()
    finally:
        await admin.close()
    if service.has_database:
        await service.database.claim_cluster(str(described.get("cluster_id") or "unnamed"))


async def _rebuild(service: "Service", topic: Topic[Any]) -> None:
    """Fold this service's own output that is newer than its database: after a restore, or into an empty one."""
    handler = dict(service.rebuilds)[topic]
    kafka = service.settings.kafka
    async with service.database.transaction() as connection:
        known = await get_published(connection, topic.name)
    async with aclosing(read_to_end(kafka, topic.name, known)) as chunks:
        async for records in chunks:
            judged = [decode(topic, record, max_bytes=16 * kafka.max_record_bytes) for record in records]
            valid = [one for one in judged if not isinstance(one, Rejected)]
            ends = {(topic.name, record.partition): record.offset + 1 for record in records}
            async with service.database.transaction() as connection:
                unit = Unit(service.name, connection, service.clock())
                if valid:
                    await handler(valid, unit)
                if unit.published:
                    raise InvariantBroken(f"rebuilding from {topic.name} tried to publish: it may only fold facts")
                await save_published(connection, ends)
            log.info("rebuilt", topic=topic.name, records=len(records))


async def _run_hooks(service: "Service") -> None:
    for hook in service.hooks:
        await hook()


async def _start_tasks(service: "Service", group: asyncio.TaskGroup) -> None:
    for table in service.references.subscribed:
        group.create_task(table.follow(), name=f"follow {table.topic.name}")
    if service.has_database:
        group.create_task(service.relay.run(), name="relay")
    for name, run in service.tasks:
        group.create_task(_keep_running(service, name, run), name=name)


async def _start_consumers(service: "Service", group: asyncio.TaskGroup) -> None:
    if service.consumers:
        try:
            await service.broker.start()
        except TRANSIENT:
            await service.broker.stop()  # those that did start must not be started a second time beside themselves
            raise
    group.create_task(_report_for_ever(service), name="report")
    for name, seconds, job in service.jobs:
        group.create_task(_run_every(service, name, seconds, job), name=name)


async def _keep_running(service: "Service", name: str, run: Step) -> None:
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001  # a task of a service is never the end of the others
            service.metrics.job_failures.labels(name).inc()
            log.warning("task_restarts", task=name, **where(error))
        await asyncio.sleep(RETRY_S)


async def _run_every(service: "Service", name: str, seconds: float, job: Step) -> None:
    while True:
        try:
            await job()
        except TRANSIENT as error:
            service.metrics.job_failures.labels(name).inc()
            log.warning("job_failed", job=name, error=type(error).__name__)
        except Exception as error:  # noqa: BLE001  # a failing job is never the end of the service
            service.metrics.job_failures.labels(name).inc()
            log.error("job_failed", job=name, **where(error))  # messages of drivers repeat data
        await asyncio.sleep(seconds)


async def _report_for_ever(service: "Service") -> None:
    while True:
        await asyncio.sleep(REPORT_S)
        await _report(service)


async def _report(service: "Service") -> None:
    async with asyncio.TaskGroup() as group:
        for consumer in service.consumers:
            consumer.report()
            group.create_task(_tick(consumer))
    if not service.has_database:
        return
    try:
        async with service.database.pool.acquire(timeout=2) as connection:
            records, age = await count_outbox(connection)
        service.metrics.outbox_records.set(records)
        service.metrics.outbox_age.set(age)
        service.health.database_failure = None
    except TRANSIENT as error:
        service.health.database_failure = service.database.refusal(error) or type(error).__name__


async def _tick(consumer: "Consumer[Any]") -> None:
    """Tell Kafka's group, if it listens: it may wait for a coordinator for ever, and nothing here may wait for it."""
    with suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(TICK_S):
            await consumer.tick()


async def _drain(service: "Service") -> None:
    """Stop reading, let running batches finish, publish what they made, tell Kafka where we are."""
    started = time.monotonic()
    was_running = service.health.starting is None
    service.health.starting = "draining"
    if not was_running:
        return
    with suppress(*TRANSIENT):
        for consumer in service.consumers:
            await consumer.quiesce(service.settings.graceful_timeout_s)
        await _report(service)
    with suppress(*TRANSIENT):
        await service.broker.stop()
    if service.has_database:
        with suppress(*TRANSIENT):
            await service.relay.flush(service.settings.graceful_timeout_s)
    log.info("drained", seconds=round(time.monotonic() - started, 3))
