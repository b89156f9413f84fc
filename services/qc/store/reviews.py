"""How far reviews have come."""

from typing import Any, Literal

from services.qc.domain.fold import ItemKey
from services.qc.domain.rereview import Review

Table = Literal["reviews", "schema_reviews", "renames"]
"""Reviews after a change of the guideline, after one of the classes, and of the names of classes."""


class ReviewStore:
    """Statements on one connection, inside its transaction. A review's row is locked before the items it looks at."""

    _connection: Any

    async def claim_review(self, table: Table, project: str, version: int) -> Review | None:
        """Lock the review of this version, made where missing; None while another replica works on it."""
        await self._connection.execute(
            f"INSERT INTO {table} (project_id, version) VALUES ($1, $2) ON CONFLICT DO NOTHING",  # noqa: S608  # one of three
            project,
            version,
        )
        row = await self._connection.fetchrow(
            f"SELECT * FROM {table} WHERE project_id = $1 AND version = $2 FOR UPDATE SKIP LOCKED",  # noqa: S608
            project,
            version,
        )
        return None if row is None else Review(**dict(row))

    async def save_review(self, table: Table, review: Review) -> None:
        """Write a claimed review."""
        await self._connection.execute(
            f"UPDATE {table} SET after = $3, passes = $4, not_before = $5, day = $6, used = $7"  # noqa: S608
            " WHERE project_id = $1 AND version = $2",  # one of three
            review.project_id,
            review.version,
            review.after,
            review.passes,
            review.not_before,
            review.day,
            review.used,
        )

    async def list_published(self, project: str, after: str, limit: int) -> list[tuple[str, int, str]]:
        """The next labels that people made, by item: (item, version, symbol as it was published)."""
        rows = await self._connection.fetch(
            "SELECT item_id, label_version, label_symbol FROM items WHERE project_id = $1 AND item_id > $2"
            " AND label_version > 0 ORDER BY item_id LIMIT $3",
            project,
            after,
            limit,
        )
        return [tuple(row) for row in rows]

    async def list_labelled(self, project: str, after: str, limit: int) -> list[ItemKey]:
        """The next items of a project with a label that people made, by id."""
        rows = await self._connection.fetch(
            "SELECT item_id FROM items WHERE project_id = $1 AND item_id > $2 AND label_version > 0"
            " ORDER BY item_id LIMIT $3",
            project,
            after,
            limit,
        )
        return [(project, row["item_id"]) for row in rows]
