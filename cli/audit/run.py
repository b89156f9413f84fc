"""Reading everything in the order that makes a live audit exact.

Topics first, then each database in one snapshot with what its outbox still holds, then what the topics got meanwhile:
a record read before the snapshots must have left its effect in them, and an effect that they hold must be in a topic
by the end. So the audit may run at any time; what is merely under way is no violation.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import UUID

from cli.audit.counters import Scope, count_from_topics
from cli.audit.databases import read_database, snapshot
from cli.audit.ledger import Ledger
from cli.audit.report import Report, judge
from cli.audit.topics import EARLY, LATE, TopicReader
from cli.reading import read_events, reference
from shared.bus.client import make_admin
from shared.bus.references import Naming, Projects
from shared.events import ModelPointer, ModelVersion, ProjectVersion
from shared.runtime.settings import KafkaSettings
from shared.topics import ERASURES, MODELS, PROJECTS, TOPICS

LIMIT = 20


async def audit(
    kafka: KafkaSettings,
    urls: Mapping[str, str],
    *,
    project: str | None = None,
    at_rest: bool = False,
    submitted: Iterable[UUID] = (),
    limit: int = LIMIT,
    scratch: Path | None = None,
) -> Report:
    """Audit a deployment.

    Args:
        kafka: where the topics are.
        urls: service -> postgresql:// address, for assignment, qc and monitor; reading rights are enough.
        project: only this one.
        at_rest: the stream is said to have come to rest: nothing may be under way any more.
        submitted: ids of annotations that were answered with success, for instance by a test's own ledger.
        limit: violations of each check to list in full.
        scratch: a directory with room for about 100 bytes per record.

    Raises:
        RetryLater: Kafka or PostgreSQL does not answer.
    """
    with Ledger(scratch) as ledger:
        existing = await _existing(kafka)
        topics = TopicReader(ledger, kafka, existing, project)
        ledger.add("submitted", [(one.bytes,) for one in submitted])
        ledger.add("owners", [(topic.name, topic.dlq_owner) for topic in TOPICS if topic.dlq_owner is not None])
        await _asked(ledger, kafka, existing)
        await topics.read(EARLY)
        for service, url in urls.items():
            async with snapshot(service, url) as connection:
                scope = Scope(project, await _naming(kafka))  # newer names than the snapshot's, which does no harm
                await read_database(ledger, topics, service, connection, scope)
        await topics.read(LATE)
        await _references(ledger, kafka)
        return await asyncio.to_thread(_judge, ledger, at_rest, limit, topics.records)


def _judge(ledger: Ledger, at_rest: bool, limit: int, records: int) -> Report:
    count_from_topics(ledger)
    return judge(ledger, at_rest=at_rest, limit=limit, records=records)


async def _existing(kafka: KafkaSettings) -> list[str]:
    """The logical names of the deployment's topics."""
    admin = make_admin(kafka)
    await admin.start()
    try:
        names = await admin.list_topics()
    finally:
        await admin.close()
    return [name.removeprefix(kafka.prefix) for name in names if name.startswith(kafka.prefix)]


async def _asked(ledger: Ledger, kafka: KafkaSettings, existing: Iterable[str]) -> None:
    """What should be erased."""
    if ERASURES.name in existing:
        found = [received async for received in read_events(kafka, ERASURES)]
        ledger.add("asked", [(one.event.key, one.record.partition, one.record.offset) for one in found])


async def _naming(kafka: KafkaSettings) -> Naming:
    """The present names of classes."""
    projects = Projects()
    projects.table.attach(kafka)
    await projects.table.refresh()
    return projects.naming


async def _references(ledger: Ledger, kafka: KafkaSettings) -> None:
    """Projects and models; read last, so that none that a label names is missing."""
    projects = [event for event in await reference(kafka, PROJECTS) if isinstance(event, ProjectVersion)]
    ledger.add(
        "projects",
        [
            (p.project_id, p.version, max(one.overlap.max for one in p.spec.policies), p.spec.external_predictions)
            for p in projects
        ],
    )
    for event in await reference(kafka, MODELS):
        match event:
            case ModelVersion():
                ledger.add("models", [(event.project_id, event.version)])
            case ModelPointer():
                ledger.add("live", [(event.project_id, event.version, event.generation)])
