"""Statements that erase items and people."""

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.qc.domain.counts import without
from services.qc.domain.fold import ItemKey
from services.qc.domain.item import Answer
from services.qc.store.rows import answer_of, columns
from shared.labels import Names


@dataclass(frozen=True, slots=True)
class GoldAnswered:
    """An answer or skip of a gold item with its score, if it has one."""

    key: ItemKey
    answer: Answer
    expected: str | None
    correct: bool | None


_DELETE_ANNOTATIONS = (
    "DELETE FROM annotations a USING unnest($1::text[], $2::text[]) AS k(p, i)"
    " WHERE a.project_id = k.p AND a.item_id = k.i AND NOT a.gold"
)
_DELETE_ROUNDS = (
    "DELETE FROM rounds r USING unnest($1::text[], $2::text[]) AS k(p, i) WHERE r.project_id = k.p AND r.item_id = k.i"
)
_MARK_ERASED = (
    "UPDATE items AS i SET erased = true, label_version = 0, label_path = NULL, label_kind = NULL,"
    " label_symbol = NULL, label_weights = NULL, label_number = NULL, label_tolerance = NULL, label_given = NULL,"
    " label_value = NULL"
    " FROM unnest($1::text[], $2::text[]) AS k(p, i) WHERE i.project_id = k.p AND i.item_id = k.i"
)


class ErasingStore:
    """Statements on one connection, inside its transaction. Locks: items by key, then gold results, then counts."""

    _connection: Any
    names: Callable[[str], Names]

    def _gold(self, row: Any) -> GoldAnswered:
        names, expected = self.names(row["project_id"]), row["expected"]
        named = None if expected is None else names.symbol(expected)
        return GoldAnswered((row["project_id"], row["item_id"]), answer_of(row, names), named, row["correct"])

    async def list_erased(self, keys: Iterable[ItemKey]) -> set[ItemKey]:
        """Those of the items that were erased."""
        rows = await self._connection.fetch(
            "SELECT i.project_id, i.item_id FROM items i JOIN unnest($1::text[], $2::text[]) AS k(project_id, item_id)"
            " USING (project_id, item_id) WHERE i.erased",
            *columns(sorted(set(keys)), 2),
        )
        return {(row["project_id"], row["item_id"]) for row in rows}

    async def take_gold(self, keys: Sequence[ItemKey]) -> list[GoldAnswered]:
        """Delete what people answered to these gold items, and the scores; what it was."""
        pairs = columns(sorted(keys), 2)
        await self._connection.execute(
            "SELECT g.annotation_id FROM gold_results g JOIN unnest($1::text[], $2::text[]) AS k(project_id, item_id)"
            " USING (project_id, item_id) ORDER BY g.annotation_id FOR UPDATE OF g",
            *pairs,
        )
        rows = await self._connection.fetch(
            "SELECT a.*, g.expected, g.correct FROM annotations a JOIN unnest($1::text[], $2::text[])"
            " AS k(project_id, item_id) USING (project_id, item_id) LEFT JOIN gold_results g USING (annotation_id)"
            " WHERE a.gold",
            *pairs,
        )
        ids = [row["annotation_id"] for row in rows]
        if ids:
            for table in ("gold_results", "gold_published", "annotations"):
                await self._connection.execute(
                    f"DELETE FROM {table} WHERE annotation_id = ANY($1::uuid[])",  # noqa: S608  # one of three
                    ids,
                )
        return [self._gold(row) for row in rows]

    async def delete_items(self, keys: Sequence[ItemKey]) -> None:
        """Delete the rounds and annotations of claimed items and their labels; mark the rows as erased."""
        pairs = columns(sorted(keys), 2)
        for statement in (_DELETE_ANNOTATIONS, _DELETE_ROUNDS, _MARK_ERASED):
            await self._connection.execute(statement, *pairs)

    async def list_answered_by(self, annotator_id: str, *, gold: bool, limit: int) -> list[tuple[UUID, ItemKey]]:
        """Annotations of one person, with their items."""
        rows = await self._connection.fetch(
            "SELECT annotation_id, project_id, item_id FROM annotations WHERE annotator_id = $1 AND gold = $2 LIMIT $3",
            annotator_id,
            gold,
            limit,
        )
        return [(row["annotation_id"], (row["project_id"], row["item_id"])) for row in rows]

    async def lock_gold(self, ids: Sequence[UUID]) -> list[GoldAnswered]:
        """These answers to gold items, their scores locked."""
        await self._connection.execute(
            "SELECT annotation_id FROM gold_results WHERE annotation_id = ANY($1::uuid[]) ORDER BY 1 FOR UPDATE", ids
        )
        rows = await self._connection.fetch(
            "SELECT a.*, g.expected, g.correct FROM annotations a LEFT JOIN gold_results g USING (annotation_id)"
            " WHERE a.annotation_id = ANY($1::uuid[])",
            ids,
        )
        return [self._gold(row) for row in rows]

    async def list_projects_of(self, annotator_id: str) -> set[str]:
        """The projects where a person ever answered; what they answered may be erased already."""
        rows = await self._connection.fetch("SELECT project_id FROM annotators WHERE annotator_id = $1", annotator_id)
        return {row["project_id"] for row in rows}

    async def list_quarantines_of(self, annotator_id: str) -> set[str]:
        """The projects where a person is in quarantine."""
        rows = await self._connection.fetch(
            "SELECT project_id FROM trust WHERE annotator_id = $1 AND quarantined", annotator_id
        )
        return {row["project_id"] for row in rows}

    async def blank_annotators(self, ids: Sequence[UUID], *, late: bool = False) -> None:
        """Nobody gave these annotations any more; with `late` they never count for a label either."""
        if ids:
            await self._connection.execute(
                "UPDATE annotations SET annotator_id = NULL, late = late OR $2 WHERE annotation_id = ANY($1::uuid[])",
                ids,
                late,
            )

    async def delete_annotator(self, annotator_id: str) -> int:
        """Delete a person's rows of counts, which are all zero by now, of conduct and of trust; how many."""
        rows = await self._delete_cells(annotator_id)
        for statement in (
            "DELETE FROM annotators WHERE annotator_id = $1 AND given = 0 AND skipped = 0",
            "DELETE FROM conduct WHERE annotator_id = $1",
            "DELETE FROM trust WHERE annotator_id = $1",
        ):
            done = await self._connection.execute(statement, annotator_id)
            rows += int(done.rsplit(" ", 1)[1])
        return rows

    async def _delete_cells(self, annotator_id: str) -> int:
        """Cells of a class that was renamed are zero in sum only: what was added under one name goes under another."""
        found = await self._connection.fetch(
            "SELECT project_id, truth, answered, source, answers, weight FROM annotator_counts WHERE annotator_id = $1",
            annotator_id,
        )
        answers, weights = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for row in found:
            answers[self._cell(row)] += row["answers"]
            weights[self._cell(row)] += row["weight"]
        empty = [row for row in found if not answers[self._cell(row)] and not weights[self._cell(row)]]
        await self._connection.execute(
            "DELETE FROM annotator_counts AS c USING unnest($2::text[], $3::text[], $4::text[], $5::text[])"
            " AS k(p, t, a, s) WHERE c.annotator_id = $1 AND c.project_id = k.p AND c.truth = k.t AND c.answered = k.a"
            " AND c.source = k.s",
            annotator_id,
            *columns([(r["project_id"], r["truth"], r["answered"], r["source"]) for r in empty], 4),
        )
        return len(empty)

    def _cell(self, row: Any) -> tuple[str, ...]:
        name = self.names(row["project_id"]).symbol
        return row["project_id"], name(row["truth"]), name(row["answered"]), row["source"]

    async def blank_snapshots(self, annotator_id: str, projects: Iterable[str]) -> int:
        """Let a person's counts in stored snapshots be nobody's; how many snapshots that changed.

        Waits for a snapshot that is being taken; the next one does not know the person.
        """
        changed = 0
        for project in sorted(set(projects)):
            await self._connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('qc.snapshot.' || $1, 0))", project
            )
        numbers = await self._connection.fetch(
            "SELECT project_id, number FROM snapshots WHERE project_id = ANY($1::text[]) AND body IS NOT NULL"
            " ORDER BY project_id, number",
            sorted(set(projects)),
        )
        for row in numbers:
            body = await self._connection.fetchval(
                "SELECT body FROM snapshots WHERE project_id = $1 AND number = $2 FOR UPDATE", *row
            )
            fresh = None if body is None else await asyncio.to_thread(_without, body, annotator_id)
            if fresh is not None:
                await self._connection.execute(
                    "UPDATE snapshots SET body = $3 WHERE project_id = $1 AND number = $2", *row, fresh
                )
                changed += 1
        return changed


def _without(body: bytes, annotator_id: str) -> bytes | None:
    """A snapshot's body without a person; None where it does not name them."""
    text = zlib.decompress(body).decode()
    fresh = without(text, annotator_id)
    return None if fresh == text else zlib.compress(fresh.encode(), 6)
