"""Statements on what was measured of people and projects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """The newest measurement of a kind about a subject; `body` is its JSON."""

    project_id: str
    subject: str
    kind: str
    annotator_id: str | None
    body: str
    at: datetime


async def save_measurements(connection: Any, found: Iterable[Measured]) -> None:
    """Keep the newest of each kind and subject; nothing of erased people, and no older one over a newer."""
    newest = {(one.project_id, one.subject, one.kind): one for one in sorted(found, key=lambda one: one.at)}
    rows = [(*key, one.annotator_id, one.body, one.at) for key, one in sorted(newest.items())]
    if not rows:
        return
    await connection.execute(
        "INSERT INTO measurements AS m (project_id, subject, kind, annotator_id, measurement, measured_at)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])"
        " AS n(project_id, subject, kind, annotator_id, measurement, measured_at)"
        " WHERE n.annotator_id IS NULL OR NOT EXISTS (SELECT FROM erasures e WHERE e.annotator_id = n.annotator_id)"
        " ON CONFLICT (project_id, subject, kind) DO UPDATE"
        " SET measurement = excluded.measurement, measured_at = excluded.measured_at"
        " WHERE m.measured_at <= excluded.measured_at",
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def list_measured_people(connection: Any, project_id: str, after: str, limit: int) -> list[str]:
    """A page of the people of a project of whom anything was measured."""
    rows = await connection.fetch(
        "SELECT annotator_id FROM measurements WHERE project_id = $1 AND annotator_id > $2"
        " UNION SELECT annotator_id FROM restraints WHERE project_id = $1 AND annotator_id > $2"
        " ORDER BY annotator_id LIMIT $3",
        project_id,
        after,
        limit,
    )
    return [row["annotator_id"] for row in rows]


async def list_of_people(connection: Any, project_id: str, people: Sequence[str]) -> list[Measured]:
    """All that was measured of these people."""
    rows = await connection.fetch(
        "SELECT * FROM measurements WHERE project_id = $1 AND annotator_id = ANY($2::text[]) ORDER BY subject, kind",
        project_id,
        list(people),
    )
    return [_measured(row) for row in rows]


async def list_of_kind(connection: Any, project_id: str, kind: str) -> list[Measured]:
    """The newest measurements of a kind, by subject."""
    rows = await connection.fetch(
        "SELECT * FROM measurements WHERE project_id = $1 AND kind = $2 ORDER BY subject", project_id, kind
    )
    return [_measured(row) for row in rows]


def _measured(row: Any) -> Measured:
    return Measured(
        row["project_id"], row["subject"], row["kind"], row["annotator_id"], row["measurement"], row["measured_at"]
    )


@dataclass(frozen=True, slots=True)
class Restraint:
    """The newest firing of one rule about one person; `body` is its JSON."""

    project_id: str
    annotator_id: str
    rule: str
    action: str
    share: float | None
    until: datetime | None
    body: str
    at: datetime


async def save_restraints(connection: Any, found: Iterable[Restraint]) -> None:
    """Keep the newest firing of each rule and person; nothing of erased people, nor from before a reinstatement."""
    newest = {(one.annotator_id, one.project_id, one.rule): one for one in sorted(found, key=lambda one: one.at)}
    rows = [
        (one.project_id, one.annotator_id, one.rule, one.action, one.share, one.until, one.body, one.at)
        for _, one in sorted(newest.items())
    ]
    if not rows:
        return
    await connection.execute(
        "INSERT INTO restraints AS r (project_id, annotator_id, rule, action, share, until, measurement, measured_at)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::timestamptz[],"
        " $7::text[], $8::timestamptz[])"
        " AS n(project_id, annotator_id, rule, action, share, until, measurement, measured_at)"
        " WHERE NOT EXISTS (SELECT FROM erasures e WHERE e.annotator_id = n.annotator_id)"
        " AND NOT EXISTS (SELECT FROM quarantines q WHERE q.annotator_id = n.annotator_id AND NOT q.active"
        "  AND q.project_id IN (n.project_id, '*') AND q.changed_at >= n.measured_at)"
        " ON CONFLICT (annotator_id, project_id, rule) DO UPDATE SET action = excluded.action,"
        " share = excluded.share, until = excluded.until, measurement = excluded.measurement,"
        " measured_at = excluded.measured_at WHERE r.measured_at <= excluded.measured_at",
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def end_restraints(connection: Any, annotator_id: str, project_id: str | None, at: datetime) -> None:
    """A lead reinstates: what rules asked of the person until now holds no more."""
    await connection.execute(
        "UPDATE restraints SET until = $3"
        " WHERE annotator_id = $1 AND ($2::text IS NULL OR project_id = $2) AND until > $3",
        annotator_id,
        project_id,
        at,
    )


async def list_restraints(connection: Any, project_id: str, people: Sequence[str]) -> dict[str, list[str]]:
    """Person -> the newest firing of each rule, as JSON."""
    rows = await connection.fetch(
        "SELECT annotator_id, measurement FROM restraints WHERE project_id = $1 AND annotator_id = ANY($2::text[])"
        " ORDER BY annotator_id, rule",
        project_id,
        list(people),
    )
    found: dict[str, list[str]] = {who: [] for who in people}
    for row in rows:
        found[row["annotator_id"]].append(row["measurement"])
    return found
