"""Roles: a group that writes what the service writes, and a group that reads schema ``bi`` and nothing else."""

from collections.abc import Iterator

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.postgres import tables
from recorder.postgres.definitions import definitions
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
    "gap": ("INSERT", "UPDATE (ended_at, repaired_by, told_until)"),
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

LAST_RESORT = ("sample_default", "balance_default")
"""Partitions that the writer reads by their own name: what lies in them waits for a month of its own."""

_OF_OTHERS = text("""
    SELECT string_agg(acl.privilege_type, ', ' ORDER BY acl.privilege_type) AS rights, object.name,
           CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END AS grantee
    FROM (
      SELECT n.nspname || '.' || c.relname AS name, c.relacl AS acl, c.relowner AS owner
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname IN ('recorder', 'bi') AND c.relkind IN ('r', 'p', 'v')
      UNION ALL
      SELECT n.nspname || '.' || p.proname, p.proacl, p.proowner
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'bi'
      UNION ALL
      SELECT 'schema ' || nspname, nspacl, nspowner FROM pg_namespace WHERE nspname IN ('recorder', 'bi')
    ) AS object
    CROSS JOIN LATERAL aclexplode(object.acl) AS acl
    LEFT JOIN pg_roles r ON r.oid = acl.grantee
    WHERE acl.grantee <> object.owner AND coalesce(r.rolname, '') NOT IN (:writer, :reader)
    GROUP BY object.name, acl.grantee, r.rolname
    ORDER BY object.name, grantee
""")
_CREATE = """
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
      END IF;
    END $$
"""
_EXIST = text("SELECT count(*) = 2 FROM pg_roles WHERE rolname IN (:writer, :reader)")
# With whoever makes partitions: both change what the catalogue has of a table, and PostgreSQL refuses the second.
TAKE_TURN = text("SELECT pg_advisory_xact_lock(hashtext('recorder.partitions'), 0)")
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
            await connection.execute(TAKE_TURN)
            for role in (WRITER, READER):
                await connection.execute(text(_CREATE.format(role=role)))
            for statement in rights():
                await connection.execute(text(statement))
            return [*await _close_database(connection), *await _set_up_readers(connection)]


async def roles_exist(engine: AsyncEngine) -> bool:
    """Whether ``create_roles`` was ever run on this server."""
    with storage_errors():
        async with engine.connect() as connection:
            return bool(await connection.scalar(_EXIST, {"writer": WRITER, "reader": READER}))


def rights() -> Iterator[str]:
    """Yield the statements that give both groups their rights on what is the recorder's, and take older ones back.

    What belongs to others, and what was granted to others, is left alone.
    """
    tables_of_ours = ", ".join(f"{tables.SCHEMA}.{name}" for name in (*WRITER_RIGHTS, *LAST_RESORT))
    views = ", ".join(view for definition in definitions() for view in definition.views)
    views_of_bi = ", ".join(view for definition in definitions() for view in definition.views if _is_public(view))
    yield f"REVOKE ALL ON {tables_of_ours}, {views} FROM {WRITER}, {READER}"
    yield f"GRANT USAGE ON SCHEMA recorder, bi TO {WRITER}"
    yield f"GRANT SELECT ON {tables_of_ours}, {views} TO {WRITER}"
    for table, granted in WRITER_RIGHTS.items():
        if granted:
            yield f"GRANT {', '.join(granted)} ON recorder.{table} TO {WRITER}"
    # Views and functions run with their owner's rights, so that schema bi is all that a reader needs.
    yield f"GRANT USAGE ON SCHEMA bi TO {READER}"
    yield f"GRANT SELECT ON {views_of_bi} TO {READER}"
    for function in (function for definition in definitions() for function in definition.functions):
        if _is_public(function):  # a view calls the others with the rights of whoever reads it
            yield f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC"
        yield f"GRANT EXECUTE ON FUNCTION {function} TO {f'{WRITER}, {READER}' if _is_public(function) else WRITER}"


def _is_public(name: str) -> bool:
    return name.startswith("bi.")


async def grants_of_others(engine: AsyncEngine) -> list[str]:
    """Say who else was granted what on the recorder's objects: nobody takes that back, and nothing depends on it."""
    with storage_errors():
        async with engine.connect() as connection:
            rows = await connection.execute(_OF_OTHERS, {"writer": WRITER, "reader": READER})
            return [f"{row.rights} on {row.name} granted to {row.grantee}" for row in rows]


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
