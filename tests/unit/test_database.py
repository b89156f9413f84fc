"""Which errors of the driver are retried, and which are the fault of what a batch holds."""

import asyncpg
import pytest

from shared.db.database import INFRASTRUCTURE


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InvalidCachedStatementError("cached statement plan is invalid due to a database schema change"),
        asyncpg.AdminShutdownError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.QueryCanceledError(),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_server_that_goes_away_blames_no_record(error: Exception) -> None:
    assert isinstance(error, INFRASTRUCTURE)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DataError("value out of int32 range"),
        asyncpg.CharacterNotInRepertoireError("invalid byte sequence for encoding UTF8: 0x00"),
        asyncpg.UniqueViolationError("duplicate key"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_record_provokes_is_not_retried_for_ever(error: Exception) -> None:
    assert not isinstance(error, INFRASTRUCTURE)
