"""The integer counts."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from services.qc.domain.counts import CellCount, named_cells
from services.qc.domain.facts import Facts
from services.qc.store.rows import columns
from shared.labels import Names


class CountStore:
    """Statements on one connection, inside its transaction."""

    _connection: Any
    names: Callable[[str], Names]

    async def add_facts(self, delta: Mapping[str, Facts]) -> None:
        """Add to every count, by project; at most one statement a table."""
        found = {project: facts.nonzero() for project, facts in delta.items()}
        await self._add_cells(found)
        await self._add_annotators(found)
        await self._add_classes(found)
        await self._add_agreement(found)

    async def _add_cells(self, delta: Mapping[str, Facts]) -> None:
        rows = sorted(
            (project, *key, facts.answers[key], facts.weights[key])
            for project, facts in delta.items()
            for key in facts.answers.keys() | facts.weights.keys()
        )
        if rows:
            await self._connection.execute(
                "INSERT INTO annotator_counts AS c (project_id, annotator_id, truth, answered, source, answers, weight)"
                " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],"
                " $7::bigint[]) ON CONFLICT (project_id, annotator_id, truth, answered, source)"
                " DO UPDATE SET answers = c.answers + excluded.answers, weight = c.weight + excluded.weight",
                *columns(rows, 7),
            )

    async def _add_annotators(self, delta: Mapping[str, Facts]) -> None:
        rows = sorted(
            (project, name, facts.given[name], facts.skipped[name], name in judged)
            for project, facts in delta.items()
            for judged in [{key[0] for key in facts.answers.keys() | facts.weights.keys()}]
            for name in facts.given.keys() | facts.skipped.keys() | judged
        )
        if rows:
            await self._connection.execute(
                "INSERT INTO annotators AS a (project_id, annotator_id, given, skipped, dirty)"
                " SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::boolean[])"
                " ON CONFLICT (project_id, annotator_id) DO UPDATE SET given = a.given + excluded.given,"
                " skipped = a.skipped + excluded.skipped, dirty = a.dirty OR excluded.dirty",
                *columns(rows, 5),
            )

    async def _add_classes(self, delta: Mapping[str, Facts]) -> None:
        rows = sorted(
            (project, name, facts.answered[name], facts.labelled[name])
            for project, facts in delta.items()
            for name in facts.answered.keys() | facts.labelled.keys()
        )
        if rows:
            await self._connection.execute(
                "INSERT INTO class_counts AS c (project_id, class, answered, labelled)"
                " SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])"
                " ON CONFLICT (project_id, class) DO UPDATE SET answered = c.answered + excluded.answered,"
                " labelled = c.labelled + excluded.labelled",
                *columns(rows, 4),
            )

    async def _add_agreement(self, delta: Mapping[str, Facts]) -> None:
        rows = sorted(
            (project, opinions, facts.rounds[opinions], facts.pairs[opinions])
            for project, facts in delta.items()
            for opinions in facts.rounds.keys() | facts.pairs.keys()
        )
        if rows:
            await self._connection.execute(
                "INSERT INTO agreement_counts AS c (project_id, opinions, rounds, pairs)"
                " SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[])"
                " ON CONFLICT (project_id, opinions) DO UPDATE SET rounds = c.rounds + excluded.rounds,"
                " pairs = c.pairs + excluded.pairs",
                *columns(rows, 4),
            )

    async def list_cells(self, project_id: str) -> list[CellCount]:
        """The cells of one project that are not empty, in present names."""
        rows = await self._connection.fetch(
            "SELECT annotator_id, truth, answered, source, answers, weight FROM annotator_counts"
            " WHERE project_id = $1 AND (answers <> 0 OR weight <> 0)",
            project_id,
        )
        stored = [
            CellCount.stored(r["annotator_id"], (r["truth"], r["answered"]), r["source"], r["answers"], r["weight"])
            for r in rows
        ]
        return named_cells(stored, self.names(project_id))

    async def list_answered(self, project_id: str) -> dict[str, int]:
        """Class -> answers given in one project, in present names."""
        rows = await self._connection.fetch(
            "SELECT class, answered FROM class_counts WHERE project_id = $1 AND answered <> 0", project_id
        )
        counted = self.names(project_id).shares({row["class"]: row["answered"] for row in rows})
        return dict(+Counter(counted))
