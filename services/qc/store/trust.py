"""Who is trusted, and what stands on those who are not."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.qc.domain.trust import Trust
from services.qc.store.rows import columns

Person = tuple[str, str]
"""(project, annotator)."""


class TrustStore:
    """Statements on one connection, inside its transaction. Rows of `trust` are locked last, by key."""

    _connection: Any

    async def claim_trust(self, people: Iterable[Person]) -> dict[Person, Trust]:
        """Lock the rows of these people, made where missing."""
        pairs = columns(sorted(set(people)), 2)
        if not pairs[0]:
            return {}
        await self._connection.execute(
            "INSERT INTO trust (project_id, annotator_id)"
            " SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
            *pairs,
        )
        rows = await self._connection.fetch(
            "SELECT t.* FROM trust t JOIN unnest($1::text[], $2::text[]) AS k(project_id, annotator_id)"
            " USING (project_id, annotator_id) ORDER BY t.project_id, t.annotator_id FOR UPDATE OF t",
            *pairs,
        )
        return {(row["project_id"], row["annotator_id"]): _trust(row) for row in rows}

    async def save_trust(self, people: Mapping[Person, Trust]) -> None:
        """Write claimed rows."""
        if not people:
            return
        rows = [
            (*who, t.answers, t.correct, t.evidence, t.quarantined, t.reason, t.changed_at, t.since, t.review)
            for who, t in sorted(people.items())
        ]
        await self._connection.execute(
            "UPDATE trust AS t SET answers = n.answers, correct = n.correct, evidence = n.evidence,"
            " quarantined = n.quarantined, reason = n.reason, changed_at = n.changed_at, since = n.since,"
            " review = n.review"
            " FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::double precision[], $6::boolean[],"
            " $7::text[], $8::timestamptz[], $9::bigint[], $10::bigint[]) AS n(project_id, annotator_id, answers,"
            " correct, evidence, quarantined, reason, changed_at, since, review)"
            " WHERE t.project_id = n.project_id AND t.annotator_id = n.annotator_id",
            *columns(rows, 10),
        )

    async def list_gold_history(self, people: Mapping[Person, Trust]) -> dict[Person, list[bool]]:
        """Every scored answer to gold of these people since they were forgiven, in the order of arrival."""
        keys = sorted((*who, trust.since) for who, trust in people.items())
        rows = await self._connection.fetch(
            "SELECT a.project_id, a.annotator_id, g.correct"
            " FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k(project_id, annotator_id, since)"
            " JOIN annotations a ON a.project_id = k.project_id AND a.annotator_id = k.annotator_id"
            " AND a.seq > k.since AND a.outcome = 'answered' AND a.gold"
            " JOIN gold_results g USING (annotation_id) WHERE g.correct IS NOT NULL ORDER BY a.seq",
            *columns(keys, 3),
        )
        found: dict[Person, list[bool]] = {who: [] for who in people}
        for row in rows:
            found[row["project_id"], row["annotator_id"]].append(row["correct"])
        return found

    async def get_latest_seq(self) -> int:
        """The number of the newest annotation."""
        last = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('annotations', 'seq')), 0)"
        return int(await self._connection.fetchval(last))

    async def list_quarantined(self, projects: Iterable[str]) -> dict[str, frozenset[str]]:
        """Project -> people in quarantine."""
        wanted = sorted(set(projects))
        rows = await self._connection.fetch(
            "SELECT project_id, annotator_id FROM trust WHERE quarantined AND project_id = ANY($1::text[])", wanted
        )
        found: dict[str, set[str]] = {project: set() for project in wanted}
        for row in rows:
            found[row["project_id"]].add(row["annotator_id"])
        return {project: frozenset(people) for project, people in found.items()}

    async def get_review(self) -> tuple[Person, Trust] | None:
        """One person whose items are to be reviewed. Not locked: the items are, first; see `claim_trust`."""
        row = await self._connection.fetchrow(
            "SELECT * FROM trust WHERE review IS NOT NULL ORDER BY project_id, annotator_id LIMIT 1"
        )
        return None if row is None else ((row["project_id"], row["annotator_id"]), _trust(row))

    async def list_items_of(self, person: Person, after: int, limit: int) -> list[tuple[int, str]]:
        """(seq, item) of one person's answers to items of the stream, in the order of arrival."""
        rows = await self._connection.fetch(
            "SELECT seq, item_id FROM annotations WHERE project_id = $1 AND annotator_id = $2"
            " AND outcome = 'answered' AND seq > $3 AND NOT gold ORDER BY seq LIMIT $4",
            *person,
            after,
            limit,
        )
        return [(row["seq"], row["item_id"]) for row in rows]


def _trust(row: Any) -> Trust:
    return Trust(
        answers=row["answers"],
        correct=row["correct"],
        evidence=row["evidence"],
        quarantined=row["quarantined"],
        reason=row["reason"],
        changed_at=row["changed_at"],
        since=row["since"],
        review=row["review"],
    )
