"""Statements on labels that wait for another round, and on what is believed of models and people."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from services.monitor.domain.observe import ItemKey
from services.monitor.domain.relabel import Doubt
from shared.events import RelabelCause


class DoubtStore:
    """Statements on one connection, inside its transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def add_doubts(self, doubts: Iterable[Doubt]) -> None:
        """Let doubts wait: the newest of an item, none that was asked for before or of an erased item."""
        newest = {(one.project_id, one.item_id): one for one in sorted(doubts, key=lambda one: one.version)}
        rows = [
            (*key, d.version, d.cause.value, d.wrong, d.confidence, d.model_version, d.labelled_at)
            for key, d in sorted(newest.items())
        ]
        if rows:
            await self._connection.execute(
                "INSERT INTO doubts AS d (project_id, item_id, version, cause, wrong, confidence, model_version,"
                " labelled_at) SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::float8[],"
                " $6::float8[], $7::text[], $8::timestamptz[]) AS n(p, i, v, c, w, s, m, at)"
                " WHERE NOT EXISTS (SELECT FROM relabels AS r WHERE r.project_id = p AND r.item_id = i AND r.cause = c)"
                " AND NOT EXISTS (SELECT FROM erasures AS e WHERE e.subject = p || '/' || i)"
                " ON CONFLICT (project_id, item_id) DO UPDATE SET version = excluded.version, cause = excluded.cause,"
                " wrong = excluded.wrong, confidence = excluded.confidence, model_version = excluded.model_version,"
                " labelled_at = excluded.labelled_at WHERE d.version < excluded.version",
                *map(list, zip(*rows, strict=True)),
            )

    async def drop_older(self, versions: Mapping[ItemKey, int]) -> None:
        """Forget doubts about labels that newer versions have replaced."""
        if versions:
            rows = sorted((*key, version) for key, version in versions.items())
            await self._connection.execute(
                "DELETE FROM doubts AS d USING unnest($1::text[], $2::text[], $3::smallint[]) AS n(p, i, v)"
                " WHERE d.project_id = n.p AND d.item_id = n.i AND d.version < n.v",
                *map(list, zip(*rows, strict=True)),
            )

    async def list_waiting(self) -> list[str]:
        """The projects that have doubts waiting."""
        rows = await self._connection.fetch("SELECT DISTINCT project_id FROM doubts ORDER BY project_id")
        return [row["project_id"] for row in rows]

    async def list_best(self, project_id: str, limit: int) -> list[Doubt]:
        """The best that wait, the best first."""
        rows = await self._connection.fetch(
            "SELECT project_id, item_id, version, cause, wrong, confidence, model_version, labelled_at FROM doubts"
            " WHERE project_id = $1 ORDER BY wrong DESC, item_id LIMIT $2",
            project_id,
            limit,
        )
        return [
            Doubt(r["project_id"], r["item_id"], r["version"], RelabelCause(r["cause"]), *tuple(r)[4:]) for r in rows
        ]

    async def list_items(self, project_id: str, since: datetime, limit: int) -> list[str]:
        """The items whose labels since then are likeliest wrong."""
        rows = await self._connection.fetch(
            "SELECT item_id FROM doubts WHERE project_id = $1 AND labelled_at >= $2 ORDER BY wrong DESC, item_id"
            " LIMIT $3",
            project_id,
            since,
            limit,
        )
        return [row["item_id"] for row in rows]

    async def forget_items(self, keys: Iterable[ItemKey]) -> None:
        """Delete what waits of these items."""
        ordered = sorted(set(keys))
        if ordered:
            await self._connection.execute(
                "DELETE FROM doubts AS d USING unnest($1::text[], $2::text[]) AS n(p, i)"
                " WHERE d.project_id = n.p AND d.item_id = n.i",
                [project for project, _ in ordered],
                [item for _, item in ordered],
            )

    async def trim(self, project_id: str, kept: int, before: datetime) -> int:
        """Delete what is not among the best `kept`, or of labels older than that; how many, at most 5000 at a time."""
        done = await self._connection.execute(
            "DELETE FROM doubts WHERE ctid = ANY(ARRAY((SELECT ctid FROM doubts WHERE project_id = $1"
            " ORDER BY wrong DESC, item_id OFFSET $2 LIMIT 5000) UNION"
            " (SELECT ctid FROM doubts WHERE project_id = $1 AND labelled_at < $3 LIMIT 5000)))",
            project_id,
            kept,
            before,
        )
        return int(done.rsplit(" ", 1)[1])

    async def list_accuracies(self) -> dict[tuple[str, str], float]:
        """The accuracy of each person in each project, as it was last measured."""
        rows = await self._connection.fetch(
            "SELECT project_id, measurement->>'annotator_id' AS who, (measurement->>'accuracy')::float8 AS accuracy"
            " FROM measurements WHERE kind = 'skill'"
        )
        return {(row["project_id"], row["who"]): row["accuracy"] for row in rows}
