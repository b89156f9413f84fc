"""Directories that nobody holds any more go; what is not ours stays, whatever its name."""

import os
from pathlib import Path

from cli.stack.scratch import PREFIX, sweep

LONG_AGO = 1_000_000_000


def directory(base: Path, name: str, *files: str) -> Path:
    path = base / f"{PREFIX}{name}"
    path.mkdir()
    for file in files:
        (path / file).touch()
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_only_what_is_ours_and_abandoned_is_removed(tmp_path: Path) -> None:
    abandoned = directory(tmp_path, "abandoned", "owner.lock", "data")
    foreign = directory(tmp_path, "backup", "precious")
    young = directory(tmp_path, "young", "owner.lock")
    os.utime(young)
    sweep(tmp_path)
    assert not abandoned.exists()
    assert [path.name for path in foreign.iterdir()] == ["precious"]
    assert young.exists()
