"""Statements on items and tallies. Rows are locked in key order everywhere."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.assignment.domain.aggregate import ERASED_CONTENT, Aggregate
from services.assignment.domain.guess import Guess
from services.assignment.store.rows import ITEM_COLUMNS, Key, dump_guess, dump_relabels, load_guess, load_item


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item as it comes in; `content` is its JSON."""

    key: Key
    content_hash: str
    content: str
    created_at: datetime
    slice: str | None = None
    language: str | None = None
    sketch: bytes | None = None


def columns(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    """Keys as two arrays, in key order."""
    ordered = sorted(set(keys))
    return [project for project, _ in ordered], [item for _, item in ordered]


async def insert_items(connection: Any, items: Sequence[NewItem]) -> set[Key]:
    """Insert what is new, and count it. Returns the keys that were new; the others' rows are left alone."""
    rows = await connection.fetch(
        "WITH fresh AS ("  # noqa: S608  # constants
        " INSERT INTO items (project_id, item_id, standing, content_hash, content, created_at, received_at, slice,"
        "  language, sketch)"
        " SELECT p, i, 'awaiting_prediction', h, c, t, now(), slice, language, sketch"
        f" FROM unnest({_GIVEN}) AS n(p, i, h, c, t, slice, language, sketch)"
        " ON CONFLICT DO NOTHING RETURNING project_id, item_id"
        "), counted AS ("
        " INSERT INTO tallies SELECT project_id, 'awaiting_prediction', count(*) FROM fresh GROUP BY project_id"
        ") SELECT project_id, item_id FROM fresh",
        *_given(items),
    )
    return {(row["project_id"], row["item_id"]) for row in rows}


async def lock_items(connection: Any, keys: Iterable[Key]) -> dict[Key, Aggregate]:
    """The aggregates of these items, without rounds, their rows locked; unknown ones are absent."""
    rows = await connection.fetch(
        f"SELECT {ITEM_COLUMNS} FROM items AS i"  # noqa: S608  # constant columns
        " JOIN unnest($1::text[], $2::text[]) AS k(p, i) ON i.project_id = k.p AND i.item_id = k.i"
        " ORDER BY i.project_id, i.item_id FOR UPDATE OF i",
        *columns(keys),
    )
    return {(row["project_id"], row["item_id"]): load_item(row) for row in rows}


async def get_hashes(connection: Any, keys: Iterable[Key]) -> dict[Key, str | None]:
    """The content hashes of known items, not locked; None is a parked one."""
    rows = await connection.fetch(
        "SELECT i.project_id, i.item_id, i.content_hash FROM items AS i"
        " JOIN unnest($1::text[], $2::text[]) AS k(p, i) ON i.project_id = k.p AND i.item_id = k.i",
        *columns(keys),
    )
    return {(row["project_id"], row["item_id"]): row["content_hash"] for row in rows}


async def park_items(connection: Any, keys: Iterable[Key]) -> None:
    """Make rows for items that something is known of before they have come."""
    await connection.execute(
        "INSERT INTO items (project_id, item_id, standing, received_at)"
        " SELECT p, i, 'parked', now() FROM unnest($1::text[], $2::text[]) AS k(p, i) ON CONFLICT DO NOTHING",
        *columns(keys),
    )


async def fill_items(connection: Any, items: Sequence[NewItem]) -> None:
    """Give parked rows the item that has come now."""
    await connection.execute(
        "UPDATE items AS i SET content_hash = n.h, content = n.c, created_at = n.t, received_at = now(),"  # noqa: S608  # constants
        " slice = n.slice, language = n.language, sketch = n.sketch"
        f" FROM unnest({_GIVEN}) AS n(p, i, h, c, t, slice, language, sketch)"
        " WHERE i.project_id = n.p AND i.item_id = n.i AND i.content_hash IS NULL",
        *_given(items),
    )


_GIVEN = "$1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::bytea[]"


def _given(items: Sequence[NewItem]) -> list[list[Any]]:
    ordered = sorted(items, key=lambda item: item.key)
    return [
        [item.key[0] for item in ordered],
        [item.key[1] for item in ordered],
        [item.content_hash for item in ordered],
        [item.content for item in ordered],
        [item.created_at for item in ordered],
        [item.slice for item in ordered],
        [item.language for item in ordered],
        [item.sketch for item in ordered],
    ]


async def blank_items(connection: Any, keys: Iterable[Key]) -> None:
    """Remove all that erased items hold; whether they had come stays."""
    await connection.execute(
        "UPDATE items AS i SET content = NULL, created_at = NULL, guess = NULL, relabels = NULL,"
        " slice = NULL, language = NULL, sketch = NULL,"
        " content_hash = CASE WHEN i.content_hash IS NULL THEN NULL ELSE $3 END"
        " FROM unnest($1::text[], $2::text[]) AS k(p, i) WHERE i.project_id = k.p AND i.item_id = k.i",
        *columns(keys),
        ERASED_CONTENT,
    )


async def mark_came(connection: Any, keys: Iterable[Key]) -> None:
    """Note that erased items have come; nothing else of them is kept."""
    await connection.execute(
        "UPDATE items AS i SET content_hash = $3 FROM unnest($1::text[], $2::text[]) AS k(p, i)"
        " WHERE i.project_id = k.p AND i.item_id = k.i",
        *columns(keys),
        ERASED_CONTENT,
    )


async def save_items(connection: Any, items: Sequence[Aggregate], changes: Mapping[Key, int]) -> None:
    """Write changed aggregates and the change in the number of items by (project, standing), in one statement."""
    ordered = sorted(items, key=lambda item: item.key)
    await connection.execute(
        "WITH counted AS ("
        " INSERT INTO tallies SELECT * FROM unnest($9::text[], $10::text[], $11::bigint[])"
        ") UPDATE items AS i SET standing = n.standing, round = n.round, ending = n.ending,"
        " label_version = n.label_version, guess = n.guess, relabels = n.relabels"
        " FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::smallint[], $6::smallint[], $7::text[],"
        " $8::text[]) AS n(p, i, standing, round, ending, label_version, guess, relabels)"
        " WHERE i.project_id = n.p AND i.item_id = n.i",
        [item.project_id for item in ordered],
        [item.item_id for item in ordered],
        [item.standing.value for item in ordered],
        [item.round for item in ordered],
        [int(item.ending) for item in ordered],
        [item.label_version for item in ordered],
        [dump_guess(item.guess, whole=item.round == 0) for item in ordered],
        [dump_relabels(item.relabels) for item in ordered],
        [project for project, _ in changes],
        [name for _, name in changes],
        list(changes.values()),
    )


async def add_tallies(connection: Any, changes: Mapping[Key, int]) -> None:
    """Count something that is not a standing, by (project, name)."""
    await connection.execute(
        "INSERT INTO tallies SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])",
        [project for project, _ in changes],
        [name for _, name in changes],
        list(changes.values()),
    )


async def fold_tallies(connection: Any) -> None:
    """Replace the changes by their sums. Replicas that do it at once take different rows."""
    await connection.execute(
        "WITH old AS (DELETE FROM tallies WHERE ctid = ANY(ARRAY("
        "  SELECT ctid FROM tallies LIMIT 10000 FOR UPDATE SKIP LOCKED)) RETURNING project_id, name, delta)"
        " INSERT INTO tallies SELECT project_id, name, sum(delta) FROM old GROUP BY 1, 2 HAVING sum(delta) <> 0"
    )


async def sum_tallies(connection: Any, project_id: str | None = None) -> dict[Key, int]:
    """(project, name) -> number; of one project or all."""
    rows = await connection.fetch(
        "SELECT project_id, name, sum(delta)::bigint AS total FROM tallies"
        " WHERE $1::text IS NULL OR project_id = $1 GROUP BY 1, 2",
        project_id,
    )
    return {(row["project_id"], row["name"]): row["total"] for row in rows}


async def lock_overdue(connection: Any, project_id: str, timeout_s: float, limit: int) -> list[Aggregate]:
    """Items that have waited too long for a prediction, oldest first; those that another replica works on are left."""
    rows = await connection.fetch(
        f"SELECT {ITEM_COLUMNS} FROM items AS i"  # noqa: S608  # constant columns
        " WHERE i.standing = 'awaiting_prediction' AND i.project_id = $1"
        " AND i.received_at < now() - make_interval(secs => $2)"
        " ORDER BY i.received_at LIMIT $3 FOR UPDATE SKIP LOCKED",
        project_id,
        timeout_s,
        limit,
    )
    return [load_item(row) for row in rows]


async def get_contents(connection: Any, keys: Iterable[Key]) -> dict[Key, str]:
    """Contents as JSON; items that have not come are absent."""
    rows = await connection.fetch(
        "SELECT i.project_id, i.item_id, i.content FROM items AS i"
        " JOIN unnest($1::text[], $2::text[]) AS k(p, i) ON i.project_id = k.p AND i.item_id = k.i"
        " WHERE i.content IS NOT NULL",
        *columns(keys),
    )
    return {(row["project_id"], row["item_id"]): row["content"] for row in rows}


async def get_guesses(connection: Any, keys: Iterable[Key]) -> dict[Key, Guess]:
    """What the model proposed of each of these items; those without a prediction are absent."""
    rows = await connection.fetch(
        "SELECT i.project_id, i.item_id, i.guess FROM items AS i"
        " JOIN unnest($1::text[], $2::text[]) AS k(p, i) ON i.project_id = k.p AND i.item_id = k.i"
        " WHERE i.guess IS NOT NULL",
        *columns(keys),
    )
    found = {(row["project_id"], row["item_id"]): load_guess(row["guess"]) for row in rows}
    return {key: guess for key, guess in found.items() if guess is not None}


async def get_item(connection: Any, project_id: str, item_id: str) -> Aggregate | None:
    """One item, without a lock."""
    row = await connection.fetchrow(
        f"SELECT {ITEM_COLUMNS} FROM items AS i WHERE i.project_id = $1 AND i.item_id = $2",  # noqa: S608  # constants
        project_id,
        item_id,
    )
    return None if row is None else load_item(row)
