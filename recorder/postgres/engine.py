"""Connections to PostgreSQL: every one with time-outs, in UTC, and with errors in this program's words."""

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from recorder.exceptions import SchemaMismatch, StorageError, StorageRefused, StorageUnavailable
from recorder.postgres.encryption import Encryption

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 8
_GOODBYE_SECONDS = 0.3

SESSION = {
    "application_name": "position-recorder",
    "TimeZone": "UTC",
    "search_path": "pg_catalog",  # a user named recorder would have schema recorder in it, which misleads Alembic
    "synchronous_commit": "on",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "8s",  # whoever takes over waits for one that hangs within a transaction
}
_SAME_DATA_FAILS_AGAIN = ("21", "22", "23", "54")  # SQLSTATE classes: the same row twice, bad data, constraint, limit
_CHECK_VIOLATION = "23514"
_NO_SUCH_OBJECT = frozenset({"3F000", "42P01", "42703", "42883"})
TRY_AT_ONCE = frozenset({"40001", "40P01", "57014"})
"""SQLSTATEs of a bad moment: serialization failure, deadlock, cancelled. The same write may well succeed at once."""
_NOT_DONE = frozenset({"42P07", "55P03", "57014"})
"""SQLSTATEs of what may work otherwise: a name that is taken, a lock, the time."""
_WRONG_SERVER = "25006"
_CONNECTION_LOST = ("08", "57P")  # SQLSTATE classes; without any SQLSTATE it was not the server who answered
_DENIED = (
    "for recording, grant the role of database.url membership of recorder_writer, which recorder db roles makes; "
    "for recorder db, name the owner of the database in database.url"
)
_NO_TLS = "rejected SSL upgrade"  # asyncpg: the server answered that it cannot
_CERTIFICATE_FIXES = {  # by OpenSSL's number of what it found: X509_V_ERR_…
    9: "see that this machine's clock and the certificate's beginning agree",
    10: "renew the server's certificate; it is noticed within seconds",
    62: "name the host in database.url as the certificate names it",
    64: "name the host in database.url as the certificate names it",
}
_FIXES = {
    "28P01": "put the right password into database.url",
    "28000": "allow this user and host in pg_hba.conf, or mend database.url",
    "3D000": "create the database, or mend its name in database.url",
    "42P07": "rename that table, or drop it if nobody needs it",
    "53100": "free disk space on the database server",
    "53300": "raise max_connections, or the connection limit of the role",
    "55P03": "nothing: it is tried again; somebody reads or changes the table for long (pg_dump, an open transaction)",
    "57014": "give the role more time for a statement: ALTER ROLE … SET statement_timeout = 0",
    _WRONG_SERVER: "point database.url at the primary: this server is read-only",
}


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that is closed at once, also when the network swallows the goodbye: it must not hold up a stop."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's signature
        with suppress(TimeoutError):  # the connection is aborted then
            await super().close(timeout=min(timeout or _GOODBYE_SECONDS, _GOODBYE_SECONDS))


def create_engine(
    url: str | Callable[[], str],
    *,
    statement_seconds: float | None = STATEMENT_SECONDS,
    session: Mapping[str, str] = SESSION,
) -> AsyncEngine:
    """Return an engine for a ``postgresql://`` URL, whose query part PostgreSQL's driver reads itself.

    A function is asked for the URL at each connection: its password may change. A server on another machine must prove
    who it is (``sslmode=verify-full``), unless the URL names another ``sslmode``. *statement_seconds* ``None`` lets
    statements take as long as they want. *session* are the settings of its sessions.
    """

    async def connect() -> asyncpg.Connection:
        now = url if isinstance(url, str) else url()
        return await asyncpg.connect(
            now,
            ssl=Encryption.of(now, os.environ).context(),
            timeout=CONNECT_SECONDS,
            command_timeout=statement_seconds,
            server_settings=dict(session),
            connection_class=_Connection,
        )

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_size=4, max_overflow=0, pool_timeout=STATEMENT_SECONDS
    )


create_unhurried_engine = partial(create_engine, statement_seconds=None)
"""For work that takes as long as it takes, such as migrations."""


@contextmanager
def storage_errors(*, denied: str = _DENIED) -> Iterator[None]:
    """Translate whatever driver and server raise into a ``StorageError``; unknown ones count as worth a retry.

    *denied* is what mends a right that is missing.
    """
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
        raise _translate(error, denied) from error


def is_of_connections(error: StorageError) -> bool:
    """Whether every connection made so far may fail alike and must not be used again, even where it is alive.

    So it is when the server is gone, when it takes no writes, and when what the connection prepared is of another
    schema.
    """
    return (
        isinstance(error, SchemaMismatch)
        or not error.sqlstate
        or error.sqlstate == _WRONG_SERVER
        or error.sqlstate.startswith(_CONNECTION_LOST)
    )


def cause_of(error: Exception) -> tuple[BaseException, str]:
    """Return the driver's own error, and its SQLSTATE, empty when it has none."""
    cause: BaseException = (error.orig if isinstance(error, DBAPIError) else None) or error
    cause = cause.__cause__ or cause  # SQLAlchemy keeps the driver's own error there
    return cause, getattr(cause, "sqlstate", None) or ""


def _translate(error: Exception, denied: str) -> StorageError:
    cause, state = cause_of(error)
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
    if state == asyncpg.InsufficientPrivilegeError.sqlstate:
        return StorageUnavailable("PostgreSQL does not allow it", why=f"{why} ({state})", fix=denied, sqlstate=state)
    if isinstance(cause, ssl.SSLError) or _NO_TLS in why:
        return _not_encrypted(cause, why)
    if isinstance(cause, TimeoutError):
        why = f"no answer in {CONNECT_SECONDS} s (connect) or {STATEMENT_SECONDS} s (statement)"
    return StorageUnavailable(
        "PostgreSQL did not do it" if state in _NOT_DONE else "PostgreSQL cannot be used",
        why=f"{why} ({state})" if state else why,
        fix=_FIXES.get(state, "start PostgreSQL, or mend database.url"),
        sqlstate=state,
    )


def _not_encrypted(cause: BaseException, why: str) -> StorageUnavailable:
    """Say what is wrong with the certificate: the connection is tried again, and never without encryption."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        trust = "name its authority's certificate, a file, as sslrootcert in database.url"
        return StorageUnavailable(
            "PostgreSQL's certificate is not accepted",
            why=cause.verify_message,
            fix=_CERTIFICATE_FIXES.get(cause.verify_code, trust),
        )
    return StorageUnavailable(
        "The connection to PostgreSQL cannot be encrypted",
        why=f"{why}; to another machine encryption is required unless database.url says otherwise",
        fix="set ssl = on and a certificate in postgresql.conf; or, where nobody can listen on the way, "
        "add ?sslmode=disable to database.url",
    )
