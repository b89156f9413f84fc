"""Statements on what the drift detectors have seen and hold."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from services.monitor.domain.drift.keeper import Taken
from services.monitor.domain.drift.signals import Group, Observation
from services.monitor.domain.drift.standing import DetectorState, Standing, Watched

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

    async def save(self, project_id: str, states: Mapping[tuple[str, str], tuple[str, Standing]]) -> None:
        """Keep detectors that were claimed, and how they stand."""
        rows = [(project_id, *key, text, *standing[2:]) for key, (text, standing) in sorted(states.items())]
        if rows:
            await self._connection.execute(
                "INSERT INTO detectors (project_id, signal, slice, watch, state, log_evidence, log_limit, learned,"
                " wanted, seen, updated_at) SELECT *, now() FROM unnest($1::text[], $2::text[], $3::text[], $4::text[],"
                " $5::text[], $6::float8[], $7::float8[], $8::bigint[], $9::bigint[], $10::bigint[])"
                " ON CONFLICT (project_id, signal, slice) DO UPDATE SET watch = excluded.watch, state = excluded.state,"
                " log_evidence = excluded.log_evidence, log_limit = excluded.log_limit, learned = excluded.learned,"
                " wanted = excluded.wanted, seen = excluded.seen, updated_at = now()",
                *map(list, zip(*rows, strict=True)),
            )

    async def watched(self) -> dict[tuple[str, str], Watched]:
        """(project, signal) -> its detectors together, those of every slice and annotator."""
        rows = await self._connection.fetch(
            "SELECT project_id, signal, max(log_evidence) AS evidence, max(log_limit) AS most,"
            " count(*) FILTER (WHERE state = 'learning') AS learning,"
            " count(*) FILTER (WHERE state = 'watching') AS watching,"
            " count(*) FILTER (WHERE state = 'alarmed') AS alarmed"
            " FROM detectors WHERE state IS NOT NULL GROUP BY 1, 2"
        )
        return {(row["project_id"], row["signal"]): Watched(*tuple(row)[2:]) for row in rows}

    async def list_surest(self, project_id: str, limit: int) -> list[Standing]:
        """The detectors of a project that are nearest to an alarm, the nearest first."""
        rows = await self._connection.fetch(
            f"SELECT {_STANDING} FROM detectors WHERE project_id = $1 AND state IS NOT NULL"  # noqa: S608  # constants
            " ORDER BY log_evidence / log_limit DESC, signal, slice LIMIT $2",
            project_id,
            limit,
        )
        return [_standing(row) for row in rows]

    async def list_standings(self, project_id: str, *, after: tuple[str, str], limit: int) -> list[Standing]:
        """The detectors of a project by signal and slice, from the one after `after` on."""
        rows = await self._connection.fetch(
            f"SELECT {_STANDING} FROM detectors WHERE project_id = $1 AND state IS NOT NULL"  # noqa: S608  # constants
            ' AND (signal COLLATE "C", slice COLLATE "C") > ($2, $3) ORDER BY signal COLLATE "C", slice COLLATE "C"'
            " LIMIT $4",
            project_id,
            *after,
            limit,
        )
        return [_standing(row) for row in rows]

    async def delete_slice(self, signal: str, slice_: str) -> int:
        """Forget what is held about one part of the traffic, in every project; how many detectors."""
        await self._connection.execute("DELETE FROM observations WHERE signal = $1 AND slice = $2", signal, slice_)
        done = await self._connection.execute("DELETE FROM detectors WHERE signal = $1 AND slice = $2", signal, slice_)
        return int(done.rsplit(" ", 1)[1])


OLD_COHORTS = (
    "DELETE FROM cohorts WHERE ctid = ANY(ARRAY(SELECT ctid FROM cohorts WHERE cohort < $1 ORDER BY cohort LIMIT $2"
    " FOR UPDATE SKIP LOCKED))"
)


_STANDING = "signal, slice, state, log_evidence, log_limit, learned, wanted, seen"


def _standing(row: Any) -> Standing:
    return Standing(row["signal"], row["slice"], DetectorState(row["state"]), *tuple(row)[3:])


def _taken(row: Any) -> Taken:
    symbols, items = json.loads(row["events"])
    group = Group(
        row["project_id"], row["signal"], row["slice"], row["cohort"], row["generation"], row["model_version"],
        row["guideline_version"],
    )  # fmt: skip
    observed: datetime = row["observed_at"]
    return Taken(group, observed, symbols, items, row["matured"])
