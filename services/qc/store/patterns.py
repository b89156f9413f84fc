"""Wrong answers as examples of error patterns."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from services.qc.domain.conduct import ItemKey
from services.qc.domain.patterns import Dispute
from services.qc.store.rows import columns
from shared.labels import Names


class PatternStore:
    """Statements on one connection, inside its transaction. The items are locked; gold rows are only added to."""

    _connection: Any
    names: Callable[[str], Names]

    async def save_disputes(self, found: Sequence[Dispute]) -> None:
        """Write the wrong answers to items that the caller has claimed; an item's earlier ones are replaced."""
        if not found:
            return
        await self._connection.execute(
            "DELETE FROM disputes d USING unnest($1::text[], $2::text[]) AS k(p, i)"
            " WHERE d.project_id = k.p AND d.item_id = k.i AND NOT d.gold",
            *columns(sorted({one.key for one in found}), 2),
        )
        rows = [(*one.key, one.truth, one.answered, one.times, one.answers) for one in found]
        await self._connection.execute(
            "INSERT INTO disputes (project_id, item_id, gold, truth, answered, times, answers)"
            " SELECT p, i, false, t, a, n, m FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[],"
            " $6::integer[]) AS k(p, i, t, a, n, m)",
            *columns(rows, 6),
        )

    async def count_gold_disputes(self, project: str) -> list[Dispute]:
        """Wrong answers to gold items. Reads all scores of the project: not for every run."""
        rows = await self._connection.fetch(
            "SELECT g.item_id, g.expected, a.symbol, count(*) AS times, sum(count(*)) OVER (PARTITION BY g.item_id)"
            " AS answers FROM gold_results g JOIN annotations a USING (annotation_id)"
            " WHERE g.project_id = $1 AND g.correct IS NOT NULL GROUP BY 1, 2, 3",
            project,
        )
        named, said = self.names(project), Counter[tuple[str, str, str, int]]()
        for r in rows:
            said[r["item_id"], named.symbol(r["expected"]), named.symbol(r["symbol"]), int(r["answers"])] += r["times"]
        return [
            Dispute((project, item), True, expected, symbol, times, answers)
            for (item, expected, symbol, answers), times in said.items()
            if expected != symbol
        ]

    async def list_disputes(self, project: str, limit: int) -> list[Dispute]:
        """The newest wrong answers to items of the stream."""
        rows = await self._connection.fetch(
            "SELECT * FROM disputes WHERE project_id = $1 ORDER BY seq DESC LIMIT $2", project, limit
        )
        name = self.names(project).symbol
        return [
            Dispute((project, r["item_id"]), r["gold"], name(r["truth"]), name(r["answered"]), r["times"], r["answers"])
            for r in rows
        ]

    async def trim_disputes(self, project: str, keep: int) -> None:
        """Forget the oldest ones."""
        await self._connection.execute(
            "DELETE FROM disputes WHERE project_id = $1 AND seq <="
            " (SELECT seq FROM disputes WHERE project_id = $1 ORDER BY seq DESC OFFSET $2 LIMIT 1)",
            project,
            keep,
        )

    async def count_cells(self, project: str) -> dict[tuple[str, str], int]:
        """(truth, answered) -> judged answers of everybody."""
        rows = await self._connection.fetch(
            "SELECT truth, answered, sum(answers)::bigint AS n FROM annotator_counts WHERE project_id = $1"
            " GROUP BY 1, 2 HAVING sum(answers) <> 0",
            project,
        )
        name, found = self.names(project).symbol, Counter[tuple[str, str]]()
        for row in rows:
            found[name(row["truth"]), name(row["answered"])] += row["n"]
        return {cell: n for cell, n in found.items() if n}

    async def delete_disputes(self, keys: Sequence[ItemKey]) -> None:
        """Erased items are no examples."""
        await self._connection.execute(
            "DELETE FROM disputes d USING unnest($1::text[], $2::text[]) AS k(p, i)"
            " WHERE d.project_id = k.p AND d.item_id = k.i",
            *columns(sorted(keys), 2),
        )
