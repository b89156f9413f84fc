"""A database with as many items as wanted: what the services have stored for a few, copied under other names.

Only real rows are copied, column by column, so whatever a service stores of an item is there, as it stores it
(`tests/integration/test_growth.py` compares). Numbers that the database makes itself are made anew.
"""

from collections.abc import Sequence
from typing import Any

TABLES = (
    "assignment.items", "assignment.rounds", "assignment.leases", "monitor.items", "qc.items", "qc.rounds",
    "qc.annotations",
)  # fmt: skip
ORIGINAL = "a"
"""The first letter of the names of the items that are copied."""
CHUNK = 50_000
COLUMNS = (
    "SELECT a.attname AS name, a.attidentity <> '' OR a.attgenerated <> '' AS made, t.typname AS type"
    " FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid"
    " WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)
_NAME = "$1::text || lpad(n::text, 9, '0')"
_ROUND_ID = (
    "(SELECT c.id FROM assignment.rounds AS c"  # noqa: S608  # constants
    f" WHERE c.project_id = r.project_id AND c.item_id = {_NAME} AND c.number = r.round)"
)


ORIGINALS = f"SELECT item_id FROM assignment.items WHERE starts_with(item_id, '{ORIGINAL}')"  # noqa: S608  # a constant
UNTOUCHED = "SELECT item_id FROM assignment.rounds WHERE free > 0 AND NOT started ORDER BY id DESC LIMIT 500"
"""Items that nobody was asked about yet: with others their answers are copied, but not the counts of who gave them."""


async def copy_items(connection: Any, start: int, end: int, *, prefix: str = "b", originals: str = ORIGINALS) -> None:
    """Copy items, in turn, as `<prefix><number>` with numbers in [start, end).

    Args:
        connection: of a superuser.
        start: first number.
        end: after the last.
        prefix: of the names.
        originals: which items are copied, a query of their ids.

    Raises:
        ValueError: there is no item to copy.
    """
    await connection.execute(
        "CREATE TEMP TABLE original AS SELECT item_id AS name, row_number() OVER (ORDER BY item_id) - 1 AS place"  # noqa: S608
        f" FROM ({originals}) AS chosen"
    )
    number = await connection.fetchval("SELECT count(*) FROM original")
    if not number:
        raise ValueError("there is no item to copy; send a few through the services first")
    await connection.execute("ALTER TABLE original ADD PRIMARY KEY (place)")
    for table in TABLES:
        statement = await _statement(connection, table)
        for first in range(start, end, CHUNK):
            await connection.execute(statement, prefix, first, min(first + CHUNK, end), number, timeout=300)
    await _count(connection, start, end, number)
    await connection.execute("DROP TABLE original")
    await connection.execute("VACUUM ANALYZE", timeout=600)
    await connection.execute("CHECKPOINT", timeout=300)


async def _statement(connection: Any, table: str) -> str:
    columns = [row for row in await connection.fetch(COLUMNS, table) if not row["made"]]
    names = ", ".join(row["name"] for row in columns)
    values = ", ".join(_value(row["name"], row["type"]) for row in columns)
    return (
        f"INSERT INTO {table} ({names}) SELECT {values} FROM generate_series($2::int, $3::int - 1) AS n"  # noqa: S608
        " JOIN original AS o ON o.place = n % $4::bigint"
        f" JOIN {table} AS r ON r.item_id = o.name ORDER BY n"
    )


def _value(name: str, kind: str) -> str:
    special = {"item_id": _NAME, "round_id": f"CASE WHEN r.round_id IS NOT NULL THEN {_ROUND_ID} END"}
    return special.get(name, "gen_random_uuid()" if kind == "uuid" else f"r.{name}")


async def _count(connection: Any, start: int, end: int, originals: int) -> None:
    """What is counted of the copies without naming them: the tallies, and the events that monitor has seen."""
    copies = "generate_series($1::int, $2::int - 1) AS n JOIN original AS o ON o.place = n % $3::bigint"
    await connection.execute(
        "INSERT INTO assignment.tallies (project_id, name, delta) SELECT i.project_id, i.standing, count(*)"  # noqa: S608
        f" FROM {copies} JOIN assignment.items AS i ON i.item_id = o.name GROUP BY 1, 2",
        start,
        end,
        originals,
    )
    await connection.execute(
        "INSERT INTO monitor.seen (event_id) SELECT gen_random_uuid()"  # noqa: S608
        f" FROM {copies} JOIN qc.annotations AS a ON a.item_id = o.name",
        start,
        end,
        originals,
        timeout=300,
    )


async def rows_of(connection: Any, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """All that is stored of items, by table, without what the database makes itself: for comparing."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table in TABLES:
        made = {row["name"] for row in await connection.fetch(COLUMNS, table) if row["made"] or row["type"] == "uuid"}
        rows = await connection.fetch(f"SELECT * FROM {table} WHERE item_id = ANY($1) ORDER BY item_id", names)  # noqa: S608
        found[table] = [{key: value for key, value in row.items() if key not in made} for row in rows]
    return found
