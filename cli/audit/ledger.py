"""The audit's scratch book: a SQLite file that is deleted at the end. Memory stays constant, however many items."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

SCHEMA = Path(__file__).with_name("ledger.sql")
CACHE_KIB = 65_536


class Ledger:
    """Rows of one audit.

    Scaling: on disk, about 100 bytes per record and per row of an item; every check is a join over primary keys.

    Args:
        directory: where the file is made; the system's temporary directory by default.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="audit-of-labelstream-", dir=directory)
        self._db = sqlite3.connect(Path(self._folder.name) / "ledger.db", check_same_thread=False, isolation_level=None)
        self._db.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KIB};"
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = FILE;"
        )
        self._db.executescript(SCHEMA.read_text())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete the file."""
        self._db.close()
        self._folder.cleanup()

    def add(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows to a table; a row whose key is there stays as it was."""
        found = list(rows)
        if not found:
            return
        slots = ",".join("?" * len(found[0]))
        self._db.execute("BEGIN")
        self._db.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({slots})", found)  # noqa: S608  # our own names
        self._db.execute("COMMIT")

    async def load(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """As `add`, off the event loop."""
        if rows:
            await asyncio.to_thread(self.add, table, rows)

    def count(self, side: Literal["stored", "raw"], rows: Iterable[tuple[str, str, str, int]]) -> None:
        """Add (service, project, name, n) to what a service stores, or to what its raw rows add up to."""
        self.many(
            f"INSERT INTO counts (service, project, name, {side}) VALUES (?, ?, ?, ?)"  # noqa: S608  # one of two
            f" ON CONFLICT DO UPDATE SET {side} = {side} + excluded.{side}",
            rows,
        )

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement that changes rows."""
        self._db.execute(sql, parameters)

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row."""
        self._db.execute("BEGIN")
        self._db.executemany(sql, rows)
        self._db.execute("COMMIT")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, one by one."""
        yield from self._db.execute(sql, parameters)

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The only column of the first row."""
        found = self._db.execute(sql, parameters).fetchone()
        return None if found is None else found[0]
