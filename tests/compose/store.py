"""A store of images, containers, networks and volumes of one run's own, so that podman touches nobody else's."""

import contextlib
import fcntl
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cli.stack.paths import cache_root
from tests.compose.engine import Engine, podman_engine

ROOT = cache_root() / "containers"
_LOCK, _RUN = "owner.lock", "run"
_CERTIFICATES = "/etc/labelstream-ca.pem"


@contextmanager
def private_podman() -> Generator[Engine]:
    """Podman on an empty store. At the end everything in it is ended and removed."""
    ROOT.mkdir(parents=True, exist_ok=True)
    sweep()
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=ROOT))
    with (directory / _LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (directory / _RUN).symlink_to(tempfile.mkdtemp(prefix="ls-"))  # podman wants a short path there
        _configure(directory)
        try:
            yield podman_engine(environment(directory), _build_options(directory))
        finally:
            purge(directory)


def sweep() -> None:
    """Remove what runs left behind that were killed."""
    for directory in ROOT.glob("run-*"):
        with contextlib.suppress(OSError), (directory / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            purge(directory)


def purge(directory: Path) -> None:
    """End and remove everything in a store, then the store."""
    for command in (
        "pod rm --all --force",
        "rm --all --force --volumes --time 2",
        "network prune --force",
        "umount --all",
    ):
        subprocess.run(  # noqa: S603  # our own arguments
            ["podman", *command.split()],  # noqa: S607  # podman of the machine
            env=environment(directory), capture_output=True, timeout=120, check=False,
        )  # fmt: skip
    graph = directory / "graph" / "overlay"
    if graph.is_mount():
        subprocess.run(["umount", "--lazy", graph], check=False)  # noqa: S603, S607  # ours
    with contextlib.suppress(OSError):
        shutil.rmtree((directory / _RUN).resolve(strict=True), ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def environment(directory: Path) -> dict[str, str]:
    """What makes podman use this store and nothing of the machine's."""
    return os.environ | {
        "CONTAINERS_CONF": str(directory / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(directory / "registries.conf"),
    }


def _configure(directory: Path) -> None:
    run = (directory / _RUN).resolve()
    open_files, processes = (resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    limits = {"nofile": min(_finite(open_files), 20_000), "nproc": min(_finite(processes), 8192)}
    engine = [f'tmp_dir = "{run}/libpod"', 'events_logger = "file"']
    if not Path("/run/systemd/system").exists():
        engine.append('cgroup_manager = "cgroupfs"')
    if shutil.which("runc") and not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        engine.append('runtime = "runc"')  # crun refuses a machine with both kinds of cgroups
    network = ['network_backend = "netavark"', f'network_config_dir = "{directory}/networks"']
    lines = ["[containers]", f"default_ulimits = {[f'{name}={most}:{most}' for name, most in limits.items()]}"]
    lines += ["[engine]", *engine, "[network]", *network]
    (directory / "containers.conf").write_text("\n".join(lines).replace("'", '"') + "\n")
    storage = ["[storage]", 'driver = "overlay"', f'graphroot = "{directory}/graph"', f'runroot = "{run}"']
    (directory / "storage.conf").write_text("\n".join(storage) + "\n")
    (directory / "registries.conf").write_text('unqualified-search-registries = ["docker.io"]\n')


def _finite(limit: int) -> int:
    return limit if limit != resource.RLIM_INFINITY else 1_048_576


def _build_options(directory: Path) -> tuple[str, ...]:
    """A build uses the network, and the certificates, that pip uses on this machine."""
    options = ("--network", "host")
    given = next((os.environ[name] for name in ("PIP_CERT", "SSL_CERT_FILE") if os.environ.get(name)), None)
    if given is None:
        return options
    pip = directory / "pip.conf"
    pip.write_text(f"[global]\ncert = {_CERTIFICATES}\n")
    return (*options, "--volume", f"{given}:{_CERTIFICATES}:ro", "--volume", f"{pip}:/etc/pip.conf:ro")
