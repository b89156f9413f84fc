"""What plans of gold are made of."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from services.qc.domain.conduct import Person
from services.qc.domain.goldplan import Tried
from services.qc.domain.trust import Trust
from services.qc.store.rows import columns


class GoldPlanStore:
    """Statements on one connection, inside its transaction."""

    _connection: Any

    async def list_unplanned(self, projects: Iterable[str], limit: int) -> dict[Person, Trust]:
        """People with other gold results than their plan stands on; locked, those that nobody else plans for."""
        rows = await self._connection.fetch(
            "SELECT project_id, annotator_id, answers, correct FROM trust WHERE answers <> planned"
            " AND annotator_id <> '' AND project_id = ANY($1::text[])"
            " ORDER BY project_id, annotator_id LIMIT $2 FOR UPDATE SKIP LOCKED",
            list(projects),
            limit,
        )
        return {(r["project_id"], r["annotator_id"]): Trust(answers=r["answers"], correct=r["correct"]) for r in rows}

    async def mark_planned(self, people: Mapping[Person, Trust]) -> None:
        """Their plans stand on these results."""
        await self._connection.execute(
            "UPDATE trust AS t SET planned = n.answers"
            " FROM unnest($1::text[], $2::text[], $3::bigint[]) AS n(project_id, annotator_id, answers)"
            " WHERE t.project_id = n.project_id AND t.annotator_id = n.annotator_id",
            *columns([(*who, known.answers) for who, known in sorted(people.items())], 3),
        )

    async def list_gold_seen(self, people: Iterable[Person]) -> dict[Person, dict[str, bool]]:
        """Which gold items each of them was scored on, and whether they were right."""
        rows = await self._connection.fetch(
            "SELECT a.project_id, a.annotator_id, a.item_id, g.correct"
            " FROM unnest($1::text[], $2::text[]) AS k(project_id, annotator_id)"
            " JOIN annotations a ON a.project_id = k.project_id AND a.annotator_id = k.annotator_id AND a.gold"
            " JOIN gold_results g USING (annotation_id) WHERE g.correct IS NOT NULL",
            *columns(sorted(people), 2),
        )
        found: defaultdict[Person, dict[str, bool]] = defaultdict(dict)
        for row in rows:
            found[row["project_id"], row["annotator_id"]][row["item_id"]] = row["correct"]
        return dict(found)

    async def count_tried(self, project: str) -> dict[str, Tried]:
        """What people made of each gold item. Reads all scores of the project: not for every run."""
        rows = await self._connection.fetch(
            "SELECT item_id, count(*) AS answers, count(*) FILTER (WHERE NOT correct) AS wrong FROM gold_results"
            " WHERE project_id = $1 AND correct IS NOT NULL GROUP BY item_id",
            project,
        )
        return {row["item_id"]: Tried(row["answers"], row["wrong"]) for row in rows}
