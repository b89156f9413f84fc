"""Numbered snapshots of the counts, from which parameters are built."""

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from services.qc.domain.kinds.kind import Given as Fused
from services.qc.domain.refresh import Given
from services.qc.store.rows import VALUE, columns
from shared.labels import LabelValue, Names

REBUILT = "rebuilt"
"""The digest of a number that is only known from the own output: it is never given again."""
GIVEN_ROWS = 20_000
NEWER_THAN_ALL = 2**63 - 1


class SnapshotStore:
    """Statements on one connection, inside its transaction."""

    _connection: Any
    names: Callable[[str], Names]

    async def get_latest(self, projects: Iterable[str]) -> dict[str, int]:
        """The newest snapshot of each project that has one."""
        rows = await self._connection.fetch(
            "SELECT p.project_id, s.number FROM unnest($1::text[]) AS p(project_id) CROSS JOIN LATERAL"
            " (SELECT number FROM snapshots s WHERE s.project_id = p.project_id AND s.body IS NOT NULL"
            " ORDER BY number DESC LIMIT 1) s",
            sorted(set(projects)),
        )
        return {row["project_id"]: row["number"] for row in rows}

    async def get_bodies(self, numbers: Mapping[str, int]) -> dict[str, str]:
        """The packed counts of these snapshots."""
        if not numbers:
            return {}
        rows = await self._connection.fetch(
            "SELECT s.project_id, s.body FROM snapshots s"
            " JOIN unnest($1::text[], $2::bigint[]) AS k(project_id, number) USING (project_id, number)",
            list(numbers),
            list(numbers.values()),
        )
        return {row["project_id"]: zlib.decompress(row["body"]).decode() for row in rows}

    async def list_growth(self) -> dict[str, tuple[int, int, datetime | None]]:
        """Project -> (answers taken in by now, by the newest snapshot, when that was); reads a row per annotator."""
        rows = await self._connection.fetch(
            "SELECT a.project_id, a.given, coalesce(s.given, 0) AS known, s.created_at FROM"
            " (SELECT project_id, sum(given)::bigint AS given FROM annotators GROUP BY project_id) a"
            " LEFT JOIN LATERAL (SELECT given, created_at FROM snapshots s WHERE s.project_id = a.project_id"
            " AND s.body IS NOT NULL ORDER BY number DESC LIMIT 1) s ON true"
        )
        return {r["project_id"]: (r["given"], r["known"], r["created_at"]) for r in rows}

    async def list_given_by_people(self) -> dict[str, int]:
        """Project -> answers by those who are not erased; reads a row per annotator."""
        rows = await self._connection.fetch(
            "SELECT project_id, sum(given)::bigint AS given FROM annotators WHERE annotator_id <> ''"
            " GROUP BY project_id"
        )
        return {row["project_id"]: row["given"] for row in rows}

    async def count_undecided(self, project_id: str) -> int:
        """Rounds of a project that were looked at and did not end."""
        found: int = await self._connection.fetchval(
            "SELECT count(*) FROM rounds WHERE project_id = $1 AND ended IS NULL AND (asked > 0 OR expert_asked)",
            project_id,
        )
        return found

    async def list_undecided(self, project_id: str, limit: int) -> list[tuple[str, str, str]]:
        """(item, annotator, symbol) of the answers in undecided rounds of at most `limit` items, drawn by hash."""
        rows = await self._connection.fetch(
            "SELECT a.item_id, coalesce(a.annotator_id, '') AS annotator_id, a.symbol FROM"  # noqa: S608  # a number
            " (SELECT project_id, item_id, round FROM rounds WHERE project_id = $1 AND ended IS NULL"
            " AND (asked > 0 OR expert_asked) ORDER BY hashtextextended(item_id, 0)"
            f" LIMIT {limit:d}) r"  # a parameter's plan would sort all of them
            " JOIN annotations a ON a.project_id = r.project_id AND a.item_id = r.item_id AND a.round = r.round"
            " WHERE NOT a.gold AND NOT a.late AND a.outcome = 'answered' ORDER BY a.item_id, a.seq",
            project_id,
        )
        name = self.names(project_id).symbol
        return [(row["item_id"], row["annotator_id"], name(row["symbol"])) for row in rows]

    async def list_given(self, project_id: str, limit: int) -> list[Given]:
        """The newest answers of annotators, gold left out, newest first; with the truth where an expert said it.

        Answers of erased people are left out: nobody's confusions are learned from them. One statement per GIVEN_ROWS.
        """
        found: list[Given] = []
        names = self.names(project_id)
        while len(found) < limit:
            size = min(GIVEN_ROWS, limit - len(found))
            rows = await self._connection.fetch(
                "SELECT a.item_id, a.annotator_id, a.symbol, a.seq,"
                " CASE WHEN i.label_path = 'expert' THEN i.label_symbol END AS known, NOT a.saw_proposal,"
                " a.predicted, a.round, a.guideline_version, a.slice FROM (SELECT item_id, annotator_id, symbol, seq,"
                " saw_proposal, predicted, round, guideline_version, slice FROM annotations"
                " WHERE project_id = $1 AND NOT gold AND outcome = 'answered' AND role = 'annotator'"
                " AND annotator_id IS NOT NULL AND seq < $2"
                " ORDER BY seq DESC LIMIT $3) a"
                " LEFT JOIN items i ON i.project_id = $1 AND i.item_id = a.item_id ORDER BY a.seq DESC",
                project_id,
                found[-1].seq if found else NEWER_THAN_ALL,
                size,
            )
            found += [_named(Given(*row), names) for row in rows]
            if len(rows) < size:
                break
        return found

    async def list_values(self, project_id: str, limit: int) -> list[tuple[str, Fused[LabelValue]]]:
        """The newest answers of annotators with their values, gold left out: (round of an item, answer)."""
        rows = await self._connection.fetch(
            "SELECT item_id, round, annotator_id, value FROM annotations WHERE project_id = $1 AND NOT gold"
            " AND outcome = 'answered' AND role = 'annotator' AND annotator_id IS NOT NULL ORDER BY seq DESC LIMIT $2",
            project_id,
            limit,
        )
        name = self.names(project_id).value
        return [
            (f"{r['round']}:{r['item_id']}", Fused(r["annotator_id"], name(VALUE.validate_json(r["value"]))))
            for r in rows
        ]

    async def list_gold_given(self, project_id: str, limit: int) -> list[Given]:
        """The newest answers to gold items, newest first."""
        rows = await self._connection.fetch(
            "SELECT item_id, annotator_id, symbol, seq FROM annotations WHERE project_id = $1 AND gold"
            " AND outcome = 'answered' AND annotator_id IS NOT NULL ORDER BY seq DESC LIMIT $2",
            project_id,
            limit,
        )
        return [_named(Given(*row), self.names(project_id)) for row in rows]

    async def lock_project(self, project_id: str, work: str = "snapshot") -> bool:
        """Whether this transaction may do this work for the project; one replica at a time."""
        found: bool = await self._connection.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('qc.' || $2 || '.' || $1, 0))", project_id, work
        )
        return found

    async def get_newest(self, project_id: str) -> tuple[int, str | None]:
        """The highest number of a project (0: none), and its digest."""
        row = await self._connection.fetchrow(
            "SELECT number, digest FROM snapshots WHERE project_id = $1 ORDER BY number DESC LIMIT 1", project_id
        )
        return (0, None) if row is None else (row["number"], row["digest"])

    async def save_snapshot(
        self, project_id: str, number: int, *, now: datetime, judged: int, given: int, digest: str, body: str
    ) -> None:
        """Write a snapshot."""
        await self._connection.execute(
            "INSERT INTO snapshots (project_id, number, created_at, judged, given, digest, body)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            project_id,
            number,
            now,
            judged,
            given,
            digest,
            zlib.compress(body.encode(), 6),
        )

    async def save_given(self, project_id: str, number: int, given: int) -> None:
        """Write that a snapshot is what more answers come to, too."""
        await self._connection.execute(
            "UPDATE snapshots SET given = $3 WHERE project_id = $1 AND number = $2", project_id, number, given
        )

    async def forget_bodies(self, project_id: str, *, keep: int) -> None:
        """Drop the counts of all but the newest snapshots; their numbers and digests stay."""
        await self._connection.execute(
            "UPDATE snapshots SET body = NULL WHERE project_id = $1 AND body IS NOT NULL AND number <="
            " (SELECT number FROM snapshots WHERE project_id = $1 AND body IS NOT NULL ORDER BY number DESC"
            " OFFSET $2 LIMIT 1)",
            project_id,
            keep,
        )

    async def delete_old(self, before: datetime, limit: int) -> int:
        """Delete numbers and digests from before then, never the newest of a project; how many."""
        done = await self._connection.execute(
            "DELETE FROM snapshots WHERE (project_id, number) IN (SELECT s.project_id, s.number FROM snapshots s"
            " WHERE s.created_at < $1 AND s.body IS NULL AND EXISTS (SELECT FROM snapshots n"
            "  WHERE n.project_id = s.project_id AND n.number > s.number)"
            " ORDER BY s.created_at LIMIT $2 FOR UPDATE OF s SKIP LOCKED)",
            before,
            limit,
        )
        return int(done.rsplit(" ", 1)[1])

    async def save_numbers(self, numbers: Mapping[str, int], *, now: datetime) -> None:
        """Remember the highest numbers that the own output names, so that none is given twice."""
        rows = sorted((project, number) for project, number in numbers.items() if number > 0)
        if rows:
            await self._connection.execute(
                "INSERT INTO snapshots (project_id, number, created_at, judged, given, digest)"
                " SELECT p, n, $3, 0, 0, $4 FROM unnest($1::text[], $2::bigint[]) AS k(p, n) ON CONFLICT DO NOTHING",
                *columns(rows, 2),
                now,
                REBUILT,
            )


def _named(one: Given, names: Names) -> Given:
    """An answer in present names."""
    if not names:
        return one
    predicted = None if one.predicted is None else json.dumps(names.shares(json.loads(one.predicted)))
    known = None if one.known is None else names.symbol(one.known)
    return one._replace(symbol=names.symbol(one.symbol), known=known, predicted=predicted)
