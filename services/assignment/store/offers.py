"""`next` as one statement: what a person holds, the rounds to take, their leases, their contents."""

import math
from collections.abc import Sequence
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
    blind: tuple[bytes, Sequence[str], Sequence[bytes]]
    budget: int | None = None


def threshold(share: float) -> bytes:
    """The first eight bytes of a SHA-256 are below it with a probability of `share` (see domain/draws.py)."""
    return ALWAYS if share >= 1.0 else math.ceil(share * 2.0 ** (8 * DRAW_BYTES)).to_bytes(DRAW_BYTES, "big")


_SEEN = (
    "r.id, r.project_id, r.item_id, r.number, r.priority, r.blocked_at, r.would_auto, r.guess, r.project_version,"
    " r.slice"
)
_DRAWN = (
    "substring(sha256(convert_to(concat_ws(E'\\x1f', 'blind', p.project_id, p.item_id, $3::text), 'UTF8')) FOR "
    f"{DRAW_BYTES})"
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
        f"  p.would_auto OR {_DRAWN} < coalesce(($9::bytea[])[array_position($8::text[],"
        "  p.project_version || '/' || coalesce(p.slice, ''))], $7),"
        "  clock_timestamp() + make_interval(secs => $6)"
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
    offers = [
        Offer(
            row["id"],
            row["token"],
            row["expires_at"],
            row["blind"],
            row["project_version"],
            load_guess(row["guess"]),
            row["content"],
        )
        for row in rows
        if row["id"] is not None
    ]
    return Offered(rows[0]["n"], offers, rows[0]["blocked"])
