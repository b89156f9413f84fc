"""One service's PostgreSQL: a pool whose connections see only its schema."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from shared.db.refusals import explain
from shared.errors import AccessRefused, ConfigurationError, InvariantBroken, RetryLater
from shared.runtime.secrets import url_weakness
from shared.runtime.settings import DatabaseServiceSettings

INFRASTRUCTURE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a statement meets on a connection that the server is cutting
    asyncpg.InvalidCachedStatementError,  # a migration has changed a table since the statement was prepared
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidCatalogNameError,
    OSError,
    TimeoutError,
)
"""Errors of the database that say nothing about the data: the same transaction may succeed later."""

PLAN_S = 15
"""How long a prepared statement, and so its plan, is used.

Statements take arrays of any length and go by keys: a plan for each length would cost more than the statement, and for
some lengths it would read whole tables. A plan that was made while a table was small is made anew soon.
"""

_SAFE_MODES = frozenset({"verify-full", "verify-ca"})


def check_url(url: str, *, allow_insecure: bool) -> None:
    """Refuse a database address that is missing or unprotected.

    Raises:
        ConfigurationError: says which setting to change.
    """
    if not url:
        raise ConfigurationError("database_url is not set; give the service's postgresql:// address")
    parts = urlsplit(url)
    mode = parse_qs(parts.query).get("sslmode", [""])[0]
    if mode not in _SAFE_MODES and not allow_insecure:
        raise ConfigurationError(
            "database_url has no sslmode=verify-full; add it, or set database_allow_insecure on a test machine"
        )
    why = url_weakness(url)
    if why is not None:
        raise ConfigurationError(f"the password in database_url {why}")


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection of which nothing has to be forgotten when it goes back to the pool.

    Nothing here changes a session's settings, listens, or keeps a cursor or a lock beyond its transaction (the relay
    closes the connection that holds its lock), so the round trip that asks for all of that to be undone is spared.
    """

    def get_reset_query(self) -> str:
        """Nothing."""
        return ""


@asynccontextmanager
async def _closed_when_cut(connection: Any) -> AsyncGenerator[None]:
    """Whatever is no error of the data leaves a connection about whose transaction nothing is certain."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, INFRASTRUCTURE) or not isinstance(error, Exception):
            with suppress(asyncpg.InterfaceError):  # it is closed already, and the pool knows
                connection.terminate()
        raise


class Database:
    """The pool of one service, whose schema has the service's name."""

    def __init__(self, schema: str, settings: DatabaseServiceSettings) -> None:
        self.schema = schema
        self._settings = settings
        self._pool: asyncpg.Pool | None = None

    @property
    def pool(self) -> asyncpg.Pool:
        if self._pool is None:
            raise RetryLater("the database is not connected yet")
        return self._pool

    async def connect(self) -> None:
        """Open the pool.

        Raises:
            ConfigurationError: the address is missing or unprotected.
            AccessRefused: PostgreSQL does not let this role in, or its certificate is not believed.
            RetryLater: PostgreSQL does not answer.
        """
        url = self._settings.database_url.get_secret_value()
        check_url(url, allow_insecure=self._settings.database_allow_insecure)
        if self._pool is not None:
            return
        try:
            self._pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=self._settings.database_pool_size,
                timeout=10,
                connection_class=_Connection,
                max_cached_statement_lifetime=PLAN_S,
                command_timeout=self._settings.statement_timeout_ms / 1000 + 5,
                server_settings={
                    "search_path": self.schema,
                    "application_name": f"labelstream-{self.schema}",
                    "statement_timeout": str(self._settings.statement_timeout_ms),
                    "idle_in_transaction_session_timeout": "60000",
                    "plan_cache_mode": "force_generic_plan",
                },
            )
        except asyncpg.ClientConfigurationError as error:
            raise ConfigurationError(f"database_url cannot be used: {error}") from error
        except INFRASTRUCTURE as error:
            why = explain(error, url)
            if why is not None:
                raise AccessRefused(why) from error
            raise RetryLater(f"PostgreSQL does not answer: {error!r}") from error

    def refusal(self, error: BaseException) -> str | None:
        """What to check where an error means that PostgreSQL refuses us, or None."""
        return explain(error, self._settings.database_url.get_secret_value())

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await pool.close()
            except INFRASTRUCTURE:
                pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Any]:
        """A connection on which each statement is a transaction.

        Where it is cut short, by cancelling or by the infrastructure, the connection is closed and not used again: what
        became of the transaction only the server knows.

        Raises:
            AccessRefused: PostgreSQL does not let this role in any more, or not do this.
        """
        try:
            async with self.pool.acquire(timeout=30) as connection, _closed_when_cut(connection):
                yield connection
        except INFRASTRUCTURE as error:
            why = self.refusal(error)
            if why is None:
                raise
            raise AccessRefused(why) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Any]:
        """A connection inside a transaction (READ COMMITTED); see `connection`."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def ping(self) -> None:
        """Raises one of INFRASTRUCTURE where the database does not answer in two seconds."""
        async with self.pool.acquire(timeout=2) as connection:
            await connection.fetchval("SELECT 1", timeout=2)

    async def claim_cluster(self, cluster_id: str) -> None:
        """Remember the Kafka cluster that this database belongs to, or refuse another one.

        Raises:
            InvariantBroken: the offsets in this database are of another cluster.
        """
        async with self.transaction() as connection:
            await connection.execute("INSERT INTO cluster (cluster_id) VALUES ($1) ON CONFLICT DO NOTHING", cluster_id)
            known = await connection.fetchval("SELECT cluster_id FROM cluster")
        if known != cluster_id:
            raise InvariantBroken(
                f"the database of {self.schema} belongs to Kafka cluster {known}, the brokers say {cluster_id}; "
                "its offsets mean nothing there. Point the service at its own cluster, or at an empty database."
            )
