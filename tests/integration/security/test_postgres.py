"""PostgreSQL over TLS, a role per service made by deploy/postgres/roles.sh, and what happens when it says no."""

import secrets
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from cli.migrate import migrate_all
from shared.bus.admin import create_topics
from shared.bus.publisher import Publisher
from shared.db.database import Database
from shared.errors import AccessRefused, ConfigurationError, RetryLater
from shared.runtime.settings import DatabaseServiceSettings, KafkaSettings
from shared.topics import ASSIGNMENT
from tests.support.probe import MIGRATIONS, items, probe_at, running, until
from tests.support.secure.authority import Authority
from tests.support.secure.postgres import DATABASE, SERVICES, TlsPostgres, role_environment
from tests.support.servers import run_sync

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def tls_postgres(scratch: Path) -> Generator[TlsPostgres]:
    """Roles as the deployment makes them, schemas as `labelstream migrate` makes them over TLS."""
    made = TlsPostgres(scratch, Authority(scratch / "tls-ca"))
    try:
        run_sync(made.start())
        made.roles(role_environment(made))
        run_sync(migrate_all({name: made.url(name) for name in SERVICES}))
        yield made
    finally:
        run_sync(made.stop())


def database(url: str) -> Database:
    kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
    return Database("qc", DatabaseServiceSettings.model_validate({"kafka": kafka, "database_url": url}))


async def refusal(url: str) -> str:
    """What connecting says."""
    asked = database(url)
    with pytest.raises(RetryLater) as caught:
        await asked.connect()
    assert isinstance(caught.value, AccessRefused), caught.value
    return str(caught.value)


async def connect(tls_postgres: TlsPostgres, role: str) -> Any:
    return await asyncpg.connect(tls_postgres.url(role), timeout=10)


async def test_the_connection_is_encrypted_and_the_server_proven(tls_postgres: TlsPostgres) -> None:
    asked = database(tls_postgres.url("qc"))
    await asked.connect()
    try:
        async with asked.transaction() as connection:
            assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert await connection.fetchval("SELECT current_schema()") == "qc"
    finally:
        await asked.close()


async def test_a_wrong_password_names_the_role_and_never_the_password(tls_postgres: TlsPostgres) -> None:
    password = secrets.token_urlsafe(12)
    said = await refusal(tls_postgres.url("qc", password=password))
    assert said == f"PostgreSQL at 127.0.0.1:{tls_postgres.port} refuses the password of role 'qc'; check database_url"
    assert password not in said


async def test_a_server_of_another_ca_is_not_trusted(tls_postgres: TlsPostgres, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    said = await refusal(tls_postgres.url("qc").replace(str(tls_postgres.authority.file), str(other.file)))
    assert "is not trusted" in said
    assert str(other.file) in said


async def test_another_host_name_is_refused(tls_postgres: TlsPostgres) -> None:
    said = await refusal(tls_postgres.url("qc", host="localhost"))
    assert "is for another host name" in said


async def test_an_expired_certificate_is_refused_until_it_is_renewed(tls_postgres: TlsPostgres) -> None:
    good = tls_postgres.authority.identity("renewed", "127.0.0.1")
    tls_postgres.present(tls_postgres.authority.identity("expired", "127.0.0.1", expired=True))
    await tls_postgres.reload()
    try:
        assert "has expired; renew it there" in await refusal(tls_postgres.url("qc"))
    finally:
        tls_postgres.present(good)
        await tls_postgres.reload()
    asked = database(tls_postgres.url("qc"))
    await asked.connect()
    await asked.close()


async def test_a_missing_database_or_role_is_named(tls_postgres: TlsPostgres) -> None:
    assert "has no database 'nonsense'" in await refusal(tls_postgres.url("qc").replace(f"/{DATABASE}?", "/nonsense?"))
    assert "role 'nobody'" in await refusal(tls_postgres.url("qc").replace("//qc:", "//nobody:"))


async def test_a_server_without_tls_is_named(postgres: Any, tls_postgres: TlsPostgres) -> None:
    plain = f"{postgres.url('qc')}?sslmode=verify-full&sslrootcert="
    assert "has no TLS" in await refusal(f"{plain}{tls_postgres.authority.file}")
    assert "cannot be used" in await refusal(f"{plain}{__file__}")


async def test_the_mode_is_asked_for(tls_postgres: TlsPostgres) -> None:
    for mode in ("require", "prefer", "disable"):
        with pytest.raises(ConfigurationError, match="sslmode=verify-full"):
            await database(tls_postgres.url("qc", mode=mode)).connect()


@pytest.mark.parametrize("role", SERVICES)
async def test_a_role_sees_its_own_schema_only(tls_postgres: TlsPostgres, role: str) -> None:
    connection = await connect(tls_postgres, role)
    try:
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0
        visible = await connection.fetch(
            "SELECT nspname FROM pg_namespace WHERE has_schema_privilege(nspname, 'USAGE')"
            " AND nspname NOT LIKE 'pg_%' AND nspname <> 'information_schema'"
        )
        assert [row["nspname"] for row in visible] == [role]
        readable = await connection.fetch(
            "SELECT DISTINCT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname NOT LIKE 'pg_%' AND n.nspname <> 'information_schema' AND c.relkind = 'r'"
            " AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')"
        )
        assert [row["nspname"] for row in readable] == [role]
        for other in set(SERVICES) - {role}:
            for query in (f"SELECT * FROM {other}.outbox", f"DELETE FROM {other}.consumer_offsets"):  # noqa: S608
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(query)
        for query in ("CREATE TABLE public.mine ()", "CREATE SCHEMA mine", "CREATE ROLE mine"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(query)
    finally:
        await connection.close()


async def test_the_other_databases_of_the_server_are_closed(tls_postgres: TlsPostgres) -> None:
    await tls_postgres.execute("CREATE DATABASE others")
    await tls_postgres.execute("REVOKE ALL ON DATABASE others FROM PUBLIC")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(tls_postgres.url("qc").replace(f"/{DATABASE}?", "/others?"), timeout=10)


@pytest.fixture
async def owned(tls_postgres: TlsPostgres) -> AsyncGenerator[TlsPostgres]:
    """As `server`, but each schema belongs to a role of its own."""
    ended = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{DATABASE}'"  # noqa: S608
    await tls_postgres.execute(ended, database="postgres")  # a session of the test before may still say goodbye
    await tls_postgres.execute(f"ALTER DATABASE {DATABASE} RENAME TO kept", database="postgres")
    await tls_postgres.execute(f"CREATE DATABASE {DATABASE}", database="postgres")
    for name in SERVICES:
        await tls_postgres.execute(f"ALTER ROLE {name} RENAME TO kept_{name}", database="postgres")
    tls_postgres.passwords |= {f"{name}_owner": secrets.token_urlsafe(18) for name in SERVICES}
    tls_postgres.roles(role_environment(tls_postgres, [*SERVICES, *(f"{name}_owner" for name in SERVICES)]))
    yield tls_postgres
    await tls_postgres.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)", database="postgres")
    for name in SERVICES:
        await tls_postgres.execute(f"DROP ROLE {name}; DROP ROLE {name}_owner", database="postgres")
        await tls_postgres.execute(f"ALTER ROLE kept_{name} RENAME TO {name}", database="postgres")
        await tls_postgres.execute(f"ALTER ROLE {name} PASSWORD '{tls_postgres.passwords[name]}'", database="postgres")
    await tls_postgres.execute(f"ALTER DATABASE kept RENAME TO {DATABASE}", database="postgres")


async def test_an_owner_migrates_and_the_service_only_writes_rows(owned: TlsPostgres, kafka_settings: Any) -> None:
    """The probe, a whole service with inbox and outbox, does its work without one right to change the schema."""
    owner, role = owned.url("assignment_owner"), owned.url(ASSIGNMENT)
    applied = await migrate_all({name: owned.url(f"{name}_owner") for name in SERVICES})
    assert all(applied.values())
    connection = await asyncpg.connect(owner, timeout=10, server_settings={"search_path": ASSIGNMENT})
    await connection.execute((MIGRATIONS / "0001_seen.sql").read_text())
    await connection.execute("INSERT INTO schema_migrations VALUES ('assignment/0001_seen.sql', 'by hand')")
    await connection.close()

    connection = await asyncpg.connect(role, timeout=10)
    for query in ("CREATE TABLE mine ()", "DROP TABLE outbox", "ALTER TABLE outbox ADD x int", "TRUNCATE outbox"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(query)
    await create_topics(kafka_settings, partitions=1)
    async with running(probe_at(kafka_settings, role)), Publisher(kafka_settings) as publisher:
        await publisher.publish(items(20))

        async def seen() -> bool:
            return bool(await connection.fetchval("SELECT count(*) = 20 FROM seen"))

        await until(seen)
    await connection.close()


async def test_a_right_that_is_taken_away_blames_no_record(tls_postgres: TlsPostgres, kafka_settings: Any) -> None:
    """The service says so and is not ready; once it is given back, every record has its effect exactly once."""
    connection = await connect(tls_postgres, ASSIGNMENT)
    await connection.execute((MIGRATIONS / "0001_seen.sql").read_text())
    await connection.execute("INSERT INTO schema_migrations VALUES ('assignment/0001_seen.sql', 'by hand')")
    await connection.close()
    await create_topics(kafka_settings, partitions=1)
    service = probe_at(kafka_settings, tls_postgres.url(ASSIGNMENT))
    async with running(service) as http, Publisher(kafka_settings) as publisher:
        await tls_postgres.execute("ALTER TABLE assignment.seen OWNER TO postgres")
        await publisher.publish(items(20))

        async def refused() -> bool:
            answer = await http.get("/ready")
            return answer.status_code == 503 and "does not let role 'assignment' do this" in answer.text

        await until(refused)
        assert (await http.get("/health")).status_code == httpx.codes.OK
        await tls_postgres.execute("ALTER TABLE assignment.seen OWNER TO assignment")
        asked = await connect(tls_postgres, ASSIGNMENT)

        async def seen() -> bool:
            return [tuple(row) for row in await asked.fetch("SELECT count(*), sum(times) FROM seen")] == [(20, 20)]

        await until(seen)
        assert service.registry.get_sample_value("labelstream_dead_letters_total") is None
        await asked.close()
