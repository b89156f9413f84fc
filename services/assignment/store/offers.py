"""`next` as one statement: what people hold, the rounds to take, their leases, their contents.

One for a person alone, one for several who ask at the same moment: most of what the first costs is to begin and to end.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from services.assignment.domain.guess import Guess
from services.assignment.store.leases import ONCE
from services.assignment.store.rounds import OPEN, PREFIX, UNSEEN
from services.assignment.store.rows import load_guess
from shared.events import Audience

SPARE = 2
"""Begun rounds looked at beyond those wanted: others may be taking the first ones just now."""
DRAW_BYTES = 8
Blind = tuple[bytes, Sequence[str], Sequence[bytes]]
ALWAYS = b"\xff" * (DRAW_BYTES + 1)


@dataclass(frozen=True, slots=True)
class Offer:
    """A round of the stream that has just been leased."""

    lease_id: UUID
    token: int
    expires_at: datetime
    blind: bool
    project_version: int
    guess: Guess | None
    content: str


@dataclass(frozen=True, slots=True)
class Offered:
    """What one attempt found.

    Attributes:
        held: leases that the person held before.
        offers: what was leased now.
        blocked: a blocked round was in the way, and nothing was leased.
    """

    held: int
    offers: Sequence[Offer]
    blocked: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for.

    Attributes:
        ids: of the leases to grant; as many as are wanted.
        most: leases that a person may hold.
        blind: below which draw the proposal is hidden: usually, and in the places (project version / slice) where it is
            another one.
        budget: items that may be begun in a cycle; None: as many as there are.
    """

    project_id: str
    audience: Audience
    annotator_id: str
    ids: Sequence[UUID]
    most: int
    lease_s: float
    blind: Blind
    budget: int | None = None


def threshold(share: float) -> bytes:
    """The first eight bytes of a SHA-256 are below it with a probability of `share` (see domain/draws.py)."""
    return ALWAYS if share >= 1.0 else math.ceil(share * 2.0 ** (8 * DRAW_BYTES)).to_bytes(DRAW_BYTES, "big")


_SEEN = (
    "r.id, r.project_id, r.item_id, r.number, r.priority, r.blocked_at, r.would_auto, r.guess, r.project_version,"
    " r.slice"
)
_BLIND = (
    "p.would_auto OR"
    " substring(sha256(convert_to(concat_ws(E'\\x1f', 'blind', p.project_id, p.item_id, {who}::text), 'UTF8')) FOR "
    f"{DRAW_BYTES}) < coalesce(($9::bytea[])[array_position($8::text[],"
    "  p.project_version || '/' || coalesce(p.slice, ''))], $7)"
)


_CYCLE = (
    ", cycle AS MATERIALIZED ("
    " SELECT greatest(0, $10::integer - begun) AS rest FROM cycles WHERE project_id = $1 FOR UPDATE"
    ")"
)
_SPENT = (
    ", spent AS ("
    " UPDATE cycles SET begun = begun + (SELECT count(*) FROM given AS g JOIN untouched AS u ON u.id = g.round_id)"
    " WHERE project_id = $1 AND EXISTS (SELECT FROM given AS g JOIN untouched AS u ON u.id = g.round_id)"
    ")"
)


@cache
def statement_for(count: int, *, budgeted: bool = False) -> str:
    """The statement for so many tasks. The number is part of the text: the plan of a parameter would sort the queue.

    Where the project has a budget, untouched rounds are taken as far as the cycle's goes, and counted; whoever looks
    for tasks there waits for who did so before.
    """
    rest = "(SELECT coalesce(max(rest), 0) FROM cycle)"
    order = f"ORDER BY r.priority DESC, r.id LIMIT {count} FOR UPDATE OF r SKIP LOCKED"
    return (
        "WITH held AS MATERIALIZED ("  # noqa: S608  # constants
        " SELECT count(*) AS n FROM leases WHERE annotator_id = $3 AND state = 'active' AND expires_at > now()"
        f"){_CYCLE if budgeted else ''}, near AS MATERIALIZED ("
        f" SELECT r.id FROM (SELECT * FROM rounds AS r WHERE {OPEN} AND r.started"
        f"  ORDER BY r.priority DESC, r.id LIMIT {PREFIX}) AS r WHERE true{UNSEEN} LIMIT {count + SPARE}"
        "), begun AS MATERIALIZED ("
        f" SELECT {_SEEN} FROM rounds AS r WHERE r.id = ANY(ARRAY(SELECT id FROM near)) AND r.free > 0 {order}"
        "), untouched AS MATERIALIZED ("
        f" SELECT {_SEEN} FROM rounds AS r WHERE {OPEN} AND NOT r.started"
        f" AND (SELECT count(*) FROM begun) < {count}{f' AND {rest} > 0' if budgeted else ''}{UNSEEN} {order}"
        "), picked AS MATERIALIZED ("
        " SELECT p.*, i.content, row_number() OVER () AS place"
        f"  FROM (SELECT * FROM begun UNION ALL (SELECT * FROM untouched{f' LIMIT {rest}' if budgeted else ''})) AS p"
        "  JOIN items AS i ON i.project_id = p.project_id AND i.item_id = p.item_id WHERE i.content IS NOT NULL"
        f"  LIMIT (SELECT greatest(0, least({count}, $5 - n)) FROM held)"
        "), given AS ("
        " INSERT INTO leases (id, round_id, project_id, item_id, round, gold, annotator_id, role, state, blind,"
        "  expires_at)"
        " SELECT ($4::uuid[])[p.place], p.id, p.project_id, p.item_id, p.number, false, $3, $2, 'active',"
        f"  {_BLIND.format(who='$3')}, clock_timestamp() + make_interval(secs => $6)"
        "  FROM picked AS p WHERE NOT EXISTS (SELECT FROM picked WHERE blocked_at IS NOT NULL)"
        f" {ONCE} DO NOTHING RETURNING token, id, round_id, blind, expires_at"
        "), taken AS ("
        " UPDATE rounds AS r SET active = r.active + 1, granted = r.granted + 1,"
        "  expert_active = r.expert_active + ($2 = 'expert')::int FROM given WHERE r.id = given.round_id"
        f"){_SPENT if budgeted else ''}"
        " SELECT h.n, EXISTS (SELECT FROM picked WHERE blocked_at IS NOT NULL) AS blocked,"
        " g.id, g.token, g.expires_at, g.blind, p.project_version, p.guess, p.content"
        " FROM held AS h LEFT JOIN (given AS g JOIN picked AS p ON p.id = g.round_id) ON true ORDER BY g.token"
    )


async def take(connection: Any, wanted: Wanted) -> Offered:
    """Lease the next rounds of one project for one person; a transaction of its own, and one round trip.

    Nothing that tells a story is done here: gold, and rounds that were blocked, are for the caller's longer way.
    """
    rows = await connection.fetch(
        statement_for(len(wanted.ids), budgeted=wanted.budget is not None),
        wanted.project_id,
        wanted.audience.value,
        wanted.annotator_id,
        wanted.ids,
        wanted.most,
        wanted.lease_s,
        *wanted.blind,
        *(() if wanted.budget is None else (wanted.budget,)),
    )
    offers = [_offer(row) for row in rows if row["id"] is not None]
    return Offered(rows[0]["n"], offers, rows[0]["blocked"])


def _offer(row: Mapping[str, Any]) -> Offer:
    return Offer(
        row["id"],
        row["token"],
        row["expires_at"],
        row["blind"],
        row["project_version"],
        load_guess(row["guess"]),
        row["content"],
    )


SEATS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100)
"""For so many tasks at once there is a statement; the number is part of its text, as above."""


@cache
def _statement_for_many(seats: int) -> str:
    """The statement for the tasks of several people: the front of the queue, one round a seat.

    Each round is paired with a seat by their places. Where that person may not have it, the seat gets nothing here.
    """
    order = f"ORDER BY r.priority DESC, r.id LIMIT {seats} FOR UPDATE OF r SKIP LOCKED"
    return (
        "WITH asked AS MATERIALIZED ("  # noqa: S608  # constants
        " SELECT who, id, place, row_number() OVER (PARTITION BY who ORDER BY place) AS nth"
        "  FROM unnest($3::text[], $4::uuid[]) WITH ORDINALITY AS u(who, id, place)"
        "), held AS MATERIALIZED ("
        " SELECT d.who, (SELECT count(*) FROM leases AS l WHERE l.annotator_id = d.who AND l.state = 'active'"
        "  AND l.expires_at > now()) AS n FROM (SELECT DISTINCT who FROM asked) AS d"
        "), seats AS MATERIALIZED ("
        " SELECT a.who, a.id, row_number() OVER (ORDER BY a.place) AS place"
        "  FROM asked AS a JOIN held AS h ON h.who = a.who WHERE h.n + a.nth <= $5"
        "), near AS MATERIALIZED ("
        f" SELECT r.id FROM rounds AS r WHERE {OPEN} AND r.started"
        f"  ORDER BY r.priority DESC, r.id LIMIT {min(seats + SPARE, PREFIX)}"
        "), begun AS MATERIALIZED ("
        f" SELECT {_SEEN}, r.excluded FROM rounds AS r WHERE r.id = ANY(ARRAY(SELECT id FROM near)) AND r.free > 0"
        f" {order}"
        "), untouched AS MATERIALIZED ("
        f" SELECT {_SEEN}, r.excluded FROM rounds AS r WHERE {OPEN} AND NOT r.started"
        f" AND (SELECT count(*) FROM begun) < {seats} {order}"
        "), picked AS MATERIALIZED ("
        " SELECT p.*, i.content, row_number() OVER (ORDER BY later, priority DESC, p.id) AS place"
        "  FROM (SELECT *, false AS later FROM begun UNION ALL SELECT *, true FROM untouched) AS p"
        "  JOIN items AS i ON i.project_id = p.project_id AND i.item_id = p.item_id"
        "  WHERE i.content IS NOT NULL"
        "), given AS ("
        " INSERT INTO leases (id, round_id, project_id, item_id, round, gold, annotator_id, role, state, blind,"
        "  expires_at)"
        " SELECT s.id, p.id, p.project_id, p.item_id, p.number, false, s.who, $2, 'active',"
        f"  {_BLIND.format(who='s.who')}, clock_timestamp() + make_interval(secs => $6)"
        "  FROM picked AS p JOIN seats AS s ON s.place = p.place"
        "  WHERE p.blocked_at IS NULL AND NOT s.who = ANY(p.excluded)"
        f" {ONCE} DO NOTHING RETURNING token, id, round_id, blind, expires_at, annotator_id"
        "), taken AS ("
        " UPDATE rounds AS r SET active = r.active + 1, granted = r.granted + 1,"
        "  expert_active = r.expert_active + ($2 = 'expert')::int FROM given WHERE r.id = given.round_id"
        ") SELECT h.who, h.n, g.id, g.token, g.expires_at, g.blind, p.project_version, p.guess, p.content"
        " FROM held AS h LEFT JOIN (given AS g JOIN picked AS p ON p.id = g.round_id) ON g.annotator_id = h.who"
        " ORDER BY g.token"
    )


async def take_together(connection: Any, wanted: Sequence[Wanted]) -> list[Offered]:
    """Lease the next rounds of one project and audience for several people, in one round trip.

    Whoever gets less than they could is to be served alone: the rounds at the front may be blocked, or theirs already.

    Args:
        connection: not in a transaction.
        wanted: at most `SEATS[-1]` tasks in all; each person once. The first says what all have in common.
    """
    seats = [(one.annotator_id, lease_id) for one in wanted for lease_id in one.ids]
    first = wanted[0]
    rows = await connection.fetch(
        _statement_for_many(next(size for size in SEATS if size >= len(seats))),
        first.project_id,
        first.audience.value,
        [who for who, _ in seats],
        [lease_id for _, lease_id in seats],
        first.most,
        first.lease_s,
        *first.blind,
    )
    held: dict[str, int] = {}
    offers: dict[str, list[Offer]] = {one.annotator_id: [] for one in wanted}
    for row in rows:
        held[row["who"]] = row["n"]
        if row["id"] is not None:
            offers[row["who"]].append(_offer(row))
    return [Offered(held[one.annotator_id], offers[one.annotator_id], blocked=False) for one in wanted]
