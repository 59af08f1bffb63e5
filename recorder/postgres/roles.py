"""Roles: a group that writes what the service writes, and a group that reads schema ``bi`` and nothing else."""

from collections.abc import Iterator

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.postgres import tables
from recorder.postgres.engine import storage_errors

WRITER = "recorder_writer"
READER = "recorder_reader"
READER_SETTINGS = {"default_transaction_read_only": "on", "statement_timeout": "5min"}
"""What a session of a reader begins with. It guards against mistakes; what protects is that it has no rights."""


def _values(table: str) -> str:
    """Every column but those of the key: a row may be made better, and never be made another."""
    columns = tables.METADATA.tables[f"{tables.SCHEMA}.{table}"].columns
    return ", ".join(f'"{column.name}"' for column in columns if not column.primary_key)


WRITER_RIGHTS: dict[str, tuple[str, ...]] = {
    "alembic_version": (),
    "schema_revision": (),
    "account": ("INSERT",),
    "snapshot": ("INSERT", f"UPDATE ({_values('snapshot')})"),  # an ok one replaces a failed one
    "sample": ("INSERT",),
    "change": ("INSERT", f"UPDATE ({_values('change')})", "DELETE"),  # an earlier observation can retract a later one
    "gap": ("INSERT", "UPDATE (ended_at, repaired_by)"),
    "balance": ("INSERT",),
    "balance_change": ("INSERT", f"UPDATE ({_values('balance_change')})"),
    "fill": ("INSERT", f"UPDATE ({_values('fill')})"),  # what is told again differently counts as told last
    "income": ("INSERT", f"UPDATE ({_values('income')})"),
    "superseded": ("INSERT", "UPDATE (source, told_at)", "DELETE"),  # what is told so again counts again
    "ledger": ("INSERT", "UPDATE (complete_since, complete_until, rebuilt_until)"),
    "unexplained": ("INSERT", "DELETE"),  # what a later fill explains
    "event": ("INSERT", "UPDATE (received_at)"),  # the message came again, and this is the earlier one
    "stream": ("INSERT",),
    "beginning": ("INSERT",),
    "schedule": ("INSERT", "UPDATE (every)"),  # a process that began within the same slot has another one
    "commit_mark": ("INSERT", f"UPDATE ({_values('commit_mark')})"),
    "dead_letter": ("INSERT", f"UPDATE ({_values('dead_letter')})"),
}
"""What the writer may do with each table besides reading it; a test demands an entry for every table there is.

Partitions are reached by way of their table alone, and made by a function of the owner.
"""

_CREATE = """
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
      END IF;
    END $$
"""
_EXIST = text("SELECT count(*) = 2 FROM pg_roles WHERE rolname IN (:writer, :reader)")
# With whoever makes partitions: both change what the catalogue has of a table, and PostgreSQL refuses the second.
_TAKE_TURN = text("SELECT pg_advisory_xact_lock(hashtext('recorder.partitions'), 0)")
_DATABASE = text("""
    SELECT quote_ident(datname) AS name, pg_has_role(datdba, 'USAGE') AS is_ours
    FROM pg_database WHERE datname = current_database()
""")
_READERS = text("""
    SELECT quote_ident(rolname) FROM pg_roles
    WHERE rolcanlogin AND NOT rolsuper AND rolname <> current_user
      AND pg_has_role(oid, :reader, 'MEMBER') AND NOT pg_has_role(oid, :writer, 'MEMBER')
    ORDER BY rolname
""")


async def create_roles(engine: AsyncEngine) -> list[str]:
    """Make both group roles, or bring their rights up to date. The schema must exist; may be repeated.

    Return the statements that are left to a role with more rights: those that close the database to temporary tables of
    others, unless it is ours, and those that set up the sessions of readers.
    """
    with storage_errors(denied="run it as the owner of the recorder's schema with the right to create roles"):
        async with engine.begin() as connection:
            await connection.execute(_TAKE_TURN)
            for role in (WRITER, READER):
                await connection.execute(text(_CREATE.format(role=role)))
            for grant in _grants():
                await connection.execute(text(grant))
            return [*await _close_database(connection), *await _set_up_readers(connection)]


async def roles_exist(engine: AsyncEngine) -> bool:
    """Whether ``create_roles`` was ever run on this server."""
    with storage_errors():
        async with engine.connect() as connection:
            return bool(await connection.scalar(_EXIST, {"writer": WRITER, "reader": READER}))


def _grants() -> Iterator[str]:
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA recorder, bi FROM {WRITER}, {READER}"  # what an older version granted
    yield f"GRANT USAGE ON SCHEMA recorder, bi TO {WRITER}"
    yield f"GRANT SELECT ON ALL TABLES IN SCHEMA recorder, bi TO {WRITER}"
    for table, rights in WRITER_RIGHTS.items():
        if rights:
            yield f"GRANT {', '.join(rights)} ON recorder.{table} TO {WRITER}"
    yield f"GRANT SELECT ON ALL TABLES IN SCHEMA bi TO {READER}"
    yield f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA recorder TO {WRITER}"
    # Views and functions run with their owner's rights, so that schema bi is all that a reader needs.
    yield f"GRANT USAGE ON SCHEMA bi TO {READER}"
    yield "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA bi FROM PUBLIC"
    yield f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bi TO {WRITER}, {READER}"


async def _close_database(connection: AsyncConnection) -> list[str]:
    """Take from everybody what PostgreSQL gives to everybody: a temporary table can fill the disk like any other."""
    database = (await connection.execute(_DATABASE)).one()
    closing = [f"REVOKE TEMPORARY ON DATABASE {database.name} FROM PUBLIC"]
    if not database.is_ours:
        return closing
    for statement in (*closing, "REVOKE CREATE ON SCHEMA public FROM PUBLIC"):
        await connection.execute(text(statement))
    return []


async def _set_up_readers(connection: AsyncConnection) -> list[str]:
    """Settings are not inherited from a group, so each login role that only reads gets them."""
    left = []
    for role in await connection.scalars(_READERS, {"reader": READER, "writer": WRITER}):
        for statement in session_settings(role):
            try:
                async with connection.begin_nested():
                    await connection.execute(text(statement))
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", "") != asyncpg.InsufficientPrivilegeError.sqlstate:
                    raise
                left.append(statement)
    return left


def session_settings(role: str) -> list[str]:
    """Return the statements that set up the sessions of a login role, given as SQL writes it."""
    return [f"ALTER ROLE {role} SET {name} = '{value}'" for name, value in READER_SETTINGS.items()]
