"""Connections to PostgreSQL: every one with time-outs, in UTC, and with errors in this program's words."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from recorder.exceptions import SchemaMismatch, StorageError, StorageRefused, StorageUnavailable

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 8
_GOODBYE_SECONDS = 0.3

_SESSION = {
    "application_name": "position-recorder",
    "TimeZone": "UTC",
    "search_path": "pg_catalog",  # a user named recorder would have schema recorder in it, which misleads Alembic
    "synchronous_commit": "on",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
}
_SAME_DATA_FAILS_AGAIN = ("21", "22", "23", "54")  # SQLSTATE classes: the same row twice, bad data, constraint, limit
_CHECK_VIOLATION = "23514"
_NO_SUCH_OBJECT = frozenset({"3F000", "42P01", "42703", "42883"})
TRY_AT_ONCE = frozenset({"40001", "40P01", "57014"})
"""SQLSTATEs of a bad moment: serialization failure, deadlock, cancelled. The same write may well succeed at once."""
WRONG_SERVER = frozenset({"25006"})
"""SQLSTATEs of a server that takes no writes: connections to it must not be used again, even when they are alive."""
_FIXES = {
    "28P01": "put the right password into database.url",
    "28000": "allow this user and host in pg_hba.conf, or mend database.url",
    "3D000": "create the database, or mend its name in database.url",
    "42501": "grant the role of database.url membership of recorder_writer: recorder db roles",
    "53100": "free disk space on the database server",
    "53300": "raise max_connections, or the connection limit of the role",
    "25006": "point database.url at the primary: this server is read-only",
}


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that is closed at once, also when the network swallows the goodbye: it must not hold up a stop."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's signature
        with suppress(TimeoutError):  # the connection is aborted then
            await super().close(timeout=min(timeout or _GOODBYE_SECONDS, _GOODBYE_SECONDS))


def create_engine(url: str, *, statement_seconds: float = STATEMENT_SECONDS) -> AsyncEngine:
    """Return an engine for a ``postgresql://`` URL, whose query part PostgreSQL's driver reads itself."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=statement_seconds,
            server_settings=_SESSION,
            connection_class=_Connection,
        )

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_size=4, max_overflow=0, pool_timeout=STATEMENT_SECONDS
    )


@contextmanager
def storage_errors() -> Iterator[None]:
    """Translate whatever driver and server raise into a ``StorageError``; unknown ones count as worth a retry."""
    try:
        yield
    except (
        DBAPIError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        PoolTimeoutError,
        TimeoutError,
        OSError,
    ) as error:
        raise _translate(error) from error


def _translate(error: Exception) -> StorageError:
    cause: BaseException = (error.orig if isinstance(error, DBAPIError) else None) or error
    cause = cause.__cause__ or cause  # SQLAlchemy keeps the driver's own error there
    state = getattr(cause, "sqlstate", None) or ""
    why = " ".join(str(cause).split()) or type(cause).__name__
    if state == _CHECK_VIOLATION and getattr(cause, "constraint_name", None) is None:
        # Not a check of ours but the bounds of a partition: one was made while the row was on its way to another.
        return StorageUnavailable(
            "a partition was made at this very moment", why=why, fix="nothing: it is tried again", sqlstate=state
        )
    if state.startswith(_SAME_DATA_FAILS_AGAIN) or (isinstance(cause, asyncpg.DataError) and not state):
        return StorageRefused("PostgreSQL refused the data", why=why, sqlstate=state)
    if state in _NO_SUCH_OBJECT:
        return SchemaMismatch(
            "the database has not the tables of this program", why=why, fix="recorder db upgrade", sqlstate=state
        )
    if isinstance(cause, TimeoutError):
        why = f"no answer in {CONNECT_SECONDS} s (connect) or {STATEMENT_SECONDS} s (statement)"
    return StorageUnavailable(
        "PostgreSQL cannot be used",
        why=f"{why} ({state})" if state else why,
        fix=_FIXES.get(state, "start PostgreSQL, or mend database.url"),
        sqlstate=state,
    )
