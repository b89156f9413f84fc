"""What the trainer's directory still holds of an erased item or person: read by SQL of the command's own."""

import asyncio
import json
import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.environment import PREFIX
from cli.erase.subjects import Subject
from shared.errors import RetryLater

DIRECTORY = f"{PREFIX}TRAINER_DIRECTORY"
FILE = "kept.sqlite"
TABLES = {"items": "items", "labels": "labels", "models' answers": "guesses"}


def directory() -> Path | None:
    """The trainer's directory, where it is named and can be seen from here."""
    named = os.environ.get(DIRECTORY)
    return Path(named) if named and (Path(named) / FILE).exists() else None


async def look(place: Path, subject: Subject) -> tuple[dict[str, Any] | None, dict[str, int]]:
    """The trainer's confirmation and what it still holds.

    Raises:
        RetryLater: its file cannot be read now.
    """
    try:
        return await asyncio.to_thread(_look, place, subject)
    except sqlite3.Error as error:
        raise RetryLater(f"{place / FILE} cannot be read: {error}") from error


def _look(place: Path, subject: Subject) -> tuple[dict[str, Any] | None, dict[str, int]]:
    with closing(sqlite3.connect(f"file:{place / FILE}?mode=ro", uri=True, timeout=10)) as connection:
        row = connection.execute(
            "SELECT requested_at, erased_at, removed FROM erasures WHERE subject = ?", (subject.key,)
        ).fetchone()
        if subject.annotator_id is not None:
            columns = connection.execute(
                "SELECT count(*) FROM sqlite_schema AS t, pragma_table_info(t.name) AS c"
                " WHERE c.name LIKE '%annotator%'"
            )
            left = {"columns that name people": int(columns.fetchone()[0])}
        else:
            key = (subject.project_id, subject.item_id)
            left = {
                what: int(
                    connection.execute(
                        f"SELECT count(*) FROM {table} WHERE project = ? AND item = ?",  # noqa: S608  # ours
                        key,
                    ).fetchone()[0]
                )
                for what, table in TABLES.items()
            }
    if row is None:
        return None, left
    removed = {name: number for name, number in json.loads(row[2]).items() if number}
    requested_at, erased_at = datetime.fromisoformat(row[0]), datetime.fromisoformat(row[1])
    if removed:
        left["training sets from before"] = _older(place / "sets", erased_at)
    return {"requested_at": requested_at, "erased_at": erased_at, "removed": removed}, left


def _older(sets: Path, moment: datetime) -> int:
    """Sets that were written before something of theirs was erased."""
    return sum(file.stat().st_mtime < moment.timestamp() for file in sets.rglob("*.parquet"))
