"""What the services' databases hold, into the ledger: each read in one snapshot, read-only, in chunks."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from cli.audit.counters import Scope, count_assignment, count_monitor, count_qc
from cli.audit.ledger import Ledger
from cli.audit.topics import TopicReader
from services.assignment.domain.leases import ERASED_PERSON
from shared.db.database import INFRASTRUCTURE, check_url
from shared.db.store import unpack
from shared.errors import RetryLater
from shared.events import Annotation, derived_id
from shared.topics import QUALITY

CHUNK = 2000

QUERIES: Mapping[str, Mapping[str, str]] = {
    "assignment": {
        "a_items": "SELECT project_id, item_id, standing, round, label_version, content_hash"
        " FROM items WHERE {project}",
        "a_rounds": "SELECT project_id, item_id, number, wanted, answered, skipped, active, expert_answered, ended,"
        " project_version FROM rounds WHERE {project}",
        "a_leases": "SELECT project_id, item_id, round, gold, annotator_id, role, state, late,"
        " coalesce(ended_at > expires_at, false) FROM leases WHERE state <> 'expired' AND {project}",
    },
    "qc": {
        "q_items": "SELECT project_id, item_id, label_version, label_path FROM items WHERE {project}",
        "q_annotations": "SELECT annotation_id, project_id, item_id, round, outcome, annotator_id, gold"
        " FROM annotations WHERE {project}",
    },
    "monitor": {},
}
COUNTS = {"assignment": count_assignment, "qc": count_qc, "monitor": count_monitor}


class DatabaseUrls(BaseSettings):
    """Where the databases are: the services' own variables."""

    model_config = SettingsConfigDict(env_prefix="LABELSTREAM_", extra="ignore")

    assignment_database_url: SecretStr = Field(default=SecretStr(""), description="assignment's database.")
    assignment_database_allow_insecure: bool = Field(default=False, description="Permit a connection without TLS.")
    qc_database_url: SecretStr = Field(default=SecretStr(""), description="qc's database.")
    qc_database_allow_insecure: bool = Field(default=False, description="Permit a connection without TLS.")
    monitor_database_url: SecretStr = Field(default=SecretStr(""), description="monitor's database.")
    monitor_database_allow_insecure: bool = Field(default=False, description="Permit a connection without TLS.")

    def urls(self) -> dict[str, str]:
        """Service -> address.

        Raises:
            ConfigurationError: one is missing, or has no TLS where that is not permitted.
        """
        found = {}
        for service in QUERIES:
            url = getattr(self, f"{service}_database_url").get_secret_value()
            check_url(url, allow_insecure=getattr(self, f"{service}_database_allow_insecure"))
            found[service] = url
        return found


@asynccontextmanager
async def snapshot(service: str, url: str) -> AsyncGenerator[Any]:
    """A read-only transaction that sees one moment of a service's schema.

    Raises:
        RetryLater: PostgreSQL does not answer.
    """
    settings = {"search_path": service, "application_name": "labelstream-audit", "statement_timeout": "0"}
    try:
        connection = await asyncpg.connect(url, timeout=10, server_settings=settings)
    except INFRASTRUCTURE as error:
        raise RetryLater(f"the database of {service} does not answer: {error!r}") from error
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    finally:
        await connection.close(timeout=5)


async def read_database(ledger: Ledger, topics: TopicReader, service: str, connection: Any, scope: Scope) -> None:
    """Everything of one service."""
    places = await connection.fetch("SELECT topic, partition, next_offset FROM consumer_offsets")
    await ledger.load("places", [(service, *row) for row in places])
    pending = 0
    async for chunk in chunks(connection, "SELECT records FROM outbox"):
        for (payload,) in chunk:
            records = unpack(payload)
            pending += sum(record.topic != QUALITY.name for record in records)
            topics.take_pending(records)
    ledger.add("pending", [(service, pending)])
    for table, query in QUERIES[service].items():
        async for chunk in chunks(connection, _of(query, scope.project)):
            rows = [tuple(map(_plain, row)) for row in chunk]
            await ledger.load(table, [(_annotation_of(row), *row) for row in rows] if table == "a_leases" else rows)
    await COUNTS[service](ledger, connection, scope)
    async for chunk in chunks(connection, "SELECT subject, annotator_id FROM erasures"):
        ledger.add("forgot", [(service, subject, *_subject(subject, who)) for subject, who in chunk])


async def chunks(connection: Any, query: str, *parameters: Any) -> AsyncGenerator[list[Any]]:
    """The rows of a query, a cursor's chunk at a time."""
    cursor = await connection.cursor(query, *parameters)
    while rows := await cursor.fetch(CHUNK):
        yield rows


def _subject(subject: str, who: str | None) -> tuple[str | None, str | None, str | None]:
    """(project, item, person) of an erasure: an item or a person."""
    if who is not None:
        return None, None, who
    project, _, item = subject.partition("/")
    return project, item, None


def _of(query: str, project: str | None) -> str:
    """Restrict to one project; its name is a slug, so there is nothing to quote."""
    return query.format(project="true" if project is None else f"project_id = '{project}'")


def _annotation_of(lease: tuple[Any, ...]) -> bytes:
    """The id of the one annotation that a lease can become: a person answers an item once."""
    project, item, _, gold, who, *_ = lease
    if who.startswith(ERASED_PERSON):  # what stands there is that id
        return UUID(who.removeprefix(ERASED_PERSON)).bytes
    return derived_id(Annotation.ce_type, project, item, who, "gold" if gold else "item").bytes


def _plain(value: Any) -> Any:
    return value.bytes if hasattr(value, "bytes") else value
