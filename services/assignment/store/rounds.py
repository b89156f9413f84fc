"""Statements on rounds. Rows are locked in the order of their ids everywhere, and before any lease of theirs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.assignment.domain.aggregate import Round
from services.assignment.domain.lanes import EXPERTS
from services.assignment.store.lanes import add_lanes
from services.assignment.store.rows import ROUND_COLUMNS, Key, dump_guess, load_round
from shared.events import Audience

PREFIX = 64
"""How many begun rounds are looked at before untouched ones are given out."""

UNSEEN = (
    " AND NOT $3 = ANY(r.excluded) AND NOT EXISTS (SELECT FROM leases AS l WHERE l.project_id = r.project_id"
    " AND l.item_id = r.item_id AND l.annotator_id = $3 AND NOT l.gold AND l.state <> 'expired' OFFSET 0)"
)
"""OFFSET 0 keeps PostgreSQL from joining: it would read every lease of the person to look at one round."""
OPEN = "r.project_id = $1 AND r.audience = $2 AND r.free > 0"
OPEN_TO_EXPERTS = (
    "r.project_id = $1 AND r.audience = 'expert' AND r.expert_lane = CASE $2 WHEN 'expert' THEN '' ELSE $2 END"
    " AND r.free > 0"
)
"""Of one lane of theirs. The audience is part of the text, so that the index of these lanes is found."""
QUEUE = "coalesce(nullif(r.expert_lane, ''), r.audience)"
"""Where a round waits, as `Round.queue`."""
_ORDER = " ORDER BY r.priority DESC, r.id LIMIT {limit:d} FOR UPDATE OF r SKIP LOCKED"
"""The limit is part of the text: for a parameter PostgreSQL would plan to sort the whole queue."""

BEGUN_FIRST = (
    f"SELECT {ROUND_COLUMNS} FROM rounds AS r JOIN ("  # noqa: S608  # constants
    " SELECT r.id FROM rounds AS r"
    f" WHERE {OPEN} AND r.started ORDER BY r.priority DESC, r.id LIMIT {PREFIX}) AS near ON near.id = r.id"
    f" WHERE r.free > 0{UNSEEN}{_ORDER}"
)
UNTOUCHED = f"SELECT {ROUND_COLUMNS} FROM rounds AS r WHERE {OPEN} AND NOT r.started{UNSEEN}{_ORDER}"  # noqa: S608  # constants
BEGUN_ALL = f"SELECT {ROUND_COLUMNS} FROM rounds AS r WHERE {OPEN} AND r.started{UNSEEN}{_ORDER}"  # noqa: S608  # constants


async def lock_rounds(connection: Any, places: Iterable[tuple[str, str, int]]) -> dict[Key, Round]:
    """The rounds of (project, item, number), locked; by (project, item), so one number per item."""
    ordered = sorted(set(places))
    rows = await connection.fetch(
        f"SELECT {ROUND_COLUMNS} FROM rounds AS r"  # noqa: S608  # constant columns
        " JOIN unnest($1::text[], $2::text[], $3::smallint[]) AS k(p, i, n)"
        " ON r.project_id = k.p AND r.item_id = k.i AND r.number = k.n ORDER BY r.id FOR UPDATE OF r",
        [place[0] for place in ordered],
        [place[1] for place in ordered],
        [place[2] for place in ordered],
    )
    return {(row["project_id"], row["item_id"]): load_round(row) for row in rows}


async def lock_by_id(connection: Any, ids: Iterable[int], *, skip_locked: bool = False) -> dict[int, Round]:
    """These rounds, locked; with `skip_locked` without those that somebody else works on."""
    rows = await connection.fetch(
        f"SELECT {ROUND_COLUMNS} FROM rounds AS r WHERE r.id = ANY($1::bigint[]) ORDER BY r.id FOR UPDATE"  # noqa: S608  # constants
        + (" SKIP LOCKED" if skip_locked else ""),
        sorted(set(ids)),
    )
    return {row["id"]: load_round(row) for row in rows}


async def lock_open(connection: Any, project_id: str, item_ids: Iterable[str]) -> dict[str, Round]:
    """The open round of each of these items, locked, by item; items without one are absent."""
    rows = await connection.fetch(
        f"SELECT {ROUND_COLUMNS} FROM rounds AS r"  # noqa: S608  # constant columns
        " WHERE r.project_id = $1 AND r.item_id = ANY($2::text[]) AND NOT r.ended ORDER BY r.id FOR UPDATE",
        project_id,
        sorted(set(item_ids)),
    )
    return {row["item_id"]: load_round(row) for row in rows}


async def claim(
    connection: Any, statement: str, project_id: str, queue: str, annotator_id: str, *, limit: int
) -> list[Round]:
    """The next rounds for one person by one of the statements above; rows that others are claiming are passed over."""
    if queue.partition(":")[0] == EXPERTS:
        statement = statement.replace(OPEN, OPEN_TO_EXPERTS)
    rows = await connection.fetch(statement.format(limit=limit), project_id, queue, annotator_id)
    return [load_round(row) for row in rows]


async def write_rounds(connection: Any, rounds: Sequence[Round]) -> None:
    """Insert rounds that have no id, update the others; one statement per kind that occurs."""
    fresh = [one for one in rounds if one.id is None]
    known = sorted((one for one in rounds if one.id is not None), key=lambda one: one.id or 0)
    lanes = [(one.project_id, one.queue) for one in rounds if ":" in one.queue and (one.id is None or one.narrow_since)]
    if lanes:
        await add_lanes(connection, lanes)
    if fresh:
        await connection.execute(_INSERT, *_arrays(sorted(fresh, key=lambda one: (one.project_id, one.item_id))))
    if known:
        await connection.execute(_UPDATE, *_arrays(known), [one.id for one in known])


_WRITTEN = (
    ("project_id", "text"), ("item_id", "text"), ("number", "smallint"), ("audience", "text"), ("wanted", "smallint"),
    ("answered", "smallint"), ("skipped", "integer"), ("active", "smallint"), ("granted", "integer"),
    ("expert_answered", "smallint"), ("expert_active", "smallint"), ("exhausted", "boolean"), ("ended", "boolean"),
    ("blocked_at", "timestamptz"), ("step", "integer"), ("reason", "text"), ("priority", "double precision"),
    ("urgency", "double precision"), ("would_auto", "boolean"), ("inclusion", "double precision"),
    ("excluded", "text"), ("guess", "text"), ("generation", "integer"), ("project_version", "integer"),
    ("guideline_version", "integer"), ("item_created_at", "timestamptz"), ("slice", "text"), ("likely", "text"),
    ("spread", "double precision"), ("expert_lane", "text"), ("narrow_since", "timestamptz"),
)  # fmt: skip
_NAMES = ", ".join(name for name, _ in _WRITTEN)
_VALUES = _NAMES.replace("excluded", "string_to_array(excluded, E'\\x1f')")
_UNNEST = ", ".join(f"${n}::{kind}[]" for n, (_, kind) in enumerate(_WRITTEN, start=1))
_INSERT = (
    f"INSERT INTO rounds ({_NAMES}, waiting_since) SELECT {_VALUES}, now()"  # noqa: S608  # constants
    f" FROM unnest({_UNNEST}) AS n({_NAMES})"
)
_UPDATE = (
    "UPDATE rounds AS r SET waiting_since = now(), "  # noqa: S608  # constants
    + ", ".join(f"{name} = n.{name}" for name, _ in _WRITTEN[3:] if name != "excluded")
    + ", excluded = string_to_array(n.excluded, E'\\x1f')"
    + f" FROM unnest({_UNNEST}, ${len(_WRITTEN) + 1}::bigint[]) AS n({_NAMES}, id) WHERE r.id = n.id"
)


def _arrays(rounds: Sequence[Round]) -> list[list[Any]]:
    plain = [name for name, _ in _WRITTEN]
    special: dict[str, Callable[[Round], Any]] = {
        "audience": lambda one: one.queue if one.audience is Audience.ANNOTATOR else EXPERTS,
        "expert_lane": lambda one: one.queue if one.queue.startswith(f"{EXPERTS}:") else "",
        "excluded": lambda one: "\x1f".join(sorted(one.excluded)),
        "guess": lambda one: dump_guess(one.guess),
    }
    return [
        [special[name](one) for one in rounds] if name in special else [getattr(one, name) for one in rounds]
        for name in plain
    ]


@dataclass(frozen=True, slots=True)
class Presence:
    """Who could take work now, as (project, role, annotator), and the generation of each project's live model."""

    people: Sequence[tuple[str, str, str]]
    generations: Mapping[str, int]

    @property
    def seats(self) -> tuple[list[str], list[str], list[str]]:
        return [p for p, _, _ in self.people], [role for _, role, _ in self.people], [who for _, _, who in self.people]

    @property
    def manned(self) -> list[str]:
        """Where anybody is, as `project/role`."""
        return sorted({f"{project}/{role}" for project, role, _ in self.people})

    @property
    def live(self) -> tuple[list[str], list[int]]:
        return list(self.generations), list(self.generations.values())


@dataclass(frozen=True, slots=True)
class Waiting:
    """A round with free slots as the sweep sees it."""

    round: Round
    waiting_since: datetime
    answerable: bool
    refreshed: int


async def list_noteworthy(
    connection: Any, after: int, limit: int, present: Presence, *, narrow_s: float
) -> tuple[list[int], int | None]:
    """Among the next rounds with free slots after an id, those that the sweep has to look at; nothing is locked.

    Args:
        connection: any.
        after: the round id to go on from.
        limit: rounds looked at, at most.
        present: who is there, and which models are live.
        narrow_s: rounds that are for some of the experts are looked at from this age on, seconds.

    Returns:
        Ids in ascending order, and the id to go on from; None where this was the last.
    """
    row = await connection.fetchrow(_NOTEWORTHY, after, limit, *present.seats, present.manned, *present.live, narrow_s)
    return row["ids"], row["last"] if row["seen"] == limit else None


async def lock_waiting(connection: Any, ids: Sequence[int], present: Presence) -> list[Waiting]:
    """These rounds as far as they have free slots, locked; those that somebody else works on are left."""
    rows = await connection.fetch(
        f"SELECT {ROUND_COLUMNS}, r.waiting_since, r.refreshed, {_ANSWERABLE} AS answerable FROM rounds AS r"  # noqa: S608  # constants
        " WHERE r.free > 0 AND r.id = ANY($1::bigint[]) ORDER BY r.id LIMIT $2 FOR UPDATE OF r SKIP LOCKED",
        list(ids),
        len(ids),
        *present.seats,
        present.manned,
    )
    return [Waiting(load_round(row), row["waiting_since"], row["answerable"], row["refreshed"]) for row in rows]


_ANSWERABLE = (
    "CASE WHEN NOT r.started AND r.number = 1 AND r.excluded = '{}'"  # noqa: S608  # constants
    f" THEN r.project_id || '/' || {QUEUE} = ANY($6::text[])"
    " ELSE EXISTS (SELECT FROM unnest($3::text[], $4::text[], $5::text[]) AS a(p, role, id)"
    f"  WHERE a.p = r.project_id AND a.role = {QUEUE} AND NOT a.id = ANY(r.excluded)"
    "  AND NOT EXISTS (SELECT FROM leases AS l WHERE l.project_id = r.project_id AND l.item_id = r.item_id"
    "   AND l.annotator_id = a.id AND NOT l.gold AND l.state <> 'expired')) END"
)
"""Whether somebody present may answer; for a round that nobody has begun the seats themselves say so."""
_NOTEWORTHY = (
    "WITH near AS MATERIALIZED (SELECT r.id, r.project_id, r.item_id, r.number, r.audience, r.started,"  # noqa: S608  # constants
    "  r.expert_lane, r.narrow_since, r.excluded, r.blocked_at, r.granted,"
    "  greatest(r.generation, r.refreshed) AS generation"
    "  FROM rounds AS r WHERE r.free > 0 AND r.id > $1 ORDER BY r.id LIMIT $2)"
    " SELECT (SELECT count(*) FROM near) AS seen, (SELECT max(id) FROM near) AS last, ARRAY("
    "  SELECT r.id FROM near AS r LEFT JOIN unnest($7::text[], $8::integer[]) AS m(p, g) ON m.p = r.project_id"
    f"  WHERE r.blocked_at IS NOT NULL OR r.granted = 0 AND m.g > r.generation OR NOT {_ANSWERABLE}"
    "  OR r.narrow_since < now() - make_interval(secs => $9)"
    "  ORDER BY r.id) AS ids"
)


async def mark_refreshed(connection: Any, ids: Sequence[int], generations: Sequence[int]) -> None:
    """Remember that a refresh for this model generation was asked for."""
    await connection.execute(
        "UPDATE rounds AS r SET refreshed = n.g FROM unnest($1::bigint[], $2::integer[]) AS n(id, g) WHERE r.id = n.id",
        list(ids),
        list(generations),
    )


async def mark_exhausted(connection: Any, places: Iterable[tuple[str, str, int]]) -> None:
    """Rounds of (project, item, number), the latest or not, in which nobody is asked any more."""
    ordered = sorted(set(places))
    await connection.execute(
        "UPDATE rounds AS r SET exhausted = true FROM unnest($1::text[], $2::text[], $3::smallint[]) AS n(p, i, number)"
        " WHERE r.project_id = n.p AND r.item_id = n.i AND r.number = n.number AND NOT r.exhausted",
        [place[0] for place in ordered],
        [place[1] for place in ordered],
        [place[2] for place in ordered],
    )


async def list_stale(connection: Any, project_id: str, versions: Sequence[int], limit: int) -> list[Key]:
    """Items with an open round that pins one of these project versions."""
    rows = await connection.fetch(
        "SELECT project_id, item_id FROM rounds WHERE project_id = $1 AND project_version = ANY($2::integer[])"
        " AND NOT ended LIMIT $3",
        project_id,
        list(versions),
        limit,
    )
    return [(row["project_id"], row["item_id"]) for row in rows]


async def count_states(connection: Any, project_id: str | None = None) -> dict[Key, int]:
    """(project, state) -> open rounds that are leased, blocked, or wait for a decision; what is left is queued.

    Reads active leases, and blocked and undecided rounds up to `COUNTED` of each: never the queue.
    """
    rows = await connection.fetch(_COUNT_STATES, project_id)
    return {(row["project_id"], row["state"]): row["total"] for row in rows}


COUNTED = 100_000
_COUNT_STATES = (
    "SELECT r.project_id, 'leased' AS state, count(DISTINCT r.id) AS total"  # noqa: S608  # constants
    " FROM leases AS l JOIN rounds AS r ON r.id = l.round_id"
    " WHERE l.state = 'active' AND r.active > 0 AND NOT r.ended AND ($1::text IS NULL OR r.project_id = $1) GROUP BY 1"
    " UNION ALL SELECT project_id, 'blocked', count(*) FROM (SELECT r.project_id FROM rounds AS r"
    "  WHERE r.blocked_at IS NOT NULL AND r.free > 0 AND r.active = 0 AND ($1::text IS NULL OR r.project_id = $1)"
    f"  LIMIT {COUNTED}) AS few GROUP BY 1"
    " UNION ALL SELECT project_id, 'awaiting_decision', count(*) FROM (SELECT r.project_id FROM rounds AS r"
    "  WHERE NOT r.ended AND r.free = 0 AND r.active = 0 AND ($1::text IS NULL OR r.project_id = $1)"
    f"  LIMIT {COUNTED}) AS few GROUP BY 1"
)


async def list_rounds(connection: Any, project_id: str, item_id: str) -> list[Round]:
    """Every round of one item that people were asked in."""
    rows = await connection.fetch(
        f"SELECT {ROUND_COLUMNS} FROM rounds AS r WHERE r.project_id = $1 AND r.item_id = $2 ORDER BY r.number",  # noqa: S608  # constants
        project_id,
        item_id,
    )
    return [load_round(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Slot:
    """An open round that has free leases."""

    round_id: int
    item_id: str
    number: int
    audience: str
    free: int
    started: bool
    priority: float
    taken_by: tuple[str, ...]


async def list_slots(
    connection: Any, project_id: str, queues: Sequence[str], limit: int, after: tuple[bool, float, int] | None
) -> list[Slot]:
    """Open slots in queue order, with the people who may not take them.

    Args:
        connection: any.
        project_id: the project.
        queues: the lanes to merge, or the one queue.
        limit: slots at most.
        after: (started, priority, round id) of the last slot already read.
    """
    started, priority, last = after or (True, float("inf"), 0)
    rows = await connection.fetch(
        "SELECT r.id, r.item_id, r.number, split_part(r.audience, ':', 1) AS audience, r.free, r.started, r.priority,"  # noqa: S608  # constants
        " array_cat(r.excluded, ARRAY("
        "  SELECT l.annotator_id FROM leases AS l WHERE l.project_id = r.project_id AND l.item_id = r.item_id"
        "  AND NOT l.gold AND l.state <> 'expired' ORDER BY l.token)) AS taken_by"
        " FROM unnest($2::text[]) AS a(queue) CROSS JOIN LATERAL ("
        f"  SELECT * FROM rounds AS r WHERE r.project_id = $1 AND {_in_queue(queues)} AND r.free > 0"
        "  AND (r.started < $3 OR r.started = $3 AND (r.priority < $4 OR r.priority = $4 AND r.id > $5))"
        f"  ORDER BY r.started DESC, r.priority DESC, r.id LIMIT {limit:d}"
        f" ) AS r ORDER BY r.started DESC, r.priority DESC, r.id LIMIT {limit:d}",
        project_id,
        list(queues),
        started,
        priority,
        last,
    )
    return [
        Slot(
            row["id"],
            row["item_id"],
            row["number"],
            row["audience"],
            row["free"],
            row["started"],
            row["priority"],
            tuple(row["taken_by"]),
        )
        for row in rows
    ]


def _in_queue(queues: Sequence[str]) -> str:
    """That a round waits in the queue `a.queue`, for the index of who is asked there."""
    if queues[0].partition(":")[0] == EXPERTS:
        return "r.audience = 'expert' AND r.expert_lane = CASE a.queue WHEN 'expert' THEN '' ELSE a.queue END"
    return "r.audience = a.queue"


async def count_steps(connection: Any, ids: Sequence[int]) -> None:
    """Count a published route of rounds that the caller holds."""
    await connection.execute("UPDATE rounds SET step = step + 1 WHERE id = ANY($1::bigint[])", list(ids))


async def list_certifiable(
    connection: Any, project_id: str, generation: int, lowest: float, *, after: int, limit: int
) -> tuple[list[Key], int | None]:
    """Items whose first round waits untouched under a proposal of a model, of at least this confidence.

    One window of `limit` waiting rounds by id, after `after`; the id of its last one is given where more may follow.
    """
    rows = await connection.fetch(
        "SELECT w.id, w.project_id, w.item_id, w.fits FROM (SELECT r.id, r.project_id, r.item_id,"
        " r.project_id = $1 AND r.number = 1 AND r.granted = 0 AND NOT r.would_auto AND NOT r.ended"
        " AND r.generation = $2 AND r.guess IS NOT NULL"
        " AND (r.guess::jsonb ->> 'confidence')::float8 >= $3 AS fits"
        " FROM rounds AS r WHERE r.free > 0 AND r.id > $4 ORDER BY r.id LIMIT $5) AS w",
        project_id,
        generation,
        lowest,
        after,
        limit,
    )
    found = [(row["project_id"], row["item_id"]) for row in rows if row["fits"]]
    return found, (rows[-1]["id"] if len(rows) == limit else None)
