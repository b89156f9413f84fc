"""Statements on labels that the model alone gave, and on how far they were reviewed."""

from typing import Any

from services.assignment.domain.accepted import Review
from services.assignment.store.rows import Key


async def claim_review(connection: Any, project_id: str, version: int) -> Review | None:
    """Lock the review of this version, made where missing; None while another replica works on it."""
    await connection.execute(
        "INSERT INTO class_reviews (project_id, version) VALUES ($1, $2) ON CONFLICT DO NOTHING", project_id, version
    )
    row = await connection.fetchrow(
        "SELECT * FROM class_reviews WHERE project_id = $1 AND version = $2 FOR UPDATE SKIP LOCKED",
        project_id,
        version,
    )
    return None if row is None else Review(**dict(row))


async def save_review(connection: Any, review: Review) -> None:
    """Write a claimed review."""
    await connection.execute(
        "UPDATE class_reviews SET after = $3, passes = $4, not_before = $5, day = $6, used = $7"
        " WHERE project_id = $1 AND version = $2",
        review.project_id,
        review.version,
        review.after,
        review.passes,
        review.not_before,
        review.day,
        review.used,
    )


async def list_accepted(connection: Any, project_id: str, after: str, limit: int) -> tuple[list[Key], str | None]:
    """Of the next items by id those whose label the model gave; and the last id looked at, None where it was the last.

    Reads `limit` rows whatever they are, by primary key: at a billion items a pass is long, and no statement is.
    """
    row = await connection.fetchrow(
        "WITH near AS MATERIALIZED (SELECT item_id, standing, guess FROM items WHERE project_id = $1 AND item_id > $2"
        "  ORDER BY item_id LIMIT $3)"
        " SELECT (SELECT count(*) FROM near) AS seen, (SELECT max(item_id) FROM near) AS last,"
        " ARRAY(SELECT item_id FROM near WHERE standing = 'labelled'"
        "  AND guess LIKE '%\"label\":{%') AS ids",
        project_id,
        after,
        limit,
    )
    return [(project_id, item) for item in row["ids"]], row["last"] if row["seen"] == limit else None
