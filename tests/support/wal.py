"""How much write-ahead log some work of a test costs."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any


class Wal:
    """Bytes, once the work is done."""

    written = 0


@asynccontextmanager
async def wal_of(connection: Any) -> AsyncGenerator[Wal]:
    """What is logged by everybody while the block runs: nothing else may be at work on the server.

    Each test server is without full page images, so that the figure does not depend on the last checkpoint.
    """
    position = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
    assert await connection.fetchval("SHOW full_page_writes") == "off"
    found, before = Wal(), await connection.fetchval(position)
    yield found
    found.written = int(await connection.fetchval(position) - before)
