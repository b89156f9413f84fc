"""The container engine of this machine: podman with a store of its own, or a Docker that answers."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PODMAN_PACKAGES = "podman runc netavark aardvark-dns"
PODMAN = f"podman (Debian, Ubuntu: apt-get install {PODMAN_PACKAGES})"
HELPERS = ("/usr/lib/podman", "/usr/libexec/podman", "/usr/local/lib/podman", "/usr/local/libexec/podman")
NONE_FOUND = f"there is no container engine. Install {PODMAN}, or Docker with its compose plugin, and try again"


class Missing(Exception):  # noqa: N818  # it is what happened
    """Something that the machine would need; the message says what to install."""


class Failed(AssertionError):  # noqa: N818  # it is what happened
    """A command failed or a promise does not hold."""


def say(what: str, *, began: float = time.monotonic()) -> None:
    """One line of progress, with the seconds since the start."""
    print(f"[{time.monotonic() - began:6.1f} s] {what}", flush=True)


def call(
    command: Sequence[str | Path],
    *,
    what: str,
    within_s: float = 120,
    env: Mapping[str, str] | None = None,
    text: str = "",
    both: bool = False,
) -> str:
    """Run a command to its end and return its stdout; `text` is its stdin, `both` adds its stderr.

    Raises:
        Failed: it failed or took too long; holds the end of what it said.
    """
    try:
        done = subprocess.run(  # noqa: S603  # our own arguments
            [str(part) for part in command],
            env=dict(env) if env is not None else None,
            input=text,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{what} took longer than {within_s:g} s") from error
    if done.returncode != 0:
        raise Failed(f"{what} failed with code {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout + done.stderr if both else done.stdout


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine and how to speak to it.

    Attributes:
        program: "podman" or "docker".
        compose: the command of its compose.
        environment: of every command; for podman it names the private store.
        build_options: given to every build.
    """

    program: str
    compose: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    build_options: tuple[str, ...] = ()

    def run(
        self, *arguments: str | Path, what: str = "", within_s: float = 120, text: str = "", both: bool = False
    ) -> str:
        """Run the engine.

        Raises:
            Failed: as `call`.
        """
        command = [self.program, *arguments]
        told = what or " ".join(map(str, command[:4]))
        return call(command, what=told, within_s=within_s, env=self.environment, text=text, both=both)

    def succeeds(self, *arguments: str, within_s: float = 120) -> bool:
        """Whether the engine's command ends with code 0."""
        try:
            self.run(*arguments, within_s=within_s)
        except Failed:
            return False
        return True

    def inspect(self, name: str, template: str) -> str:
        """One field of a container or image."""
        return self.run("inspect", "--format", template, name).strip()

    def build(self, directory: Path, image: str, *options: str, within_s: float = 900) -> None:
        self.run(
            "build",
            *self.build_options,
            *options,
            "--tag",
            image,
            directory,
            what=f"building {image}",
            within_s=within_s,
        )


def choose(wanted: str) -> str:
    """The engine to use: the wanted one, else podman, else Docker.

    Raises:
        Missing: there is none; says what to install.
    """
    if wanted in ("", "podman") and shutil.which("podman"):
        _check_podman()
        return "podman"
    if wanted in ("", "docker") and shutil.which("docker"):
        _check_docker()
        return "docker"
    raise Missing(f"{wanted} was not found on PATH" if wanted else NONE_FOUND)


def _check_podman() -> None:
    for helper in ("netavark", "aardvark-dns"):
        if not shutil.which(helper) and not any(Path(folder, helper).exists() for folder in HELPERS):
            raise Missing(f"podman is here, but not {helper}, by which containers find each other: install {PODMAN}")


def _check_docker() -> None:
    docker = Engine("docker", ("docker", "compose"))
    if not docker.succeeds("version", within_s=30):
        raise Missing(f"docker is here, but no daemon answers it. Start one, or install {PODMAN}, and try again")
    if not docker.succeeds("compose", "version", within_s=30):
        raise Missing("docker is here, but not its compose plugin: install docker-compose-plugin")


def docker_engine() -> Engine:
    return Engine("docker", ("docker", "compose"))


def podman_engine(environment: Mapping[str, str], build_options: Sequence[str]) -> Engine:
    """Podman with podman-compose, which is one of the development requirements."""
    command = (sys.executable, "-m", "podman_compose", "--podman-build-args", " ".join(build_options))
    return Engine("podman", command, environment, tuple(build_options))
