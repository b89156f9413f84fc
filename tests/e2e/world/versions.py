"""Other versions of the code, each in a directory of its own, to be run beside this one.

`tomorrow` is this version's successor as an expand release would be: every table has two columns more, every event a
field more, in its body and inside it. `at` is the code of a commit.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from shared.errors import LabelstreamError

REPOSITORY = Path(__file__).parents[3]
PACKAGES = ("cli", "services", "shared")
WRITTEN_BY = "written_by"
"""The field that tomorrow's events carry."""
TOMORROW = f'{WRITTEN_BY}: str = "tomorrow"'

CREATED = re.compile(r"^CREATE TABLE (\w+)", re.MULTILINE)
EXPAND = """
ALTER TABLE {table} ADD COLUMN tomorrow_note text, ADD COLUMN tomorrow_weight integer NOT NULL DEFAULT 1;
"""
PATCHES: Mapping[str, tuple[str, str]] = {
    "shared/events/base.py": ("    item_id: ItemId\n", f"    item_id: ItemId\n    {TOMORROW}\n"),
    "shared/events/rounds.py": (
        "    certificate: UUID | None = None\n",
        f"    certificate: UUID | None = None\n    {TOMORROW}\n",
    ),
}


def tomorrow(directory: Path) -> Path:
    """This code with an expand release on top.

    Raises:
        LookupError: a place that is changed is not in the code any more.
    """
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (before, after) in PATCHES.items():
        path = directory / name
        text = path.read_text()
        if text.count(before) != 1:
            raise LookupError(f"{name}: {before!r} stands there {text.count(before)} times")
        path.write_text(text.replace(before, after))
    for folder in [*directory.glob("services/*/migrations"), directory / "shared/db/migrations"]:
        tables = [table for path in sorted(folder.glob("*.sql")) for table in CREATED.findall(path.read_text())]
        for number, table in enumerate(tables, start=9000):  # one table a file: see shared.db.migrate
            (folder / f"{number}_tomorrow_{table}.sql").write_text(EXPAND.format(table=table))
    return directory


def at(reference: str, directory: Path) -> Path:
    """The code of a commit, tag or branch.

    Raises:
        CalledProcessError: git does not know it; a shallow clone may not.
    """
    command = ["git", "archive", "--format=tar", reference, *PACKAGES]
    packed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True).stdout  # noqa: S603  # git
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(directory, filter="data")
    return directory


def environment(code: Path) -> dict[str, str]:
    """Variables with which `python -m services.x` runs that code, and not the one it is started from."""
    return {"PYTHONPATH": str(code), "PYTHONSAFEPATH": "1"}


def command(code: Path, *arguments: str, **variables: str) -> str:
    """Run a command of that code's own `labelstream`; returns what it printed.

    Raises:
        LabelstreamError: it failed; says what it printed.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LABELSTREAM_")}
    done = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-m", "cli", *arguments], env=inherited | environment(code) | variables,
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if done.returncode != 0:
        raise LabelstreamError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
