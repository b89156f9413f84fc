"""One Kafka node as a child process, which can be killed and started again on the same data."""

import asyncio
import base64
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

from cli.stack.children import Child, ChildFailed, free_port, run
from cli.stack.kafka.jars import executable, resolve
from cli.stack.kafka.properties import Ports, render, server_properties
from cli.stack.probe import cluster_id
from shared.errors import ConfigurationError

_ATTEMPTS = 3


class Kafka:
    """Apache Kafka in KRaft mode, broker and controller in one process.

    Args:
        directory: holds its data, settings and log file. What is already there is used again.
        port: of the clients; a free one when None.
        heap_mb: of the JVM, MiB.
        extra_listeners: name to security protocol, each on a port of its own (see `bootstrap_of`).
        properties: further settings of Kafka; they win.
        jvm: further options of the JVM, e.g. a JAAS file.
    """

    idempotence = True
    session_timeout_ms = 6000

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        heap_mb: int = 512,
        extra_listeners: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        jvm: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.cluster_id = ""
        self._port = port
        self._heap_mb = heap_mb
        self._extra = dict(extra_listeners or {})
        self._overrides = dict(properties or {})
        self._jvm = jvm
        self._ports = Ports(0, 0, {})
        self._classpath = ""
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._ports.broker}"

    def bootstrap_of(self, listener: str) -> str:
        return f"127.0.0.1:{self._ports.extra[listener]}"

    @property
    def pid(self) -> int:
        if self._child is None:
            raise ChildFailed("Kafka was never started")
        return self._child.pid

    async def start(self, within_s: float = 60) -> None:
        """Fetch the jars and format the data directory where needed, start, wait until it serves.

        Raises:
            ConfigurationError: Java or Maven is missing, or the given port is taken.
            ChildFailed: Maven or Kafka failed; holds the end of its output.
        """
        self._classpath = f"{await asyncio.to_thread(resolve)}/*"
        for attempt in range(1, _ATTEMPTS + 1):
            self._ports = Ports(self._port or free_port(), free_port(), {name: free_port() for name in self._extra})
            self._configure()
            await self._format()
            try:
                await self._serve(within_s)
            except ChildFailed as error:
                taken = "already in use" in str(error)
                if taken and self._port is not None:
                    raise ConfigurationError(f"port {self._port} is taken; choose another one for Kafka") from error
                if not taken or attempt == _ATTEMPTS:
                    raise
            else:
                return

    async def stop(self, grace_s: float = 10) -> None:
        """End it cleanly, by force after `grace_s` seconds."""
        if self._child is not None:
            await self._child.stop(signal.SIGTERM, grace_s=grace_s)

    def kill9(self) -> None:
        """End it as a crash would."""
        if self._child is not None:
            self._child.kill9()

    async def restart(self, within_s: float = 60) -> None:
        """Start it again with the same ports, settings and data."""
        await self._serve(within_s)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def _logs(self) -> Path:
        return self.directory / "logs"

    @property
    def _settings(self) -> Path:
        return self.directory / "server.properties"

    def _configure(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = server_properties(self._logs, self._ports, self._extra, self._overrides)
        self._settings.write_text(render(settings))

    async def _format(self) -> None:
        if (self._logs / "meta.properties").exists():
            return
        command = [*self._java(64), "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        command += ["-t", new_cluster_id(), "-c", str(self._settings)]
        await asyncio.to_thread(run, command, what="formatting Kafka's data directory")

    async def _serve(self, within_s: float) -> None:
        command = [*self._java(self._heap_mb), *self._jvm, "kafka.Kafka", str(self._settings)]
        child = self._child = Child("Kafka", command, log=self.directory / "kafka.log")
        child.spawn()
        try:
            self.cluster_id = await child.until(lambda: cluster_id(self.bootstrap), within_s=within_s)
        except BaseException:
            child.kill9()
            raise

    def _java(self, heap_mb: int) -> list[str]:
        return [
            executable("java", "a Java 17 runtime (Debian: openjdk-17-jre-headless)"),
            f"-Xmx{heap_mb}m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
            "-cp", self._classpath,
        ]  # fmt: skip


def new_cluster_id(draw: Callable[[], UUID] = uuid4) -> str:
    """22 characters; never one that begins with a dash, which Kafka's formatter takes for an option."""
    while True:
        found = base64.urlsafe_b64encode(draw().bytes).rstrip(b"=").decode()
        if not found.startswith("-"):
            return found
