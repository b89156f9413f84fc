"""What a deployment on this machine has used so far: CPU by process tree, WAL and tables by database, log by topic."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SIZES = (
    "SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes, s.n_live_tup AS live,"
    " s.n_tup_ins AS inserted, s.n_tup_upd AS updated, s.n_tup_del AS deleted"
    " FROM pg_class AS c JOIN pg_stat_user_tables AS s ON s.relid = c.oid WHERE s.schemaname = $1"
)
WAL = "SELECT wal_records, wal_fpi, wal_bytes::bigint AS wal_bytes FROM pg_stat_wal"
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its indexes: bytes on disk, and rows written so far."""

    bytes: int
    live: int
    inserted: int
    updated: int
    deleted: int


@dataclass(frozen=True, slots=True)
class DatabaseUse:
    """What one service has written."""

    wal_bytes: int
    wal_images: int
    commits: int
    tables: Mapping[str, Table]


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and everything below it, children that have ended included."""
    children: dict[int, list[int]] = defaultdict(list)
    used: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        one = int(path.parent.name)
        children[int(fields[1])].append(one)
        used[one] = sum(map(int, fields[11:15])) * TICK_S  # utime, stime, and those of children that were waited for
    total, below = 0.0, [pid]
    while below:
        one = below.pop()
        total += used.get(one, 0.0)
        below += children[one]
    return total


def resident_mb(pid: int) -> float:
    """Resident memory of one process, MB."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def log_bytes(directory: Path, topics: Iterable[str]) -> Counter[str]:
    """Topic -> bytes of its log segments; what the broker has written for one copy of it."""
    found: Counter[str] = Counter()
    for topic in topics:
        for path in directory.glob(f"{topic}-[0-9]*/*.log"):
            found[topic] += path.stat().st_size
    return found


async def database_use(url: str, schema: str) -> DatabaseUse:
    """Read the statistics of a server that serves one service alone."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        wal = await connection.fetchrow(WAL)
        rows = await connection.fetch(SIZES, schema)
        commits = await connection.fetchval(COMMITS)
    finally:
        await connection.close(timeout=5)
    return DatabaseUse(
        wal["wal_bytes"],
        wal["wal_fpi"],
        commits,
        {
            row["name"]: Table(row["bytes"], row["live"], row["inserted"], row["updated"], row["deleted"])
            for row in rows
        },
    )
