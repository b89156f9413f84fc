"""The file of what came: contents and labels of the projects that are trained, with the offsets they came from.

One process at a time holds it. Everything of a batch and its offsets is one transaction, so kill -9 anywhere repeats a
batch at most, and repeating changes nothing. Calls block: run them in a thread, which `Kept.run` does.
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from shared.errors import ConfigurationError, RetryLater

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offsets (
    topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    project TEXT, item TEXT, hash TEXT NOT NULL, metadata TEXT NOT NULL, came_at REAL NOT NULL, settled_at REAL,
    PRIMARY KEY (project, item)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_by_hash ON items (project, hash);
CREATE INDEX IF NOT EXISTS items_by_age ON items (came_at);
CREATE TABLE IF NOT EXISTS contents (
    project TEXT, hash TEXT, content BLOB NOT NULL, PRIMARY KEY (project, hash)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS labels (
    project TEXT, item TEXT, version INTEGER NOT NULL, category TEXT NOT NULL, weight REAL NOT NULL,
    audited INTEGER NOT NULL, inclusion REAL NOT NULL, labelled_at REAL NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (project, item)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS labels_by_number ON labels (project, number);
CREATE TABLE IF NOT EXISTS guesses (
    project TEXT, model TEXT, item TEXT, category TEXT, on_trial INTEGER NOT NULL, PRIMARY KEY (project, model, item)
    ) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS guesses_by_item ON guesses (project, item);
CREATE TABLE IF NOT EXISTS trainings (
    project TEXT PRIMARY KEY, number INTEGER NOT NULL, version TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS learned (project TEXT, model TEXT, hash TEXT, PRIMARY KEY (project, model, hash)
    ) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarms (
    project TEXT, event TEXT, model TEXT NOT NULL, generation INTEGER NOT NULL, at REAL NOT NULL,
    handled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (project, event)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasures (
    subject TEXT PRIMARY KEY, requested_at TEXT NOT NULL, erased_at TEXT NOT NULL, removed TEXT NOT NULL) WITHOUT ROWID;
"""

Ends = Mapping[tuple[str, int], int]
"""(topic, partition) -> next offset."""


class Kept:
    """The open file. Its statements stand in the modules beside this one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: IO[bytes] | None = None
        self._connection: sqlite3.Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self.erasures = 0
        """How often something was removed from it: a training that ran meanwhile learned from what is gone."""

    @property
    def sets(self) -> Path:
        """Where the Parquet files of training sets are."""
        return self.directory / "sets"

    def sets_of(self, project_id: str) -> Path:
        """Those of one project."""
        path = self.sets / project_id
        path.mkdir(exist_ok=True)
        return path

    @property
    def jobs(self) -> Path:
        """Where running trainings have their files."""
        return self.directory / "jobs"

    def open(self) -> None:
        """Take the directory for this process.

        Raises:
            RetryLater: another trainer holds it; this one takes over when that one ends.
        """
        if self._connection is not None:
            return
        for each in (self.directory, self.sets, self.jobs):
            each.mkdir(parents=True, exist_ok=True)
        lock = (self.directory / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise RetryLater(f"another trainer holds {self.directory}; this one waits for it to end") from error
        self._lock = lock
        connection = sqlite3.connect(self.directory / "kept.sqlite", check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.executescript(SCHEMA)
        self._connection = connection

    def close(self) -> None:
        """Give the directory back."""
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            self._lock.close()
        self._connection = self._lock = None

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """One transaction, in a thread; a thread that was begun ends before the next one begins."""
        async with self._one_at_a_time:
            running = asyncio.ensure_future(asyncio.to_thread(self._transaction, work))
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                await asyncio.wait([running])
                raise

    async def truncate(self) -> None:
        """Empty the write-ahead log, which still holds pages as they were."""
        async with self._one_at_a_time:
            await asyncio.to_thread(self._truncate)

    def _truncate(self) -> None:
        if self._connection is not None:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            raise RetryLater("the trainer's directory is not open yet")
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result


def claim_cluster(connection: sqlite3.Connection, cluster_id: str) -> None:
    """Bind the file to a Kafka cluster at its first use.

    Raises:
        ConfigurationError: it belongs to another cluster, whose offsets mean nothing here.
    """
    connection.execute("INSERT OR IGNORE INTO facts VALUES ('cluster', ?)", (cluster_id,))
    (held,) = connection.execute("SELECT value FROM facts WHERE name = 'cluster'").fetchone()
    if held != cluster_id:
        raise ConfigurationError(
            f"the training directory belongs to Kafka cluster {held}, this is {cluster_id};"
            " give LABELSTREAM_TRAINER_DIRECTORY another one"
        )


def get_offsets(connection: sqlite3.Connection, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """The next offset of each partition; 0 where nothing was read yet."""
    rows = connection.execute("SELECT partition, next FROM offsets WHERE topic = ?", (topic,)).fetchall()
    known = dict(rows)
    return {partition: known.get(partition, 0) for partition in partitions}


def save_offsets(connection: sqlite3.Connection, ends: Ends) -> None:
    """Move on."""
    connection.executemany(
        "INSERT INTO offsets VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
        [(topic, partition, end) for (topic, partition), end in ends.items()],
    )


def placeholders(values: Sequence[object]) -> str:
    """As many question marks as values."""
    return ", ".join("?" * len(values))
