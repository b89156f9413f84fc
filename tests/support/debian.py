"""Programs out of Debian's packages, unpacked below `.labelstream` without installing anything."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cli.stack.children import ChildFailed, run
from cli.stack.paths import cache_root
from shared.errors import ConfigurationError, LabelstreamError

WITHIN_S = 120


def unpacked(name: str, packages: Callable[[], Sequence[str]]) -> Path:
    """The root of the packages' files, fetched once by apt with the sources that the machine has.

    Raises:
        ConfigurationError: there is no apt-get or dpkg here.
        ChildFailed: apt-get found no such package, or could not fetch it.
    """
    target = cache_root() / "debian" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes that share the tests want it at the same moment
        if not target.exists():
            _fill(target, packages)
    return target


def _fill(target: Path, packages: Callable[[], Sequence[str]]) -> None:
    apt, dpkg = _program("apt-get"), _program("dpkg")
    with tempfile.TemporaryDirectory(dir=target.parent) as partial:
        fetched = Path(partial) / "fetched"
        fetched.mkdir()
        _download(apt, packages(), fetched)
        for package in sorted(fetched.glob("*.deb")):
            run([dpkg, "-x", str(package), str(Path(partial) / "root")], what=f"unpacking {package.name}",
                within_s=WITHIN_S, cwd=fetched)  # fmt: skip
        (Path(partial) / "root").rename(target)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(f"{name} was not found on PATH: tests take programs out of Debian's packages with it")
    return found


def _download(apt: str, packages: Sequence[str], into: Path) -> None:
    command = [apt, "download", "-qq", *packages]
    first = subprocess.run(command, cwd=into, capture_output=True, check=False, timeout=WITHIN_S)  # noqa: S603
    if first.returncode != 0:
        run([apt, "download", "-qq", *_own_lists(apt), *packages], what=f"fetching {', '.join(packages)}",
            within_s=WITHIN_S, cwd=into)  # fmt: skip


def _own_lists(apt: str) -> list[str]:
    """Options by which apt knows packages where the machine has no lists of them, or too old ones."""
    state = cache_root() / "debian/apt"
    options = ["-o", f"Dir::State::Lists={state}/lists", "-o", f"Dir::Cache={state}", "-o", "APT::Sandbox::User=root"]
    if not (state / "read").exists():
        (state / "lists/partial").mkdir(parents=True, exist_ok=True)
        run([apt, "update", "-qq", *options], what="reading the lists of packages", within_s=WITHIN_S, cwd=state)
        (state / "read").touch()
    return options


def needed_by(package: str) -> list[str]:
    """The package and what it needs that this machine has not, by apt's own reckoning.

    Raises:
        ConfigurationError: apt does not know the package.
        ChildFailed: apt could not read its lists.
    """
    apt = _program("apt-get")
    done = _simulated(apt, package)
    if done.returncode != 0:
        done = _simulated(apt, package, *_own_lists(apt))
    if done.returncode != 0:
        raise ConfigurationError(f"apt does not know {package}: {done.stderr.strip()[-500:]}")
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")]


def _simulated(apt: str, package: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [apt, "install", "--simulate", "-qq", "--no-install-recommends", *options, package]
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, timeout=WITHIN_S, env=os.environ | {"LC_ALL": "C"}
    )


def or_skip(tool: Callable[[], Path]) -> Path:
    """A tool that only Debian has in a registry: elsewhere its tests are skipped and say why. Servers never are."""
    try:
        return tool()
    except (LabelstreamError, ChildFailed, subprocess.TimeoutExpired) as error:
        pytest.skip(f"no {tool.__name__} from Debian's packages: {error}")


def prometheus() -> Path:
    """The directory of `prometheus` and `promtool`; 19 MB, 3 s the first time."""
    return unpacked("prometheus", lambda: ["prometheus"]) / "usr/bin"


def chromium() -> Path:
    """The root of Chromium's headless shell and of libraries that this machine has not; 100 MB, 16 s the first time."""
    return unpacked("chromium", lambda: needed_by("chromium-headless-shell"))
