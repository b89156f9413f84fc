"""Every statement on monitor's tables. All are set-based: a batch costs the same number of statements at any size.

Rows are locked in one order everywhere, items by key, then budgets, then counters by key, so that batches of several
topics and replicas wait for each other and never deadlock.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.monitor.domain.counters import ALWAYS, Counts, Key, Kind
from services.monitor.domain.facts import Facts
from services.monitor.domain.observe import ItemKey
from shared.events import Path, Quality, Relabel, RouteState

ROUTES = (None, *RouteState)
PATHS = (None, *Path)
ITEM, ERASED, PROPOSED = 1, 2, 4


class Store:
    """Statements on one connection, inside its transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def add_items(self, keys: Iterable[ItemKey]) -> set[ItemKey]:
        """Make rows for items that were seen and that nothing is known of; their keys. Other rows stay as they are."""
        rows = await self._connection.fetch(
            "INSERT INTO items (project_id, item_id, bits)"
            " SELECT p, i, $3 FROM unnest($1::text[], $2::text[]) AS n(p, i)"
            " ON CONFLICT DO NOTHING RETURNING project_id, item_id",
            *_key_columns(keys),
            ITEM,
        )
        return {(row["project_id"], row["item_id"]) for row in rows}

    async def claim_items(self, keys: Iterable[ItemKey]) -> dict[ItemKey, Facts]:
        """Lock the rows of these items, made where missing, and return their facts."""
        columns = _key_columns(keys)
        if not columns[0]:
            return {}
        await self._connection.execute(
            "INSERT INTO items (project_id, item_id)"
            " SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
            *columns,
        )
        rows = await self._connection.fetch(
            "SELECT i.* FROM items i JOIN unnest($1::text[], $2::text[]) AS k(project_id, item_id)"
            " USING (project_id, item_id) ORDER BY project_id, item_id FOR UPDATE OF i",
            *columns,
        )
        return {(row["project_id"], row["item_id"]): facts_of(row) for row in rows}

    async def save_items(self, items: Mapping[ItemKey, Facts]) -> None:
        """Write the facts of items that were claimed."""
        if not items:
            return
        rows = [(*key, *_columns(facts)) for key, facts in items.items()]
        await self._connection.execute(
            "UPDATE items AS i SET bits = n.bits, generation = n.generation, round = n.round, step = n.step,"
            " route = n.route, labels = n.labels, path = n.path"
            " FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bigint[], $5::smallint[], $6::bigint[],"
            " $7::smallint[], $8::bigint[], $9::smallint[])"
            " AS n(project_id, item_id, bits, generation, round, step, route, labels, path)"
            " WHERE i.project_id = n.project_id AND i.item_id = n.item_id",
            *map(list, zip(*rows, strict=True)),
        )

    async def add_counts(self, counts: Counts, *, shard: int) -> None:
        """Add to the counters."""
        rows = sorted((k.project_id, k.kind.value, k.bucket, k.part, k.symbol, n) for k, n in counts.items() if n)
        if not rows:
            return
        await self._connection.execute(
            "INSERT INTO counters AS c (project_id, kind, bucket, part, symbol, n, shard)"
            " SELECT *, $7 FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])"
            " ON CONFLICT (project_id, kind, bucket, part, symbol, shard) DO UPDATE SET n = c.n + excluded.n",
            *map(list, zip(*rows, strict=True)),
            shard,
        )

    async def list_counts(
        self,
        since: int = 0,
        until: int = 2**62,
        *,
        always: bool = False,
        kind: Kind | None = None,
        kinds: Sequence[Kind] = (),
        project: str | None = None,
    ) -> Counts:
        """The counters of the time buckets in [since, until), of some kinds or all; `always`: those kept for good."""
        rows = await self._connection.fetch(
            "SELECT project_id, kind, bucket, part, symbol, sum(n)::bigint AS n FROM counters"
            " WHERE bucket >= $1 AND bucket < $2 AND ($3::text IS NULL OR kind = $3)"
            " AND (cardinality($4::text[]) = 0 OR kind = ANY($4))"
            " AND ($5::text IS NULL OR project_id = $5)"
            " GROUP BY project_id, kind, bucket, part, symbol",
            ALWAYS if always else max(since, 1),
            1 if always else until,
            kind.value if kind is not None else None,
            [one.value for one in kinds],
            project,
        )
        return Counts(
            {Key(r["project_id"], Kind(r["kind"]), r["part"], r["symbol"], r["bucket"]): r["n"] for r in rows}
        )

    async def mark_seen(self, event_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the events that were never seen before."""
        rows = await self._connection.fetch(
            "INSERT INTO seen (event_id) SELECT DISTINCT e FROM unnest($1::uuid[]) AS n(e) ORDER BY e"
            " ON CONFLICT DO NOTHING RETURNING event_id",
            list(event_ids),
        )
        return {row["event_id"] for row in rows}

    async def claim_budgets(self, projects: Iterable[str], *, since: datetime) -> dict[str, int]:
        """Lock the projects' budgets and return how many relabels each has made since then."""
        names = sorted(set(projects))
        await self._connection.execute(
            "INSERT INTO budgets (project_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", names
        )
        await self._connection.fetch(
            "SELECT project_id FROM budgets WHERE project_id = ANY($1::text[]) ORDER BY project_id FOR UPDATE", names
        )
        return await self.count_relabels(names, since=since)

    async def count_relabels(self, projects: Sequence[str], *, since: datetime) -> dict[str, int]:
        """Per project, the relabels made after `since` that a budget pays for."""
        rows = await self._connection.fetch(
            "SELECT p, (SELECT count(*) FROM relabels r WHERE r.project_id = p AND r.requested_at > $2"
            " AND r.cause <> 'drift') AS n"
            " FROM unnest($1::text[]) AS t(p)",
            list(projects),
            since,
        )
        return {row["p"]: row["n"] for row in rows}

    async def get_decided_until(self, projects: Iterable[str]) -> dict[str, datetime]:
        """Per project, the newest request that was read back: labels up to then were decided on in an earlier life."""
        rows = await self._connection.fetch(
            "SELECT project_id, max(requested_at) AS until FROM relabels"
            " WHERE rebuilt AND project_id = ANY($1::text[]) GROUP BY project_id",
            sorted(set(projects)),
        )
        return {row["project_id"]: row["until"] for row in rows}

    async def save_relabels(self, requests: Sequence[Relabel], *, rebuilt: bool = False) -> set[UUID]:
        """Remember requests; the ids of those that were not made before. Erased items have none."""
        rows = [(r.project_id, r.item_id, r.round, r.cause.value, r.requested_at) for r in requests]
        if not rows:
            return set()
        found = await self._connection.fetch(
            "INSERT INTO relabels (project_id, item_id, round, cause, requested_at, rebuilt)"
            " SELECT *, $6 FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::timestamptz[])"
            " AS n(p, i, r, c, at) WHERE NOT EXISTS (SELECT FROM erasures AS e WHERE e.subject = p || '/' || i)"
            " ON CONFLICT DO NOTHING RETURNING project_id, item_id, round, cause",
            *map(list, zip(*rows, strict=True)),
            rebuilt,
        )
        made = {tuple(row) for row in found}
        return {r.event_id for r, row in zip(requests, rows, strict=True) if row[:4] in made}

    async def save_measurements(self, events: Sequence[Quality]) -> None:
        """Keep the newest measurement of each kind about each subject that was not erased."""
        newest: dict[tuple[str, str, str], Quality] = {}
        for event in sorted(events, key=lambda e: (e.measured_at, e.event_id)):
            newest[event.project_id, event.subject, event.measurement.kind] = event
        rows = [(*key, e.measured_at, e.event_id, e.measurement.model_dump_json()) for key, e in sorted(newest.items())]
        if not rows:
            return
        await self._connection.execute(
            "INSERT INTO measurements AS m (project_id, subject, kind, measured_at, event_id, measurement)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::uuid[], $6::jsonb[])"
            " AS n(p, s, k, at, id, what) WHERE NOT EXISTS (SELECT FROM erasures AS e WHERE e.subject = s)"
            " ON CONFLICT (project_id, subject, kind) DO UPDATE SET measured_at = excluded.measured_at,"
            " event_id = excluded.event_id, measurement = excluded.measurement"
            " WHERE (m.measured_at, m.event_id) < (excluded.measured_at, excluded.event_id)",
            *map(list, zip(*rows, strict=True)),
        )

    async def delete_relabels(self, keys: Iterable[ItemKey]) -> dict[ItemKey, Counter[str]]:
        """Forget the requests about items; how many of each."""
        rows = await self._connection.fetch(
            "DELETE FROM relabels AS r USING unnest($1::text[], $2::text[]) AS k(p, i)"
            " WHERE r.project_id = k.p AND r.item_id = k.i RETURNING r.project_id, r.item_id",
            *_key_columns(keys),
        )
        gone: dict[ItemKey, Counter[str]] = {}
        for row in rows:
            gone.setdefault((row["project_id"], row["item_id"]), Counter())["relabels"] += 1
        return gone

    async def delete_parts(self, parts: Sequence[str]) -> None:
        """Forget what was counted of a person, in the kinds that name people; old counters are pruned by age."""
        await self._connection.execute(
            "DELETE FROM counters WHERE bucket > 0 AND kind IN ('told', 'golden', 'agreed') AND part = ANY($1::text[])",
            list(parts),
        )

    async def delete_measurements(self, subject: str, person: str) -> int:
        """Forget what was measured of a person, alone or in a pair; how many rows. The table is small."""
        done = await self._connection.execute(
            "DELETE FROM measurements WHERE subject = $1 OR (kind = 'pair_agreement' AND EXISTS (SELECT FROM"
            " jsonb_array_elements(measurement->'pairs') AS p WHERE $2 IN (p->>'first', p->>'second')))",
            subject,
            person,
        )
        return int(done.rsplit(" ", 1)[1])

    async def claim_windows(self, windows: Sequence[tuple[str, str, datetime]]) -> set[tuple[str, str]]:
        """Of (project, subject, end), those never published for that end or a later one; now they are."""
        if not windows:
            return set()
        rows = await self._connection.fetch(
            "INSERT INTO published_windows AS w (project_id, subject, window_end)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])"
            " ON CONFLICT (project_id, subject) DO UPDATE SET window_end = excluded.window_end"
            " WHERE w.window_end < excluded.window_end RETURNING project_id, subject",
            *map(list, zip(*sorted(windows), strict=True)),
        )
        return {(row["project_id"], row["subject"]) for row in rows}

    async def list_measurements(self, kind: str) -> list[tuple[str, str, str]]:
        """(project, subject, measurement as JSON) of the newest measurements of a kind."""
        rows = await self._connection.fetch(
            "SELECT project_id, subject, measurement::text AS measurement FROM measurements WHERE kind = $1", kind
        )
        return [(row["project_id"], row["subject"], row["measurement"]) for row in rows]

    async def prune(self, statement: str, before: int | date | datetime, limit: int) -> int:
        """Forget the oldest rows by one of the statements below; how many rows went."""
        done = await self._connection.execute(statement, before, limit)
        return int(done.rsplit(" ", 1)[1])


OLD_BUCKETS = (
    "DELETE FROM counters WHERE ctid = ANY(ARRAY(SELECT ctid FROM counters WHERE bucket > 0 AND bucket < $1"
    " ORDER BY bucket LIMIT $2 FOR UPDATE SKIP LOCKED))"
)
OLD_EVENTS = (
    "DELETE FROM seen WHERE ctid = ANY(ARRAY(SELECT ctid FROM seen WHERE seen_on < $1 ORDER BY seen_on LIMIT $2"
    " FOR UPDATE SKIP LOCKED))"
)
OLD_RELABELS = (
    "DELETE FROM relabels WHERE ctid = ANY(ARRAY(SELECT ctid FROM relabels WHERE requested_at < $1"
    " ORDER BY requested_at LIMIT $2 FOR UPDATE SKIP LOCKED))"
)


def _key_columns(keys: Iterable[ItemKey]) -> tuple[list[str], list[str]]:
    """In key order, each once."""
    ordered = sorted(set(keys))
    return [project for project, _ in ordered], [item for _, item in ordered]


def facts_of(row: Any) -> Facts:
    """The facts of an items row."""
    bits = row["bits"]
    return Facts(
        item=bool(bits & ITEM),
        erased=bool(bits & ERASED),
        proposed=bool(bits & PROPOSED),
        generation=row["generation"],
        round=row["round"],
        step=row["step"],
        route=ROUTES[row["route"]],
        labels=row["labels"],
        path=PATHS[row["path"]],
    )


def _columns(facts: Facts) -> tuple[int, int, int, int, int, int, int]:
    bits = ITEM * facts.item | ERASED * facts.erased | PROPOSED * facts.proposed
    route, path = ROUTES.index(facts.route), PATHS.index(facts.path)
    return bits, facts.generation, facts.round, facts.step, route, facts.labels, path
