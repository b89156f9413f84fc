"""Statements on what the drift detectors have seen and hold."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from services.monitor.domain.drift.keeper import Taken
from services.monitor.domain.drift.signals import Group, Observation

LOCK = ("", "")
"""Signal and slice of the row that is locked while a project's detectors are at work."""


class Cohort(NamedTuple):
    """Items that chance gave to people in one time bucket, and how many of them have their label."""

    project_id: str
    cohort: int


class DriftStore:
    """Statements on one connection, inside its transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def add_observations(self, observations: Iterable[Observation]) -> None:
        """Keep what a batch said, for the drift job."""
        rows = [(*one.group, one.observed_at, one.events()) for one in observations]
        if rows:
            await self._connection.execute(
                "INSERT INTO observations (project_id, signal, slice, cohort, generation, model_version,"
                " guideline_version, observed_at, events)"
                " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[],"
                " $7::integer[], $8::timestamptz[], $9::text[])",
                *map(list, zip(*rows, strict=True)),
            )

    async def add_cohorts(self, due: Mapping[Cohort, int], done: Mapping[Cohort, int]) -> None:
        """Count items that wait for people's labels, and those that got theirs."""
        rows = [(*key, due.get(key, 0), done.get(key, 0)) for key in sorted({*due, *done})]
        if rows:
            await self._connection.execute(
                "INSERT INTO cohorts AS c (project_id, cohort, due, done)"
                " SELECT * FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::integer[])"
                " ON CONFLICT (project_id, cohort)"
                " DO UPDATE SET due = c.due + excluded.due, done = c.done + excluded.done",
                *map(list, zip(*rows, strict=True)),
            )

    async def list_waiting(self) -> list[str]:
        """The projects with observations that are not folded yet."""
        rows = await self._connection.fetch("SELECT DISTINCT project_id FROM observations ORDER BY project_id")
        return [row["project_id"] for row in rows]

    async def claim(self, project_id: str) -> dict[tuple[str, str], str]:
        """Lock a project's detectors; their states by signal and slice."""
        await self._connection.execute(
            "INSERT INTO detectors (project_id, signal, slice, watch, updated_at) VALUES ($1, $2, $3, '', now())"
            " ON CONFLICT DO NOTHING",
            project_id,
            *LOCK,
        )
        await self._connection.execute(
            "SELECT FROM detectors WHERE project_id = $1 AND signal = $2 AND slice = $3 FOR UPDATE", project_id, *LOCK
        )
        rows = await self._connection.fetch(
            "SELECT signal, slice, watch FROM detectors WHERE project_id = $1 AND signal <> ''", project_id
        )
        return {(row["signal"], row["slice"]): row["watch"] for row in rows}

    async def take(self, project_id: str, *, share: float, before: int, limit: int) -> list[Taken]:
        """Take observations in their order: those that wait for no label, and those of cohorts that have matured.

        Args:
            project_id: whose detectors are locked.
            share: of a cohort's items that must have their label.
            before: cohorts from before this time, seconds, are taken as they are.
            limit: at most so many.
        """
        rows = await self._connection.fetch(
            "DELETE FROM observations AS o USING (SELECT n.seq, least(c.done::float8 / nullif(c.due, 0), 1) AS matured"
            " FROM observations n LEFT JOIN cohorts c USING (project_id, cohort) WHERE n.project_id = $1"
            " AND (n.cohort = 0 OR n.cohort < $3 OR c.done >= c.due * $2::float8)"
            " ORDER BY n.cohort, n.seq LIMIT $4) AS t"
            " WHERE o.seq = t.seq RETURNING o.*, t.matured",
            project_id,
            share,
            before,
            limit,
        )
        return [_taken(row) for row in sorted(rows, key=lambda row: (row["cohort"], row["seq"]))]

    async def save(self, project_id: str, states: Mapping[tuple[str, str], str]) -> None:
        """Keep detectors that were claimed."""
        rows = [(project_id, *key, text) for key, text in sorted(states.items())]
        if rows:
            await self._connection.execute(
                "INSERT INTO detectors (project_id, signal, slice, watch, updated_at)"
                " SELECT *, now() FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])"
                " ON CONFLICT (project_id, signal, slice) DO UPDATE SET watch = excluded.watch, updated_at = now()",
                *map(list, zip(*rows, strict=True)),
            )

    async def delete_slice(self, signal: str, slice_: str) -> int:
        """Forget what is held about one part of the traffic, in every project; how many detectors."""
        await self._connection.execute("DELETE FROM observations WHERE signal = $1 AND slice = $2", signal, slice_)
        done = await self._connection.execute("DELETE FROM detectors WHERE signal = $1 AND slice = $2", signal, slice_)
        return int(done.rsplit(" ", 1)[1])


OLD_COHORTS = (
    "DELETE FROM cohorts WHERE ctid = ANY(ARRAY(SELECT ctid FROM cohorts WHERE cohort < $1 ORDER BY cohort LIMIT $2"
    " FOR UPDATE SKIP LOCKED))"
)


def _taken(row: Any) -> Taken:
    symbols, items = json.loads(row["events"])
    group = Group(
        row["project_id"], row["signal"], row["slice"], row["cohort"], row["generation"], row["model_version"],
        row["guideline_version"],
    )  # fmt: skip
    observed: datetime = row["observed_at"]
    return Taken(group, observed, symbols, items, row["matured"])
