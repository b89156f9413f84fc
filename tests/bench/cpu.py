"""CPU time by process, read from /proc: where a microsecond goes."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_BACKEND = re.compile(r"^postgres: (?P<who>[a-z ]+?)(?: labelstream.*)?\s*$")


def used_s(pid: int) -> float:
    """User and system seconds of one process; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * TICK_S


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found.setdefault(int(fields[1]), []).append(int(entry.name))
    return found


def _backends(postmaster: int) -> dict[int, str]:
    """Process id -> the role it serves, or what it does, of a server's processes."""
    named = {postmaster: "postgres: postmaster"}
    for pid in _children().get(postmaster, ()):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        match = _BACKEND.match(title)
        named[pid] = f"postgres: {match['who'] if match else 'other'}"
    return named


class Meter:
    """CPU seconds of named processes and of a PostgreSQL server's backends, by role, since the last `start`.

    Args:
        processes: name -> process id.
        postmaster: of the server; None for none.
    """

    def __init__(self, processes: Mapping[str, int], postmaster: int | None = None) -> None:
        self._processes = dict(processes)
        self._postmaster = postmaster
        self._before: dict[int, float] = {}

    def start(self) -> None:
        """Begin to count."""
        self._before = {pid: used_s(pid) for pid in self._named()}

    def read(self, items: int) -> dict[str, float]:
        """Name -> microseconds of CPU per item since `start`; backends that have ended meanwhile are not in it."""
        spent: Counter[str] = Counter()
        for pid, name in self._named().items():
            spent[name] += (used_s(pid) - self._before.get(pid, 0.0)) / items * 1e6  # type: ignore[assignment]
        return dict(sorted(spent.items()))

    def _named(self) -> dict[int, str]:
        named = {pid: name for name, pid in self._processes.items()}
        return named if self._postmaster is None else named | _backends(self._postmaster)
