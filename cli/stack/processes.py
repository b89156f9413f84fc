"""The services, and the trainer, as child processes."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from cli.stack.children import Child, ChildFailed
from shared.topics import PACKAGES

_DRAIN_S = 20.0


class ServiceProcess:
    """`python -m` of a service, with its settings in the environment and its output in a log file.

    Args:
        name: one of shared.topics.PROCESSES.
        environment: its settings; added to the parent's environment, whose own LABELSTREAM_* are dropped.
        directory: for its log file.
        url: where its HTTP listens.
    """

    def __init__(self, name: str, environment: Mapping[str, str], *, directory: Path, url: str) -> None:
        self.name = name
        self.url = url
        self.environment = dict(environment)
        self.log = directory / f"{name}.log"
        self._child = self._new()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.running

    @property
    def returncode(self) -> int | None:
        return self._child.returncode

    def tail(self, lines: int = 30) -> str:
        return self._child.tail(lines)

    def spawn(self) -> None:
        """Start it and return at once; call from the event loop's thread."""
        self._child = self._new()
        self._child.spawn()

    async def wait_ready(self, within_s: float = 60) -> None:
        """Wait until /ready answers 200.

        Raises:
            ChildFailed: it ended, or was not ready in time; says what /ready last answered, and the end of its log.
        """
        last = ["nothing"]
        try:
            async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
                await self._child.until(lambda: self._ready(client, last), within_s=within_s)
        except ChildFailed as error:
            raise ChildFailed(f"{error}\n/ready last answered: {last[0]}") from None

    async def start(self, within_s: float = 60) -> None:
        """Start it and wait until it is ready."""
        self.spawn()
        await self.wait_ready(within_s)

    async def drain(self, grace_s: float = _DRAIN_S) -> int | None:
        """SIGTERM, then SIGKILL to what is left after `grace_s` seconds.

        Returns:
            The return code; None if it was never started.
        """
        return await self._child.stop(signal.SIGTERM, grace_s=grace_s)

    def kill9(self) -> None:
        """End it as a crash would."""
        self._child.kill9()

    def pause(self) -> None:
        """SIGSTOP: it stays connected and does nothing."""
        self._child.send(signal.SIGSTOP)

    def resume(self) -> None:
        self._child.send(signal.SIGCONT)

    async def restart(self, within_s: float = 60) -> None:
        """Drain it if it runs, then start it with the same settings and port."""
        await self.drain()
        await self.start(within_s)

    async def _ready(self, client: httpx.AsyncClient, last: list[str]) -> bool | None:
        try:
            response = await client.get(f"{self.url}/ready")
        except httpx.HTTPError as error:
            last[0] = str(error) or type(error).__name__
            return None
        last[0] = f"{response.status_code} {response.text[:500]}"
        return True if response.status_code == httpx.codes.OK else None

    def _new(self) -> Child:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LABELSTREAM_")}
        return Child(
            self.name,
            [sys.executable, "-m", PACKAGES.get(self.name, f"services.{self.name}")],
            log=self.log,
            env={**inherited, "PYTHONUNBUFFERED": "1", **self.environment},
        )


async def watch(services: Mapping[str, ServiceProcess], every_s: float = 0.5) -> None:
    """Returns never; raises as soon as one of the services has ended.

    Raises:
        ChildFailed: says which, its code, and the end of its log.
    """
    while True:
        for service in services.values():
            if not service.running:
                raise ChildFailed(
                    f"{service.name} ended with code {service.returncode}. End of {service.log}:\n{service.tail()}"
                )
        await asyncio.sleep(every_s)
