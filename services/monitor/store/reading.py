"""Statements that only read, for metrics, the read API and the status page. Each is bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from services.monitor.domain.counters import Counts, Key, Kind
from services.monitor.domain.facts import Facts
from services.monitor.domain.figures import BANDS, People
from services.monitor.store.flow import facts_of
from shared.events import Skill

_SUBJECT = "annotator#"


@dataclass(frozen=True, slots=True)
class Person:
    """An annotator as qc last measured them in a project."""

    skill: Skill
    measured_at: datetime
    quarantined: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for another round that monitor made."""

    item_id: str
    round: int
    cause: str
    requested_at: datetime


class ReadingStore:
    """The statements, on the connection of one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def list_measured(
        self, kinds: Sequence[str], of: Any, *, since: datetime | None = None
    ) -> list[tuple[str, Any]]:
        """(project, measurement) of the newest of these kinds, which are never about a person; `of`: their type.

        `since`: none that was last measured before.
        """
        rows = await self._connection.fetch(
            "SELECT project_id, measurement::text AS measurement FROM measurements WHERE kind = ANY($1::text[])"
            " AND ($2::timestamptz IS NULL OR measured_at >= $2) ORDER BY project_id, subject, kind",
            list(kinds),
            since,
        )
        adapter: TypeAdapter[Any] = TypeAdapter(of)
        return [(row["project_id"], adapter.validate_json(row["measurement"])) for row in rows]

    async def count_people(self) -> dict[str, People]:
        """Per project, annotators by tenths of accuracy, and those in quarantine."""
        rows = await self._connection.fetch(
            "SELECT project_id, least(floor((measurement->>'accuracy')::float8 * $1), $1 - 1)::int AS band,"
            " count(*)::int AS n FROM measurements WHERE kind = 'skill' GROUP BY 1, 2",
            BANDS,
        )
        held = await self._connection.fetch(
            "SELECT project_id, count(*)::int AS n FROM measurements"
            " WHERE kind = 'quarantine' AND (measurement->>'active')::boolean GROUP BY 1"
        )
        bands: dict[str, dict[int, int]] = {}
        for row in rows:
            bands.setdefault(row["project_id"], {})[row["band"]] = row["n"]
        quarantined = {row["project_id"]: row["n"] for row in held}
        return {name: People(bands.get(name, {}), quarantined.get(name, 0)) for name in {*bands, *quarantined}}

    async def count_classes(self, since: int, until: int) -> Counts:
        """Predicted and given classes of the time buckets that start in [since, until), summed up over them.

        Of objects `part` says whose they are, of the others it is left out.
        """
        rows = await self._connection.fetch(
            "SELECT project_id, kind, CASE WHEN kind = $4 THEN part ELSE '' END AS of, symbol, sum(n)::bigint AS n"
            " FROM counters WHERE bucket >= $1 AND bucket < $2 AND (kind = ANY($3::text[]) OR kind = $4)"
            " GROUP BY 1, 2, 3, 4",
            max(since, 1),
            until,
            [Kind.PREDICTED.value, Kind.LABELLED.value],
            Kind.OBJECTS.value,
        )
        return Counts({Key(r["project_id"], Kind(r["kind"]), r["of"], r["symbol"], since): r["n"] for r in rows})

    async def list_people(self, project_id: str, *, after: str, limit: int) -> list[Person]:
        """Annotators with a measured skill, by id, from the one after `after` on."""
        rows = await self._connection.fetch(
            "SELECT s.measurement::text AS skill, s.measured_at, q.measurement->>'reason' AS reason,"
            " coalesce((q.measurement->>'active')::boolean, false) AS quarantined"
            " FROM measurements AS s LEFT JOIN measurements AS q"
            " ON q.project_id = s.project_id AND q.subject = s.subject AND q.kind = 'quarantine'"
            " WHERE s.kind = 'skill' AND s.project_id = $1 AND s.subject COLLATE \"C\" > $2"
            ' ORDER BY s.subject COLLATE "C" LIMIT $3',
            project_id,
            _SUBJECT + after,
            limit,
        )
        return [
            Person(Skill.model_validate_json(row["skill"]), row["measured_at"], row["quarantined"], row["reason"] or "")
            for row in rows
        ]

    async def get_item(self, project_id: str, item_id: str) -> Facts | None:
        """What is known of one item; None where nothing is."""
        row = await self._connection.fetchrow(
            "SELECT bits, generation, round, step, route, labels, path FROM items"
            " WHERE project_id = $1 AND item_id = $2",
            project_id,
            item_id,
        )
        return facts_of(row) if row is not None else None

    async def list_asked(
        self, project_id: str, *, before: datetime | None, limit: int, item_id: str | None = None
    ) -> list[Asked]:
        """Requests for another round, the newest first; of one item where it is given."""
        rows = await self._connection.fetch(
            "SELECT item_id, round, cause, requested_at FROM relabels WHERE project_id = $1"
            " AND ($2::timestamptz IS NULL OR requested_at < $2) AND ($4::text IS NULL OR item_id = $4)"
            " ORDER BY requested_at DESC, item_id LIMIT $3",
            project_id,
            before,
            limit,
            item_id,
        )
        return [Asked(row["item_id"], row["round"], row["cause"], row["requested_at"]) for row in rows]
