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

SPARE = 1
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
        match: the lanes of the queue, and what is added to the score of rounds by their likely class: classes, bonuses.
            None: everybody's queue of the audience, as it is.
    """

    project_id: str
    audience: Audience
    annotator_id: str
    ids: Sequence[UUID]
    most: int
    lease_s: float
    blind: Blind
    budget: int | None = None
    match: tuple[Sequence[str], Sequence[str], Sequence[float]] | None = None


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


WINDOW, AHEAD = 32, 16
"""Untouched rounds that are looked at for one person in particular, per lane; and those kept beyond the wanted ones."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a statement is like. Parameters beyond the ninth are numbered as they are needed.

    Attributes:
        count: tasks; part of the text, because the plan of a parameter would sort the queue.
        budgeted: untouched rounds are taken as far as the cycle's budget goes, and counted; whoever looks for tasks in
            such a project waits for who did so before.
        experts: of a matched queue: the lanes are experts'.
        matched: the queue is several lanes, or in another order for this person: a window of each lane's front is read.
    """

    count: int
    budgeted: bool = False
    matched: bool = False
    experts: bool = False

    @property
    def lane(self) -> str:
        """That a round waits in `a.lane`; the experts' audience is part of the text, for the index of their lanes."""
        if not self.experts:
            return "r.audience = a.lane"
        return "r.audience = 'expert' AND r.expert_lane = CASE a.lane WHEN 'expert' THEN '' ELSE a.lane END"

    @property
    def budget(self) -> str:
        return "$10"

    def more(self, place: int) -> str:
        """The parameter of the lanes (0), classes (1) or bonuses (2)."""
        return f"${10 + self.budgeted + place}"

    @property
    def rest(self) -> str:
        """What is left of the budget."""
        return "(SELECT coalesce(max(rest), 0) FROM cycle)"


@cache
def statement_for(shape: Shape) -> str:
    """The statement of this shape."""
    count = shape.count
    order = f"ORDER BY r.priority DESC, r.id LIMIT {count} FOR UPDATE OF r SKIP LOCKED"
    limit = f" LIMIT {shape.rest}" if shape.budgeted else ""
    return (
        "WITH held AS MATERIALIZED ("  # noqa: S608  # constants
        " SELECT count(*) AS n FROM leases WHERE annotator_id = $3 AND state = 'active' AND expires_at > now()"
        f"){_cycle(shape)}, near AS MATERIALIZED ("
        f" SELECT r.id FROM ({_front(shape, 'r.started', PREFIX)}) AS r WHERE true{UNSEEN} LIMIT {count + SPARE}"
        "), begun AS MATERIALIZED ("
        f" SELECT {_SEEN} FROM rounds AS r WHERE r.id = ANY(ARRAY(SELECT id FROM near)) AND r.free > 0 {order}"
        f"){_untouched(shape, order)}, picked AS MATERIALIZED ("
        " SELECT p.*, i.content, row_number() OVER () AS place"
        f"  FROM (SELECT * FROM begun UNION ALL (SELECT * FROM untouched{limit})) AS p"
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
        f"){_spent(shape)}"
        " SELECT h.n, EXISTS (SELECT FROM picked WHERE blocked_at IS NOT NULL) AS blocked,"
        " g.id, g.token, g.expires_at, g.blind, p.project_version, p.guess, p.content"
        " FROM held AS h LEFT JOIN (given AS g JOIN picked AS p ON p.id = g.round_id) ON true ORDER BY g.token"
    )


def _front(shape: Shape, condition: str, limit: int) -> str:
    """The front of the queue, or the fronts of a person's lanes merged by priority."""
    ordered = f"ORDER BY r.priority DESC, r.id LIMIT {limit}"
    if not shape.matched:
        return f"SELECT * FROM rounds AS r WHERE {OPEN} AND {condition} {ordered}"  # noqa: S608  # constants
    return (
        f"SELECT r.* FROM unnest({shape.more(0)}::text[]) AS a(lane) CROSS JOIN LATERAL (SELECT * FROM rounds AS r"  # noqa: S608  # constants
        f" WHERE r.project_id = $1 AND {shape.lane} AND r.free > 0 AND {condition} {ordered}) AS r {ordered}"
    )


def _untouched(shape: Shape, order: str) -> str:
    enough = f"(SELECT count(*) FROM begun) < {shape.count}"  # noqa: S608  # constants
    if shape.budgeted:
        enough += f" AND {shape.rest} > 0"
    if not shape.matched:
        return (
            f", untouched AS MATERIALIZED (SELECT {_SEEN} FROM rounds AS r WHERE {OPEN} AND NOT r.started"  # noqa: S608  # constants
            f" AND {enough}{UNSEEN} {order})"
        )
    score = (
        f"r.priority + coalesce(({shape.more(2)}::float8[])[array_position({shape.more(1)}::text[], r.likely)], 0.0)"
    )
    most, window = shape.count + AHEAD, WINDOW + 2 * shape.count
    return (
        f", fitting AS MATERIALIZED (SELECT r.id, {score} AS score FROM unnest({shape.more(0)}::text[]) AS a(lane)"  # noqa: S608  # constants
        f"  CROSS JOIN LATERAL (SELECT * FROM rounds AS r WHERE r.project_id = $1 AND {shape.lane} AND r.free > 0"
        f"  AND NOT r.started AND {enough}{UNSEEN} ORDER BY r.priority DESC, r.id LIMIT {window}) AS r"
        f" ORDER BY score DESC, r.id LIMIT {most}"
        f"), untouched AS MATERIALIZED (SELECT {_SEEN} FROM fitting AS f JOIN rounds AS r ON r.id = f.id"
        f" WHERE r.free > 0 AND NOT r.started ORDER BY f.score DESC, r.id LIMIT {shape.count}"
        " FOR UPDATE OF r SKIP LOCKED)"
    )


def _cycle(shape: Shape) -> str:
    if not shape.budgeted:
        return ""
    return (
        f", cycle AS MATERIALIZED (SELECT greatest(0, {shape.budget}::integer - begun) AS rest FROM cycles"  # noqa: S608  # constants
        " WHERE project_id = $1 FOR UPDATE)"
    )


def _spent(shape: Shape) -> str:
    if not shape.budgeted:
        return ""
    fresh = "FROM given AS g JOIN untouched AS u ON u.id = g.round_id"
    return (
        f", spent AS (UPDATE cycles SET begun = begun + (SELECT count(*) {fresh})"  # noqa: S608  # constants
        f" WHERE project_id = $1 AND EXISTS (SELECT {fresh}))"
    )


async def take(connection: Any, wanted: Wanted) -> Offered:
    """Lease the next rounds of one project for one person; a transaction of its own, and one round trip.

    Nothing that tells a story is done here: gold, and rounds that were blocked, are for the caller's longer way.
    """
    rows = await connection.fetch(
        statement_for(
            Shape(
                len(wanted.ids), wanted.budget is not None, wanted.match is not None, wanted.audience is Audience.EXPERT
            )
        ),
        wanted.project_id,
        wanted.audience.value,
        wanted.annotator_id,
        wanted.ids,
        wanted.most,
        wanted.lease_s,
        *wanted.blind,
        *(() if wanted.budget is None else (wanted.budget,)),
        *(() if wanted.match is None else wanted.match),
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
