"""Statements on the audit log: who did what, to what, when, and what came of it. Append-only: a trigger holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line.

    Attributes:
        subject: whom or what it is about: an id, never content.
        project, lease_id: what else it is about.
    """

    principal: str
    action: str
    outcome: str
    subject: str
    project: str | None = None
    lease_id: UUID | None = None


LOGGED = "INSERT INTO request_log (principal, action, outcome, subject, project_id, lease_id) SELECT * FROM unnest({})"
"""With the places of the six columns of `log_columns`: also part of the statement that does what is logged."""


def log_columns(lines: Sequence[LogLine]) -> list[list[Any]]:
    """The arguments of `LOGGED`."""
    return [
        [line.principal for line in lines],
        [line.action for line in lines],
        [line.outcome for line in lines],
        [line.subject for line in lines],
        [line.project for line in lines],
        [line.lease_id for line in lines],
    ]


def logged_from(first: int) -> str:
    """`LOGGED` whose first argument has this number."""
    kinds = ("text", "text", "text", "text", "text", "uuid")
    return LOGGED.format(", ".join(f"${n}::{kind}[]" for n, kind in enumerate(kinds, start=first)))


async def log_requests(connection: Any, lines: Sequence[LogLine]) -> None:
    """Append lines."""
    if lines:
        await connection.execute(logged_from(1), *log_columns(lines))


@dataclass(frozen=True, slots=True)
class Written:
    """A line as it stands in the log."""

    id: int
    at: datetime
    line: LogLine


async def list_lines(connection: Any, wanted: Mapping[str, Any], before: int | None, limit: int) -> list[Written]:
    """The newest lines.

    Args:
        connection: any.
        wanted: column -> the value it must have; `since` and `until` bound the time.
        before: the id after which a page goes on, towards older ones.
        limit: lines at most.
    """
    tests, values = ["true"], list[Any]()
    for name, value in {**wanted, "before": before}.items():
        if value is not None:
            values.append(value)
            tests.append(f"{_TESTS[name]} ${len(values)}")
    rows = await connection.fetch(
        "SELECT id, at, principal, action, outcome, subject, project_id, lease_id FROM request_log"  # noqa: S608  # constants
        f" WHERE {' AND '.join(tests)} ORDER BY id DESC LIMIT {limit:d}",
        *values,
    )
    return [
        Written(
            row["id"],
            row["at"],
            LogLine(
                row["principal"], row["action"], row["outcome"], row["subject"], row["project_id"], row["lease_id"]
            ),
        )
        for row in rows
    ]


_TESTS = {
    "principal": "principal =",
    "action": "action =",
    "outcome": "outcome =",
    "subject": "subject =",
    "project": "project_id =",
    "lease_id": "lease_id =",
    "since": "at >=",
    "until": "at <",
    "before": "id <",
}
