"""Child processes that never outlive their parent, with their output in a log file."""

import asyncio
import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from cli.stack import launch
from shared.errors import LabelstreamError

T = TypeVar("T")

_LIVE: "weakref.WeakSet[Child]" = weakref.WeakSet()
_POLL_S = 0.03
_LOWEST_PORT = 10_000
_USUAL_LOWEST_OUTGOING = 32_768
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PORT_DRAWS = 100
_PORTS = random.SystemRandom()


class ChildFailed(LabelstreamError):  # noqa: N818  # it is what happened
    """A child process ended, or did not become ready in time. The message holds the end of its log."""


class Child:
    """One process in a session of its own, ended with everything it started.

    The kernel ties it to the *thread* that calls `spawn`: call it from the main thread, or from the event loop's.

    Args:
        name: for messages.
        command: program and arguments.
        log: receives stdout and stderr, appended.
        env: the whole environment; the parent's when None.
        death_signal: what the child gets when its parent dies.
        user: (uid, gid) to run as, when the parent is root.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        user: tuple[int, int] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = wrapped(command, death_signal, user)
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> None:
        """Start the process; returns at once."""
        if self.running:
            raise ChildFailed(f"{self.name} is already running as process {self.pid}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = _popen(self._command, output, self._env)
        _LIVE.add(self)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ChildFailed(f"{self.name} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """None while it runs; the negative signal number if a signal ended it."""
        return None if self._process is None else self._process.poll()

    def tail(self, lines: int = 30) -> str:
        """The end of the log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def failure(self, what: str) -> ChildFailed:
        return ChildFailed(f"{self.name} {what}. End of {self.log}:\n{self.tail()}")

    def send(self, number: signal.Signals) -> None:
        """Signal the process itself, if it still runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill9(self) -> None:
        """SIGKILL to the process and all it started; returns when it is gone."""
        if self._process is None or self not in _LIVE:  # once only: the system may give the id to another process
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        _LIVE.discard(self)

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, grace_s: float = 10) -> int | None:
        """Ask it to end, then kill what is left of its session after `grace_s` seconds.

        Returns:
            The return code, None if it was never started.
        """
        if self.running:
            self.send(number)
            await self.wait(grace_s)
        self.kill9()
        return self.returncode

    async def wait(self, within_s: float) -> bool:
        """Wait for its end; False if it still runs after `within_s` seconds."""
        deadline = time.monotonic() + within_s
        while self.running and time.monotonic() < deadline:  # noqa: ASYNC110  # a process gives no event
            await asyncio.sleep(_POLL_S)
        return not self.running

    async def until(self, attempt: Callable[[], Awaitable[T | None]], *, within_s: float) -> T:
        """Repeat `attempt` until it gives something.

        Raises:
            ChildFailed: the process ended first, or `within_s` seconds went by.
        """
        deadline = time.monotonic() + within_s
        while True:
            if not self.running:
                raise self.failure(f"ended with code {self.returncode} before it was ready")
            if (found := await attempt()) is not None:
                return found
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready after {within_s:g} s")
            await asyncio.sleep(_POLL_S)


def wrapped(
    command: Sequence[str], death_signal: signal.Signals = signal.SIGKILL, user: tuple[int, int] | None = None
) -> list[str]:
    """The command with the launcher in front of it."""
    uid, gid = user or (-1, -1)
    prefix = [os.getpid(), int(death_signal), uid, gid]
    return [sys.executable, "-I", "-S", launch.__file__, *map(str, prefix), *command]


def run(
    command: Sequence[str],
    *,
    what: str,
    within_s: float = 60,
    user: tuple[int, int] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a short helper to its end.

    Returns:
        Its output.

    Raises:
        ChildFailed: it failed or took longer than `within_s` seconds.
    """
    try:
        done = subprocess.run(  # noqa: S603  # our own arguments
            wrapped(command, user=user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ChildFailed(f"{what} took longer than {within_s:g} s") from error
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise ChildFailed(f"{what} failed with code {done.returncode}:\n{output[-4000:]}")
    return output


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago; whoever binds it must be ready to be refused.

    It lies below those that the system gives to outgoing connections: one of these would take it in the seconds between
    here and the start of the service that is to listen there.
    """
    for _ in range(_PORT_DRAWS):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", _PORTS.randrange(_LOWEST_PORT, _lowest_outgoing())))
            return int(probe.getsockname()[1])
    raise ChildFailed(f"no free port of 127.0.0.1 between {_LOWEST_PORT} and {_lowest_outgoing()} was found")


def _lowest_outgoing() -> int:
    try:
        return max(int(_OUTGOING.read_text().split()[0]), 2 * _LOWEST_PORT)
    except (OSError, ValueError, IndexError):
        return _USUAL_LOWEST_OUTGOING


def _popen(command: Sequence[str], output: IO[bytes], env: Mapping[str, str] | None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603  # our own arguments
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, start_new_session=True
    )


@atexit.register
def _end_all() -> None:
    for child in list(_LIVE):
        child.kill9()
