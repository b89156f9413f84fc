"""An engine for testcontainers: podman's Docker API on a socket of its own, with the images that tests want."""

import os
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.compose.engine import Engine, Failed

START_S = 30.0


@contextmanager
def docker_api(engine: Engine) -> Generator[Mapping[str, str]]:
    """The environment in which testcontainers and docker's client find this engine."""
    if engine.program == "docker":
        yield os.environ
        return
    with tempfile.TemporaryDirectory(prefix="ls-") as directory:
        socket = Path(directory) / "engine.sock"
        command = ["podman", "system", "service", "--time=0", f"unix://{socket}"]
        service = subprocess.Popen(command, env=engine.environment, stderr=subprocess.DEVNULL)  # noqa: S603  # ours
        try:
            deadline = time.monotonic() + START_S
            while not socket.exists():
                if time.monotonic() > deadline or service.poll() is not None:
                    raise Failed("podman system service did not start")
                time.sleep(0.1)
            yield {
                **os.environ,
                "DOCKER_HOST": f"unix://{socket}",
                "TESTCONTAINERS_RYUK_DISABLED": "true",  # its image is in no registry here; the store goes with the run
                "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
            }
        finally:
            service.terminate()
            service.wait(timeout=30)


def with_engine(engine: Engine, command: Sequence[str]) -> int:
    """Run a command that may use the engine; its exit code."""
    with docker_api(engine) as environment:
        return subprocess.run(command, env=dict(environment), check=False).returncode  # noqa: S603  # the caller's own
