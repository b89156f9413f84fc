"""Statements on people, quarantines and idempotency keys."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

EVERYWHERE = "*"
"""The project of a quarantine that holds in all of them."""


@dataclass(frozen=True, slots=True)
class Person:
    """An annotators row.

    Attributes:
        projects: where the person may work; None is everywhere.
        quarantined: the projects where the person is not asked, paused ones among them; may hold `EVERYWHERE`.
        gold_shares: project -> share of leases that a rule wants to be gold items.
        planned_shares: the same by what is known of the person.
        languages, groups: as an administrator or a token said; None where nobody has.
        max_open: leases at once; None is the deployment's limit.
        daily_answers: the most in a day; None is no limit.
    """

    id: str
    name: str
    role: str
    projects: tuple[str, ...] | None
    enabled: bool
    has_token: bool
    created_at: datetime
    last_seen_at: datetime | None
    quarantined: tuple[str, ...]
    gold_shares: Mapping[str, float]
    planned_shares: Mapping[str, float]
    languages: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    max_open: int | None = None
    daily_answers: int | None = None

    def may_work_in(self, project_id: str) -> bool:
        """Whether the person is asked in this project."""
        if EVERYWHERE in self.quarantined or project_id in self.quarantined or not self.enabled:
            return False
        return self.projects is None or project_id in self.projects


_PERSON = (
    "SELECT a.id, a.name, a.role, a.projects, a.languages, a.groups, a.enabled, a.token_hash, a.created_at,"
    " a.max_open, a.daily_answers,"
    " a.last_seen_at, ARRAY("
    " SELECT q.project_id FROM quarantines AS q WHERE q.annotator_id = a.id AND q.active"
    " UNION SELECT p.project_id FROM restraints AS p WHERE p.annotator_id = a.id AND p.action = 'pause'"
    " AND p.until > now() ORDER BY 1) AS quarantined,"
    " (SELECT json_object_agg(g.project_id, g.share)::text FROM (SELECT project_id, max(share) AS share"
    " FROM restraints WHERE annotator_id = a.id AND action = 'more_gold' AND until > now() GROUP BY 1) AS g)"
    " AS gold_shares,"
    " (SELECT json_object_agg(g.project_id, g.share)::text FROM gold_plans AS g WHERE g.annotator_id = a.id)"
    " AS planned_shares"
    " FROM annotators AS a"
)


def _person(row: Mapping[str, Any]) -> Person:
    return Person(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        projects=None if row["projects"] is None else tuple(row["projects"]),
        enabled=row["enabled"],
        has_token=row["token_hash"] is not None,
        created_at=row["created_at"],
        last_seen_at=row["last_seen_at"],
        quarantined=tuple(row["quarantined"]),
        gold_shares={} if row["gold_shares"] is None else json.loads(row["gold_shares"]),
        planned_shares={} if row["planned_shares"] is None else json.loads(row["planned_shares"]),
        languages=None if row["languages"] is None else tuple(row["languages"]),
        groups=None if row["groups"] is None else tuple(row["groups"]),
        max_open=row["max_open"],
        daily_answers=row["daily_answers"],
    )


async def find_by_tokens(connection: Any, hashes: Sequence[bytes]) -> dict[bytes, Person]:
    """Who has the tokens of these hashes; a hash that is nobody's is absent."""
    rows = await connection.fetch(f"{_PERSON} WHERE a.token_hash = ANY($1::bytea[])", list(hashes))
    return {row["token_hash"]: _person(row) for row in rows}


async def get_people(connection: Any, ids: Sequence[str]) -> dict[str, Person]:
    """These people; unknown ones are absent."""
    rows = await connection.fetch(f"{_PERSON} WHERE a.id = ANY($1::text[])", list(ids))
    return {row["id"]: _person(row) for row in rows}


async def list_people(connection: Any, after: str, limit: int, projects: Collection[str] | None) -> list[Person]:
    """A page of people by id: those who may work in one of these projects; None is everybody."""
    rows = await connection.fetch(
        f"{_PERSON} WHERE a.id > $1 AND ($3::text[] IS NULL OR a.projects IS NULL OR a.projects && $3)"
        " ORDER BY a.id LIMIT $2",
        after,
        limit,
        None if projects is None else list(projects),
    )
    return [_person(row) for row in rows]


_RESTED = (
    "NOT EXISTS (SELECT FROM workdays AS w WHERE w.annotator_id = a.id AND w.day = current_date"
    " AND w.answers >= a.daily_answers)"
)
"""Has not given the day's answers yet."""


async def list_present(connection: Any, seconds: float) -> list[tuple[Person, float]]:
    """Everybody who was seen within `seconds` and may go on today, and how long ago; who holds a lease is here."""
    rows = await connection.fetch(
        "SELECT p.*, CASE WHEN held THEN 0 ELSE extract(epoch FROM now() - last_seen_at)::float8 END AS seen_s"  # noqa: S608  # constants
        " FROM (SELECT q.*, EXISTS (SELECT FROM leases AS l WHERE l.annotator_id = q.id AND l.state = 'active') AS held"
        f" FROM ({_PERSON} WHERE a.enabled AND {_RESTED}) AS q) AS p"
        " WHERE held OR last_seen_at > now() - make_interval(secs => $1)",
        seconds,
    )
    return [(_person(row), max(0.0, row["seen_s"])) for row in rows]


@dataclass(frozen=True, slots=True)
class NewPerson:
    """A row to be added, or what a token says of one; None: nothing is said."""

    id: str
    name: str
    role: str | None
    projects: Sequence[str] | None = None
    languages: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    token_hash: bytes | None = None
    claims_at: datetime | None = None
    max_open: int | None = None
    daily_answers: int | None = None


_NEW = (
    "unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::timestamptz[],"
    " $9::integer[], $10::integer[])"
    " AS n(id, name, role, projects, languages, groups, hash, claims_at, max_open, daily)"
)
_LISTS = ", ".join(f"string_to_array(n.{name}, E'\\x1f') AS {name}" for name in ("projects", "languages", "groups"))


def _new(people: Sequence[NewPerson]) -> list[list[Any]]:
    def joined(values: Sequence[str] | None) -> str | None:
        return None if values is None else "\x1f".join(values)

    return [
        [one.id for one in people],
        [one.name for one in people],
        [one.role for one in people],
        [joined(one.projects) for one in people],
        [joined(one.languages) for one in people],
        [joined(one.groups) for one in people],
        [one.token_hash for one in people],
        [one.claims_at for one in people],
        [one.max_open for one in people],
        [one.daily_answers for one in people],
    ]


async def add_people(connection: Any, people: Sequence[NewPerson]) -> set[str]:
    """Insert people. Returns the ids that were new; an erased one is taken for good."""
    rows = await connection.fetch(
        "INSERT INTO annotators (id, name, role, projects, languages, groups, token_hash, claims_at, max_open,"  # noqa: S608  # constants
        f" daily_answers) SELECT n.id, n.name, n.role, {_LISTS}, n.hash, n.claims_at, n.max_open, n.daily FROM {_NEW}"
        " WHERE NOT EXISTS (SELECT FROM erasures AS e WHERE e.annotator_id = n.id)"
        " ON CONFLICT DO NOTHING RETURNING id",
        *_new(people),
    )
    return {row["id"] for row in rows}


async def update_people(connection: Any, people: Sequence[NewPerson]) -> None:
    """Write what tokens say of people where it is another thing, and not older than what is there."""
    await connection.execute(
        "UPDATE annotators AS a SET name = n.name, role = coalesce(n.role, a.role),"  # noqa: S608  # constants
        " projects = coalesce(n.projects, a.projects), languages = coalesce(n.languages, a.languages),"
        " groups = coalesce(n.groups, a.groups), claims_at = n.claims_at"
        f" FROM (SELECT n.id, n.name, n.role, {_LISTS}, n.claims_at FROM {_NEW}) AS n"
        " WHERE a.id = n.id AND coalesce(a.claims_at < n.claims_at, true)",
        *_new(people),
    )


@dataclass(frozen=True, slots=True)
class Profile:
    """What a person can do, and how much of it; see `Person`."""

    languages: Sequence[str] | None
    groups: Sequence[str] | None
    max_open: int | None
    daily_answers: int | None


async def set_profile(connection: Any, annotator_id: str, profile: Profile) -> bool:
    """Replace a person's profile. False where they are unknown."""
    done = await connection.execute(
        "UPDATE annotators SET languages = $2, groups = $3, max_open = $4, daily_answers = $5 WHERE id = $1",
        annotator_id,
        profile.languages,
        profile.groups,
        profile.max_open,
        profile.daily_answers,
    )
    return bool(done != "UPDATE 0")


async def set_token(connection: Any, annotator_id: str, token_hash: bytes) -> bool:
    """Replace a person's token; the old one stops working. False where the person is unknown."""
    done = await connection.execute("UPDATE annotators SET token_hash = $2 WHERE id = $1", annotator_id, token_hash)
    return bool(done != "UPDATE 0")


async def mark_seen(connection: Any, seen: Mapping[str, float]) -> None:
    """Note when people were last seen, given as seconds ago."""
    await connection.execute(
        "UPDATE annotators AS a SET last_seen_at = greatest(a.last_seen_at, now() - make_interval(secs => n.ago))"
        " FROM (SELECT * FROM unnest($1::text[], $2::float8[]) AS u(id, ago) ORDER BY id) AS n WHERE a.id = n.id",
        list(seen),
        list(seen.values()),
    )


async def set_quarantines(connection: Any, marks: Sequence[tuple[str, str, bool, str, datetime]]) -> None:
    """Write (project, person, active, reason, changed at); an older mark never overrides a newer one."""
    latest: dict[tuple[str, str], tuple[str, str, bool, str, datetime]] = {}
    for mark in sorted(marks, key=lambda mark: mark[4]):
        latest[mark[1], mark[0]] = mark
    ordered = [latest[key] for key in sorted(latest)]
    await connection.execute(
        "INSERT INTO quarantines AS q (project_id, annotator_id, active, reason, changed_at)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[], $5::timestamptz[])"
        " AS n(project_id, annotator_id, active, reason, changed_at)"
        " WHERE NOT EXISTS (SELECT FROM erasures AS e WHERE e.annotator_id = n.annotator_id)"
        " ON CONFLICT (annotator_id, project_id) DO UPDATE"
        " SET active = excluded.active, reason = excluded.reason, changed_at = excluded.changed_at"
        " WHERE excluded.changed_at >= q.changed_at",
        *(list(column) for column in zip(*ordered, strict=True)),
    )


async def clear_quarantines(connection: Any, annotator_id: str, project_id: str | None, at: datetime) -> None:
    """End a person's quarantine in one project, or in all."""
    await connection.execute(
        "UPDATE quarantines SET active = false, changed_at = $3"
        " WHERE annotator_id = $1 AND ($2::text IS NULL OR project_id = $2)",
        annotator_id,
        project_id,
        at,
    )


async def begin_requests(
    connection: Any, requests: Mapping[tuple[str, str], bytes]
) -> dict[tuple[str, str], bytes | None]:
    """Take idempotency keys, (principal, key) -> digest of the request.

    A request with the same key that is still running is waited for.

    Returns:
        For each: None where the key is new, else the digest of the request that had it.
    """
    ordered = sorted(requests)
    rows = await connection.fetch(
        "INSERT INTO idempotency_keys AS k (principal, key, digest)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])"
        " ON CONFLICT (principal, key) DO UPDATE SET key = k.key RETURNING principal, key, digest, xmax = 0 AS fresh",
        [principal for principal, _ in ordered],
        [key for _, key in ordered],
        [requests[one] for one in ordered],
    )
    return {(row["principal"], row["key"]): None if row["fresh"] else row["digest"] for row in rows}


async def forget_keys(connection: Any, keys: Sequence[tuple[str, str]]) -> None:
    """Give (principal, key) back: nothing of their requests was accepted."""
    await connection.execute(
        "DELETE FROM idempotency_keys AS k USING unnest($1::text[], $2::text[]) AS n(p, k)"
        " WHERE k.principal = n.p AND k.key = n.k",
        [principal for principal, _ in keys],
        [key for _, key in keys],
    )


async def forget_requests(connection: Any, older_than_s: float, limit: int) -> None:
    """Forget old idempotency keys, a bounded number at a time."""
    await connection.execute(
        "DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(SELECT ctid FROM idempotency_keys"
        " WHERE created_at < now() - make_interval(secs => $1) ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        older_than_s,
        limit,
    )
