"""Statements on lanes of the queue, and on what people have done today."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.assignment.store.rows import Key


async def add_lanes(connection: Any, lanes: Iterable[Key]) -> None:
    """Remember (project, lane)."""
    ordered = sorted(set(lanes))
    await connection.execute(
        "INSERT INTO lanes SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
        [project for project, _ in ordered],
        [lane for _, lane in ordered],
    )


async def list_lanes(connection: Any) -> dict[str, list[str]]:
    """Project -> its lanes, but for everybody's."""
    found: dict[str, list[str]] = {}
    for row in await connection.fetch("SELECT project_id, lane FROM lanes ORDER BY project_id, lane"):
        found.setdefault(row["project_id"], []).append(row["lane"])
    return found


async def count_today(connection: Any, annotator_id: str) -> int:
    """Answers that somebody with a limit has given today."""
    found: int | None = await connection.fetchval(
        "SELECT answers FROM workdays WHERE annotator_id = $1 AND day = current_date", annotator_id
    )
    return found or 0


async def add_today(connection: Any, answers: Mapping[str, int]) -> None:
    """Count answers of people with a limit; in the order of their ids."""
    ordered = sorted(answers)
    await connection.execute(
        "INSERT INTO workdays AS w (annotator_id, day, answers)"
        " SELECT id, current_date, n FROM unnest($1::text[], $2::integer[]) AS k(id, n)"
        " ON CONFLICT (annotator_id) DO UPDATE SET day = excluded.day,"
        " answers = CASE WHEN w.day = excluded.day THEN w.answers ELSE 0 END + excluded.answers",
        ordered,
        [answers[one] for one in ordered],
    )
