"""compose.yaml, brought up under a project name, ports and passwords of this run alone."""

import base64
import json
import os
import random
import secrets
import socket
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared.runtime.settings import KafkaSettings
from shared.topics import PROCESSES
from tests.compose.engine import Engine, Failed, call, say

REPOSITORY = Path(__file__).parents[2]
COMPOSE = REPOSITORY / "compose.yaml"
SERVERS, JOBS = ("kafka", "postgres", "prometheus"), ("migrate", "topics")
RUN = (*SERVERS, *JOBS, *PROCESSES)
"""All of compose.yaml but the operator, which is run, and Grafana, whose provisioning is checked as files."""
PORTS = {"prelabel": 8001, "assignment": 8002, "qc": 8003, "monitor": 8004, "trainer": 8005}
READY_S, STOP_S = 240.0, 30.0
_PASSWORDS = (
    "POSTGRES_PASSWORD", "ASSIGNMENT_PASSWORD", "QC_PASSWORD", "MONITOR_PASSWORD", "KAFKA_PASSWORD",
    "KAFKA_ADMIN_PASSWORD", "GRAFANA_PASSWORD", "ADMIN_TOKEN",
)  # fmt: skip
_LABELS = ("com.docker.compose.project", "com.docker.compose.service")


class Deployment:
    """One deployment by compose; `destroy` removes all of it.

    Args:
        engine: what runs it.
        directory: for its settings and what commands are given; must be there until it is destroyed.
    """

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        self.project = f"labelstream-test-{secrets.token_hex(4)}"
        self.given = directory / "given"
        self.given.mkdir()
        kafka_port, assignment_port, monitor_port = _ports(3)
        self._values = {name: secrets.token_urlsafe(32) for name in _PASSWORDS} | {
            "KAFKA_CLUSTER_ID": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22].replace("-", "0"),
            "KAFKA_PORT": str(kafka_port),
            "ASSIGNMENT_PORT": str(assignment_port),
            "MONITOR_PORT": str(monitor_port),
        }
        environment = directory / "env"
        environment.write_text("".join(f"{name}={value}\n" for name, value in self._values.items()))
        environment.chmod(0o600)
        self._command = [*engine.compose, "--project-name", self.project, "--env-file", str(environment)]
        self._command += ["--file", str(COMPOSE)]
        if engine.program == "podman":
            self._command += ["--file", str(_without_waiting(directory))]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._values['ASSIGNMENT_PORT']}"

    @property
    def admin_token(self) -> str:
        return self._values["ADMIN_TOKEN"]

    @property
    def kafka(self) -> KafkaSettings:
        """From this host, as a producer of yours would."""
        return KafkaSettings(
            bootstrap=f"localhost:{self._values['KAFKA_PORT']}",
            security_protocol="SASL_PLAINTEXT",
            allow_insecure=True,
            sasl_mechanism="PLAIN",
            sasl_username="labelstream",
            sasl_password=self._values["KAFKA_PASSWORD"],
        )

    def compose(self, *arguments: str | Path, what: str, within_s: float = 300) -> str:
        return call([*self._command, *arguments], what=what, within_s=within_s, env=self.engine.environment)

    def build(self) -> None:
        """The images of compose.yaml, from the Dockerfile; the jobs' is the operator's."""
        self.compose(
            "--profile", "operator", "build", *PROCESSES, "operator", what="building the images", within_s=1800
        )

    def up(self) -> None:
        """Servers, then jobs, then services, as `depends_on` has it; returns when every service is ready."""
        self.compose("up", "--detach", *SERVERS, what="starting the servers")
        for name in ("kafka", "postgres"):
            self._until(lambda name=name: self._healthy(name), f"{name} is healthy")
        self.compose("up", "--detach", *JOBS, what="starting the jobs")
        for name in JOBS:
            self._until(lambda name=name: self._finished(name), f"{name} has finished")
        self.compose("up", "--detach", *PROCESSES, what="starting the services")
        for name in PROCESSES:
            self._until(lambda name=name: self._ready(name), f"{name} is ready")
            self._until(lambda name=name: self._healthy(name), f"{name}'s health check passes")

    def stop(self, *services: str) -> dict[str, int]:
        """SIGTERM to services; their exit codes."""
        self.compose("stop", *services, what=f"stopping {', '.join(services)}")
        return {name: int(self.engine.inspect(self.container(name), "{{.State.ExitCode}}")) for name in services}

    def down(self) -> None:
        """Containers and networks go, volumes stay."""
        self.compose("down", what="compose down")

    def destroy(self) -> list[str]:
        """Everything goes; returns what is left all the same, by name."""
        self.compose("down", "--volumes", "--remove-orphans", what="compose down --volumes")
        mine = f"label={_LABELS[0]}={self.project}"
        left = self.engine.run("ps", "--all", "--quiet", "--filter", mine).split()
        for kind in ("volume", "network"):
            listed = self.engine.run(kind, "ls", "--format", "{{.Name}}").split()
            left += [name for name in listed if name.startswith(self.project)]
        return left

    def container(self, service: str) -> str:
        """The id of a service's container."""
        filters = [f"label={key}={value}" for key, value in zip(_LABELS, (self.project, service), strict=True)]
        found = self.engine.run("ps", "--all", "--quiet", "--filter", filters[0], "--filter", filters[1]).split()
        if len(found) != 1:
            raise Failed(f"{service} has {len(found)} containers")
        return found[0]

    def python(self, service: str, code: str) -> str:
        """Run a line of Python in a service's container."""
        return self.engine.run("exec", self.container(service), "python", "-c", code, what=f"Python in {service}")

    def operator(self, *arguments: str, check: bool = True) -> dict[str, Any]:
        """A command of the README in the operator's container; what `given` holds is under /given there.

        Returns:
            What it printed by --json; {} if it failed and `check` is off.
        """
        run = [
            "--profile",
            "operator",
            "run",
            "--rm",
            "--no-deps",
            "-T",
            "--volume",
            f"{self.given}:/given:ro",
            "operator",
        ]
        try:
            said = self.compose(*run, *arguments, "--json", what=f"labelstream {' '.join(arguments[:2])}")
        except Failed:
            if check:
                raise
            return {}
        found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
        return found

    def logs(self) -> str:
        """The end of every container's output."""
        parts = []
        for name in RUN:
            try:
                said = self.engine.run("logs", "--tail", "15", self.container(name), both=True)
            except Failed as error:
                said = str(error)
            parts.append(f"--- {name}\n{said[-3000:]}")
        return "\n".join(parts)

    def _until(self, attempt: Any, what: str) -> None:
        deadline = time.monotonic() + READY_S
        while not attempt():
            if time.monotonic() > deadline:
                raise Failed(f"after {READY_S:.0f} s it is not so that {what}:\n{self.logs()}")
            time.sleep(1)
        say(what)

    def _healthy(self, service: str) -> bool:
        """By the health check of compose.yaml. Podman without systemd runs none by itself, so it is told to."""
        name = self.container(service)
        if self.engine.program == "podman":
            return self.engine.succeeds("healthcheck", "run", name)
        return self.engine.inspect(name, "{{.State.Health.Status}}") == "healthy"

    def _ready(self, service: str) -> bool:
        code = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{PORTS[service]}/ready', timeout=5)"
        return self.engine.succeeds("exec", self.container(service), "python", "-c", code)

    def _finished(self, job: str) -> bool:
        state, code = self.engine.inspect(self.container(job), "{{.State.Status}} {{.State.ExitCode}}").split()
        return state == "exited" and code == "0"


def _without_waiting(directory: Path) -> Path:
    """Podman 4 cannot wait for `depends_on` conditions, and fails on a job that has ended; `up` knows the order."""
    path = directory / "podman.yaml"
    path.write_text("services:\n" + "".join(f"  {name}: {{depends_on: !reset null}}\n" for name in PROCESSES))
    return path


def _ports(count: int) -> Iterable[int]:
    """Free TCP ports below those that the kernel gives out by itself."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


def cpu_and_memory(deployment: Deployment) -> dict[str, tuple[float, float]]:
    """Service -> (seconds of CPU, peak resident MB) so far; empty where the engine runs in a machine of its own."""
    found = {}
    tick = os.sysconf("SC_CLK_TCK")
    for name in PROCESSES:
        process = Path("/proc") / deployment.engine.inspect(deployment.container(name), "{{.State.Pid}}")
        if not process.exists():
            return {}
        used = (process / "stat").read_text().rpartition(")")[2].split()
        peak = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
        found[name] = ((int(used[11]) + int(used[12])) / tick, int(peak.split()[1]) / 1024)
    return found
