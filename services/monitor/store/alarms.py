"""Statements on alarms about drift."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from shared.events import DriftAlarm


class KeptAlarm(NamedTuple):
    """An alarm as it was last told."""

    project_id: str
    alarm: DriftAlarm


class AlarmStore:
    """Statements on one connection, inside its transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def list_alarms(
        self, project_id: str | None = None, *, open_only: bool = False, limit: int = 1000
    ) -> list[KeptAlarm]:
        """The newest alarms, of one project or of all, the latest opened first."""
        rows = await self._connection.fetch(
            "SELECT project_id, alarm::text AS alarm FROM alarms WHERE ($1::text IS NULL OR project_id = $1)"
            " AND NOT ($2 AND resolved_at IS NOT NULL) ORDER BY opened_at DESC, alarm_id LIMIT $3",
            project_id,
            open_only,
            limit,
        )
        return [KeptAlarm(row["project_id"], DriftAlarm.model_validate_json(row["alarm"])) for row in rows]

    async def claim_open(self, project_id: str) -> list[DriftAlarm]:
        """Lock the open alarms of a project, for whoever tells them again with the next number."""
        rows = await self._connection.fetch(
            "SELECT alarm::text AS alarm FROM alarms WHERE project_id = $1 AND resolved_at IS NULL"
            " ORDER BY signal, slice, alarm_id FOR UPDATE",
            project_id,
        )
        return [DriftAlarm.model_validate_json(row["alarm"]) for row in rows]

    async def claim_unexplained(self, project_id: str, since: datetime, unbilled: datetime) -> list[DriftAlarm]:
        """Lock the alarms of a project of which not all is told.

        Those that are open; that resolved since `since` before anybody was suspected; and that are over since
        `unbilled` and have an impact that was counted up to another time.
        """
        rows = await self._connection.fetch(
            "SELECT alarm::text AS alarm FROM alarms WHERE project_id = $1 AND (resolved_at IS NULL"
            " OR (state = 'resolved' AND resolved_at >= $2 AND alarm->'suspects' = '[]')"
            " OR (resolved_at >= $3 AND (alarm->'impact'->>'until')::timestamptz <> resolved_at))"
            " ORDER BY signal, slice, alarm_id FOR UPDATE",
            project_id,
            since,
            unbilled,
        )
        return [DriftAlarm.model_validate_json(row["alarm"]) for row in rows]

    async def save_alarms(self, alarms: Iterable[KeptAlarm]) -> set[tuple[str, int]]:
        """Keep alarms as they are told now; (alarm id, number) of those told for the first time."""
        rows = [
            (a.alarm_id, project, a.subject.signal, a.subject.slice, a.state, a.number, a.opened_at, a.resolved_at,
             a.model_dump_json())
            for project, a in sorted(alarms, key=lambda kept: (str(kept.alarm.alarm_id), kept.alarm.number))
        ]  # fmt: skip
        newest = {row[0]: row for row in rows}
        if not newest:
            return set()
        found = await self._connection.fetch(
            "INSERT INTO alarms AS a"
            " (alarm_id, project_id, signal, slice, state, number, opened_at, resolved_at, alarm)"
            " SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[],"
            " $7::timestamptz[], $8::timestamptz[], $9::jsonb[])"
            " ON CONFLICT (alarm_id) DO UPDATE SET state = excluded.state, number = excluded.number,"
            " resolved_at = excluded.resolved_at, alarm = excluded.alarm WHERE a.number < excluded.number"
            " RETURNING alarm_id, number",
            *map(list, zip(*newest.values(), strict=True)),
        )
        return {(str(row["alarm_id"]), row["number"]) for row in found}

    async def delete_alarms(self, signal: str, slice_: str) -> int:
        """Forget the alarms about one part of the traffic, in every project; how many."""
        done = await self._connection.execute("DELETE FROM alarms WHERE signal = $1 AND slice = $2", signal, slice_)
        return int(done.rsplit(" ", 1)[1])


OLD_ALARMS = (
    "DELETE FROM alarms WHERE ctid = ANY(ARRAY(SELECT ctid FROM alarms WHERE resolved_at < $1"
    " ORDER BY resolved_at LIMIT $2 FOR UPDATE SKIP LOCKED))"
)
