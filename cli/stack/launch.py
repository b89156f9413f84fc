"""Run by path in front of every child: ties the child's life to its parent's, optionally drops root, then executes it.

    python -I -S launch.py PARENT_PID DEATH_SIGNAL UID GID COMMAND...

A file of its own because code between fork and exec is unsafe in a program with threads. UID and GID of -1 keep the
user. Only Linux can tell a child of its parent's death; elsewhere the parent's exit handler has to do.
"""

import os
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent, death_signal, uid, gid = (int(value) for value in arguments[:4])
    command = arguments[4:]
    prctl = _prctl()
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)  # after setuid, which would clear it
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  # no shell is wanted


def _prctl() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415  # loaded while still allowed to read the interpreter's files

    prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    return prctl


if __name__ == "__main__":
    main(sys.argv[1:])
