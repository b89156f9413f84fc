"""The embedded PostgreSQL: one server, a database, and one role with a schema of its own per service."""

import asyncio
import os
import secrets
import shutil
import signal
from pathlib import Path
from typing import Self
from urllib.parse import quote

import asyncpg

from cli.stack.children import Child, ChildFailed, free_port, run
from cli.stack.postgres_binaries import MAJOR, Binaries, locate
from cli.stack.scratch import Scratch, reachable
from shared.errors import ConfigurationError
from shared.topics import PRELABEL, SERVICES

SUPERUSER = "postgres"
DATABASE = "labelstream"
ROLES = tuple(service for service in SERVICES if service != PRELABEL)
_ATTEMPTS = 3
_HBA = "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "max_parallel_workers_per_gather": "0",  # small machines, and a small /dev/shm in containers
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
}
# Commits still wait until they are written, so that a crash of the server alone loses none.
_NOT_KEPT = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "10s"}


class Postgres:
    """A PostgreSQL 18 server on 127.0.0.1, reached by password; its superuser only by a private Unix socket.

    Passwords are new at every start. They live in this object and in the URLs it gives out.

    Args:
        data: its data directory, kept with full durability; None for a temporary one, which trades durability of the
            machine (never of a process) for speed.
        log: its log file; in the temporary directory when None.
    """

    def __init__(self, data: Path | None = None, *, log: Path | None = None) -> None:
        self.kept = data is not None
        self.port = 0
        self.passwords = {role: secrets.token_hex(16) for role in ROLES}
        self._given = data
        self._log = log
        self._scratch: Scratch | None = None
        self._binaries: Binaries | None = None
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        if self._child is None:
            raise ChildFailed("PostgreSQL was never started")
        return self._child.pid

    def url(self, role: str, database: str = DATABASE) -> str:
        """For asyncpg or libpq, as one service's role."""
        return f"postgresql://{role}:{self.passwords[role]}@127.0.0.1:{self.port}/{database}"

    def admin_url(self, database: str = DATABASE) -> str:
        """As superuser over the private socket: for set-up and tests, never for a service."""
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self._directory), safe='')}&port={self.port}"

    async def start(self, within_s: float = 60) -> None:
        """Create the data directory where needed, start, create the database and the roles.

        Raises:
            ConfigurationError: the data directory is of another version, or out of reach of the user it must run as.
            ChildFailed: a program of PostgreSQL failed; holds the end of its output.
        """
        self._scratch = Scratch()
        try:
            binaries = self._binaries = await asyncio.to_thread(locate, self._scratch.path, self._data)
            await asyncio.to_thread(self._prepare, binaries)
            await self._serve(binaries, within_s)
            async with _Session(self.admin_url("postgres")) as session:
                await session.execute(_roles(self.passwords))
            await self.create_database(DATABASE)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Fast shutdown: sessions are cut, what was committed is kept."""
        if self._child is not None:
            await self._child.stop(signal.SIGINT if self.kept else signal.SIGQUIT, grace_s=20)
        if self._scratch is not None:
            await asyncio.to_thread(self._scratch.remove)
            self._scratch = None

    async def crash(self) -> None:
        """Immediate shutdown: every session is cut, nothing is written any more; `restart` recovers from the log."""
        if self._child is not None:
            await self._child.stop(signal.SIGQUIT, grace_s=20)

    async def restart(self, within_s: float = 60) -> None:
        """Start again on the same port and data.

        Raises:
            ChildFailed: it was never started, or did not come up.
        """
        if self._binaries is None:
            raise ChildFailed("PostgreSQL was never started")
        await self._serve(self._binaries, within_s, port=self.port)

    async def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database with every service's schema, or a copy of `template`; complete it if it exists.

        A role may connect and use its own schema, and nothing else.
        """
        async with _Session(self.admin_url("postgres")) as session:
            if not await session.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                copied = f' TEMPLATE "{template}" STRATEGY FILE_COPY' if template else ""
                await session.execute(f'CREATE DATABASE "{name}"{copied}')
            await session.execute(_grants(name))
        if template is None:
            async with _Session(self.admin_url(name)) as session:
                await session.execute(_schemas())

    async def drop_database(self, name: str) -> None:
        """Drop it, cutting whoever is connected."""
        async with _Session(self.admin_url("postgres")) as session:
            await session.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def _directory(self) -> Path:
        if self._scratch is None:
            raise ChildFailed("PostgreSQL is not running")
        return self._scratch.path / "run"

    @property
    def _data(self) -> Path:
        return self._given if self._given is not None else self._directory / "data"

    def _prepare(self, binaries: Binaries) -> None:
        """Directories, and the first content of the data directory."""
        self._directory.mkdir(mode=0o700)
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if binaries.user is not None:
            for path in (self._directory, self._data):
                os.chown(path, *binaries.user)
            if not reachable(self._data.parent) and self.kept:
                raise ConfigurationError(
                    f"PostgreSQL refuses to run as root, and its user cannot pass through the directories above "
                    f"{self._data}: choose a data directory elsewhere, or run as another user"
                )
        marker = self._data / "PG_VERSION"
        if not marker.exists():
            self._initdb(binaries)
        elif (found := marker.read_text().strip()) != str(MAJOR):
            raise ConfigurationError(
                f"{self._data} was written by PostgreSQL {found}, this is {MAJOR}: move it away, or dump it with the "
                f"programs of version {found} and restore it"
            )
        (self._data / "pg_hba.conf").write_text(_HBA)

    def _initdb(self, binaries: Binaries) -> None:
        """By way of a sibling directory, so that an interrupted start leaves nothing half made."""
        partial = self._data.with_name(self._data.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        if binaries.user is not None:
            os.chown(partial, *binaries.user)
        command = [
            binaries.program("initdb"), "--pgdata", str(partial), "--username", SUPERUSER, "--auth", "trust",
            "--encoding", "UTF8", "--locale-provider", "builtin", "--locale", "C.UTF-8", "--no-instructions",
        ]  # fmt: skip
        command += [] if self.kept else ["--no-sync"]
        run(command, what="creating PostgreSQL's data directory", user=binaries.user)
        partial.replace(self._data)

    async def _serve(self, binaries: Binaries, within_s: float, *, port: int | None = None) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            self.port = port or free_port()
            child = self._child = Child(
                "PostgreSQL",
                self._command(binaries),
                log=self._log or self._directory.parent / "postgres.log",
                death_signal=signal.SIGINT if self.kept else signal.SIGQUIT,
                user=binaries.user,
            )
            child.spawn()
            try:
                await child.until(self._answers, within_s=within_s)
            except ChildFailed as error:
                if "Address already in use" not in str(error) or attempt == _ATTEMPTS:
                    raise
            else:
                return

    def _command(self, binaries: Binaries) -> list[str]:
        settings = {
            **_SETTINGS,
            **({} if self.kept else _NOT_KEPT),
            "port": str(self.port),
            "unix_socket_directories": str(self._directory),
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [binaries.program("postgres"), "-D", str(self._data), *options]

    async def _answers(self) -> bool | None:
        try:
            async with _Session(self.admin_url("postgres")):
                return True
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return None


class _Session:
    """One short connection."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection = await asyncpg.connect(self._url, timeout=10, command_timeout=60)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close(timeout=5)


def _roles(passwords: dict[str, str]) -> str:
    """Names are ours and passwords hexadecimal: nothing to quote."""
    return "".join(
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role}; END IF; "
        f"END $$; ALTER ROLE {role} LOGIN PASSWORD '{password}'; ALTER ROLE {role} SET search_path = {role};\n"
        for role, password in passwords.items()
    )


def _grants(database: str) -> str:
    granted = "".join(f'GRANT CONNECT ON DATABASE "{database}" TO {role};\n' for role in ROLES)
    return f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC;\n{granted}'


def _schemas() -> str:
    created = "".join(f"CREATE SCHEMA IF NOT EXISTS {role} AUTHORIZATION {role};\n" for role in ROLES)
    return f"REVOKE ALL ON SCHEMA public FROM PUBLIC;\n{created}"
