"""Temporary directories that are removed at the end, or by the next start if their owner was killed."""

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self

PREFIX = "labelstream-"
_LOCK = "owner.lock"
_YOUNG_S = 10


class Scratch:
    """A directory under the system's temporary one, held by a file lock that ends with the process.

    Other users may pass through it (a server that refuses to run as root keeps its data below) but not list it.
    """

    def __init__(self) -> None:
        base = base_directory()
        sweep(base)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        self.path.chmod(0o711)
        self._lock = (self.path / _LOCK).open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def sweep(base: Path) -> None:
    """Remove the directories of owners that are gone."""
    for path in base.glob(PREFIX + "*"):
        try:
            if path.stat().st_uid == os.getuid() and time.time() - path.stat().st_mtime > _YOUNG_S and _abandoned(path):
                shutil.rmtree(path, ignore_errors=True)
        except OSError:  # another sweeper was faster, or it is somebody else's
            continue


def _abandoned(path: Path) -> bool:
    """Whether the owner is gone.

    Raises:
        FileNotFoundError: it has no lock, so it is none of ours, whatever its name.
    """
    with (path / _LOCK).open("r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def base_directory() -> Path:
    """The system's temporary directory, or /tmp where a server that drops root could not reach that."""
    base = Path(tempfile.gettempdir())
    return base if os.getuid() != 0 or reachable(base) else Path("/tmp")  # noqa: S108  # mkdtemp makes it safe


def reachable(path: Path) -> bool:
    """May any user pass through every directory down to `path`?"""
    return all(part.stat().st_mode & 0o001 for part in [path, *path.parents] if part.is_dir())
