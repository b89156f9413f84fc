"""Run by path in front of a training: limits its memory, ties its life to the trainer's, then executes it.

    python -I -S guard.py PARENT_PID MEGABYTES COMMAND...

0 megabytes set no limit. Only Linux can tell a child of its parent's death.
"""

import os
import resource
import sys

PR_SET_PDEATHSIG, SIGKILL = 1, 9


def main(arguments: list[str]) -> None:
    parent, megabytes, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    if megabytes:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  # there is nothing to load elsewhere

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)
    os.nice(5)
    os.execvp(command[0], command)  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
