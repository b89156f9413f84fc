"""Scores of answers to gold items."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from services.qc.domain.fold import ItemKey
from services.qc.domain.item import Answer
from services.qc.store.rows import answer_of, columns
from shared.labels import Names

GoldRow = tuple[UUID, str, str, str | None, bool | None]
"""(annotation, project, item, expected symbol or None, correct or None)."""


class GoldStore:
    """Statements on one connection, inside its transaction."""

    _connection: Any
    names: Callable[[str], Names]

    async def save_gold_results(self, rows: Sequence[GoldRow]) -> None:
        """Write scores; one with no expected symbol is pending."""
        if rows:
            await self._connection.execute(
                "INSERT INTO gold_results (annotation_id, project_id, item_id, expected, correct)"
                " SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[])"
                " ON CONFLICT (annotation_id) DO UPDATE SET expected = excluded.expected, correct = excluded.correct",
                *columns(rows, 5),
            )

    async def list_gold_items(self) -> list[tuple[ItemKey, str | None]]:
        """Each gold item that was answered, with each symbol it was scored against (None: pending).

        Grows with gold items, not with their answers: a skip scan over the index.
        """
        rows = await self._connection.fetch(
            "WITH RECURSIVE items AS ("
            " (SELECT project_id, item_id FROM gold_results ORDER BY 1, 2 LIMIT 1) UNION ALL"
            " SELECT n.project_id, n.item_id FROM items i CROSS JOIN LATERAL (SELECT project_id, item_id FROM"
            " gold_results g WHERE (g.project_id, g.item_id) > (i.project_id, i.item_id) ORDER BY 1, 2 LIMIT 1) n)"
            " SELECT i.project_id, i.item_id, e.expected FROM items i CROSS JOIN LATERAL (SELECT DISTINCT expected"
            " FROM gold_results g WHERE g.project_id = i.project_id AND g.item_id = i.item_id) e"
        )
        found = {
            ((row["project_id"], row["item_id"]), self._expected(row["project_id"], row["expected"])): None
            for row in rows
        }
        return list(found)

    def _expected(self, project: str, symbol: str | None) -> str | None:
        """What an answer was scored against, in present names."""
        return None if symbol is None else self.names(project).symbol(symbol)

    async def claim_gold_answers(
        self, keys: Iterable[tuple[str, str, str]], limit: int
    ) -> list[tuple[ItemKey, Answer, str | None, bool | None]]:
        """Lock answers to these gold items whose score is not against the given symbol.

        Args:
            keys: (project, item, expected symbol).
            limit: at most so many answers.
        """
        rows = await self._connection.fetch(
            "SELECT a.*, g.expected, g.correct FROM gold_results g JOIN annotations a USING (annotation_id)"
            " JOIN unnest($1::text[], $2::text[], $3::text[]) AS k(project_id, item_id, expected)"
            " ON k.project_id = g.project_id AND k.item_id = g.item_id"
            " WHERE g.expected IS DISTINCT FROM k.expected ORDER BY g.annotation_id LIMIT $4"
            " FOR UPDATE OF g SKIP LOCKED",
            *columns(sorted(keys), 3),
            limit,
        )
        return [
            (
                (r["project_id"], r["item_id"]),
                answer_of(r, self.names(r["project_id"])),
                self._expected(r["project_id"], r["expected"]),
                r["correct"],
            )
            for r in rows
        ]

    async def save_gold_published(self, scores: Iterable[tuple[UUID, str]]) -> None:
        """Remember gold results that were read back from the own output."""
        rows = sorted(set(scores))
        if rows:
            await self._connection.execute(
                "INSERT INTO gold_published (annotation_id, expected)"
                " SELECT * FROM unnest($1::uuid[], $2::text[]) ON CONFLICT DO NOTHING",
                *columns(rows, 2),
            )

    async def get_gold_published(self, projects: Mapping[UUID, str]) -> set[tuple[UUID, str]]:
        """Which scores of these annotations were published before this database was, in present names."""
        rows = await self._connection.fetch(
            "SELECT annotation_id, expected FROM gold_published WHERE annotation_id = ANY($1::uuid[])", list(projects)
        )
        return {
            (row["annotation_id"], self.names(projects[row["annotation_id"]]).symbol(row["expected"])) for row in rows
        }
