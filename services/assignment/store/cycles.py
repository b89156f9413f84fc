"""Statements on cycles of training: what is left of a budget, when it is renewed, and what nobody began."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.assignment.store.rows import Key


@dataclass(frozen=True, slots=True)
class Cycle:
    """Where a project stands in its cycle."""

    generation: int
    begun: int
    began_at: datetime
    age_s: float


async def get_cycle(connection: Any, project_id: str) -> Cycle | None:
    """The present cycle; None before the first."""
    row = await connection.fetchrow(
        "SELECT generation, begun, began_at, extract(epoch FROM now() - began_at)::float8 AS age_s"
        " FROM cycles WHERE project_id = $1",
        project_id,
    )
    return None if row is None else Cycle(row["generation"], row["begun"], row["began_at"], row["age_s"])


async def begin_cycle(connection: Any, project_id: str, generation: int, after: Cycle | None) -> bool:
    """Begin the cycle that comes after this one, unless another replica has. Whether it did."""
    done = await connection.execute(
        "INSERT INTO cycles AS c (project_id, generation, begun, began_at) VALUES ($1, $2, 0, now())"
        " ON CONFLICT (project_id) DO UPDATE SET generation = excluded.generation, begun = 0, began_at = now()"
        " WHERE c.began_at = $3",
        project_id,
        generation,
        after.began_at if after is not None else None,
    )
    return bool(done == "INSERT 0 1")


async def lock_left(connection: Any, project_id: str, budget: int) -> int:
    """How many items may still be begun; the caller's until its transaction ends."""
    begun = await connection.fetchval("SELECT begun FROM cycles WHERE project_id = $1 FOR UPDATE", project_id)
    return 0 if begun is None else max(0, budget - begun)


async def spend(connection: Any, project_id: str, items: int) -> None:
    """Count items begun."""
    await connection.execute("UPDATE cycles SET begun = begun + $2 WHERE project_id = $1", project_id, items)


async def has_stale(connection: Any, project_id: str, lanes: Sequence[str], generation: int, looked_at: int) -> bool:
    """Whether the front of the queue still holds untouched rounds that an older model ordered."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM unnest($2::text[]) AS a(lane) CROSS JOIN LATERAL (SELECT r.generation"  # noqa: S608  # constants
        " FROM rounds AS r WHERE r.project_id = $1 AND r.audience = a.lane AND r.free > 0 AND NOT r.started"
        f" ORDER BY r.priority DESC, r.id LIMIT {looked_at:d}) AS front WHERE front.generation < $3)",
        project_id,
        list(lanes),
        generation,
    )
    return found


async def list_unchosen(
    connection: Any, kept: Sequence[tuple[str, float]], after: int, limit: int
) -> tuple[list[Key], int | None]:
    """Among the next waiting rounds after an id, items that nobody began for too long.

    Args:
        connection: any.
        kept: projects, and how many seconds an item is kept there.
        after: the round id to go on from.
        limit: rounds looked at, at most.

    Returns:
        The items, and the id to go on from; None where this was the last.
    """
    row = await connection.fetchrow(
        "WITH window_ AS MATERIALIZED ("
        " SELECT r.* FROM rounds AS r WHERE r.free > 0 AND r.id > $1 ORDER BY r.id LIMIT $2"
        ") SELECT (SELECT coalesce(array_agg(ARRAY[w.project_id, w.item_id] ORDER BY w.id), '{}') FROM window_ AS w"
        "  JOIN unnest($3::text[], $4::float8[]) AS k(p, s) ON w.project_id = k.p"
        "  WHERE NOT w.started AND w.number = 1 AND NOT w.would_auto AND w.audience NOT LIKE 'expert%'"
        "  AND w.item_created_at < now() - make_interval(secs => k.s)) AS found,"
        " count(*) AS seen, max(id) AS last FROM window_",
        after,
        limit,
        [project for project, _ in kept],
        [seconds for _, seconds in kept],
    )
    return [(one[0], one[1]) for one in row["found"]], row["last"] if row["seen"] == limit else None
