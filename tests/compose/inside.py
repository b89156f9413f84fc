"""Sent into a container of an image: says who runs there, what it could write to, and what it could build or import.

python - SERVICE < inside.py
"""

import importlib
import json
import os
import shutil
from pathlib import Path

KERNEL = ("/proc", "/sys", "/dev", "/run/secrets")
COMPILERS = ("gcc", "cc", "c99", "g++", "c++", "clang", "tcc", "as", "ld", "make", "cmake", "rustc", "cargo", "go")
INSTALLERS = ("pip", "setuptools")
SERVICES = ("prelabel", "assignment", "qc", "monitor")
SET_ID = 0o6000


def importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def installers() -> list[str]:
    """What could bring more packages: for this Python, for the one below it, and on PATH."""
    base = Path("/usr/local/lib").glob("python3.*/site-packages/*")
    found = [name for name in INSTALLERS if importable(name)]
    return [*found, *map(str, base), *(name for name in ("pip", "pip3") if shutil.which(name))]


def walk() -> tuple[list[str], list[str]]:
    """What this user may write to (not what is below it), and the programs that run as somebody else."""
    writable, set_id, ahead = [], [], ["/"]
    while ahead:
        for entry in os.scandir(ahead.pop()):
            if entry.path in KERNEL or entry.is_symlink():
                continue
            if entry.is_file() and entry.stat().st_mode & SET_ID:
                set_id.append(entry.path)
            if os.access(entry.path, os.W_OK):
                writable.append(entry.path)
            elif entry.is_dir() and os.access(entry.path, os.R_OK | os.X_OK):
                ahead.append(entry.path)
    return writable, set_id


def write(path: str) -> str:
    """What happens when a file is made there."""
    try:
        Path(path, "probe").touch()
    except OSError as error:
        return type(error).__name__
    return "written"


def status() -> dict[str, str]:
    lines = (line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return {name: value.strip() for name, value in lines}


def main() -> None:
    writable, set_id = walk()
    kernel = status()
    print(
        json.dumps(
            {
                "uid": os.getuid(),
                "gid": os.getgid(),
                "capabilities": int(kernel["CapEff"], 16),
                "no_new_privileges": kernel["NoNewPrivs"] == "1",
                "writable": sorted(writable),
                "set_id": sorted(set_id),
                "root": write("/"),
                "app": write("/app"),
                "compilers": [name for name in COMPILERS if shutil.which(name)],
                "installers": installers(),
                "services": [name for name in SERVICES if importable(f"services.{name}.app")],
                "cli": importable("cli.__main__"),
            }
        )
    )


main()
