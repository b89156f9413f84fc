"""A database with as many items as wanted: what the services have stored for a few, copied under other names.

Only real rows are copied, column by column, so whatever a service stores of an item is there, as it stores it. Numbers
that the database makes itself (ids, generated columns) are made anew.
"""

from collections.abc import Sequence
from typing import Any

TABLES = ("assignment.items", "assignment.rounds", "assignment.leases", "monitor.items", "qc.items", "qc.rounds")
CHUNK = 50_000
COLUMNS = (
    "SELECT a.attname AS name, a.attidentity <> '' OR a.attgenerated <> '' AS made, t.typname AS type"
    " FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid"
    " WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)


async def copy_items(connection: Any, number: int, *, prefix: str, tables: Sequence[str] = TABLES) -> None:
    """Copy the rows of the items that are there until there are `number` more.

    Args:
        connection: of a superuser.
        number: items to add.
        prefix: of their names, `<prefix><number>`.
        tables: with schema; those without a row stay empty.

    Raises:
        ValueError: there is no item to copy.
    """
    await connection.execute(
        "CREATE TEMP TABLE original AS SELECT item_id AS name, row_number() OVER (ORDER BY item_id) - 1 AS place"
        " FROM assignment.items"
    )
    originals = await connection.fetchval("SELECT count(*) FROM original")
    if not originals:
        raise ValueError("there is no item to copy; send a few through the services first")
    await connection.execute("ALTER TABLE original ADD PRIMARY KEY (place)")
    for table in tables:
        statement = await _statement(connection, table)
        for start in range(0, number, CHUNK):
            end = min(start + CHUNK, number)
            await connection.execute(statement, prefix, start, end, originals, timeout=300)
    await _count(connection, number, originals)
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
    if name == "item_id":
        return "$1::text || lpad(n::text, 9, '0')"
    return "gen_random_uuid()" if kind == "uuid" else f"r.{name}"


async def _count(connection: Any, number: int, originals: int) -> None:
    """The tallies of the copies."""
    await connection.execute(
        "INSERT INTO assignment.tallies (project_id, name, delta)"
        " SELECT i.project_id, i.standing, count(*) FROM generate_series(0, $1::int - 1) AS n"
        " JOIN original AS o ON o.place = n % $2::bigint JOIN assignment.items AS i ON i.item_id = o.name"
        " GROUP BY 1, 2",
        number,
        originals,
    )
