"""Training sets as Parquet by the hash of what they hold, and the directories of running jobs."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from services.prelabel.training.domain.sets import Row
from services.prelabel.training.work.files import write_table

KEPT_SETS = 3


def write_set(directory: Path, data_hash: str, rows: Sequence[Row], contents: Mapping[str, bytes]) -> Path:
    """The training set with this hash; one that is there already is left as it is. The oldest beyond a few go."""
    path = directory / f"{data_hash}.parquet"
    if not path.exists():
        write_table(
            path,
            {
                "content_hash": [row.content_hash for row in rows],
                "content": [contents[row.content_hash].decode("utf-8", "surrogatepass") for row in rows],
                "label": [row.category for row in rows],
                "weight": [row.weight for row in rows],
                "group": [row.group for row in rows],
            },
        )
    path.touch()
    old = sorted(directory.glob("*.parquet"), key=lambda each: each.stat().st_mtime, reverse=True)
    for each in old[KEPT_SETS:]:
        each.unlink(missing_ok=True)
    return path


def drop_before(directory: Path, moment: datetime) -> None:
    """Delete the sets written before something was erased: one may hold it. The next training writes its own anew."""
    for each in directory.rglob("*.parquet"):
        if each.stat().st_mtime < moment.timestamp():
            each.unlink(missing_ok=True)


def drop_jobs(directory: Path) -> None:
    """Delete what jobs that were killed left behind."""
    for each in directory.iterdir():
        shutil.rmtree(each, ignore_errors=True)
