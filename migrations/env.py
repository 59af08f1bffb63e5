"""Runs the migrations on the connection that `recorder db upgrade` hands over, or on DATABASE_URL for developers."""

import asyncio
import os
from typing import Any

from alembic import context
from alembic.autogenerate.rewriter import Rewriter
from alembic.operations import ops
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from recorder.postgres.definitions import REMOVED, definitions
from recorder.postgres.engine import create_unhurried_engine
from recorder.postgres.roles import READER, TAKE_TURN, WRITER, rights
from recorder.postgres.tables import METADATA, SCHEMA

APPLIED = text("""
    INSERT INTO recorder.schema_revision (revision, oldest_writer) VALUES (:revision, :oldest_writer)
    ON CONFLICT (revision) DO NOTHING
""")

ROLES_EXIST = text("SELECT count(*) = 2 FROM pg_roles WHERE rolname IN (:writer, :reader)")

compared = Rewriter()


@compared.rewrites(ops.DropTableCommentOp)
def keep_table_comment(*_: Any) -> list[ops.MigrateOperation]:
    """Comments are written in the SQL alone: that the models have none is no difference."""
    return []


@compared.rewrites(ops.AlterColumnOp)
def keep_column_comment(_context: Any, _revision: Any, op: ops.AlterColumnOp) -> ops.AlterColumnOp | list[Any]:
    op.modify_comment = False
    return op if op.has_changes() else []


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Whether autogenerate compares it: our schema, without the partitions, which the database makes itself."""
    if kind == "schema":
        return name == SCHEMA
    if kind == "table":
        return parents["schema_qualified_table_name"] in METADATA.tables
    return True


def migrate(connection: Connection) -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=is_ours,
        compare_server_default=True,
        process_revision_directives=compared,
    )
    with context.begin_transaction():
        context.run_migrations()
        if is_at_head():
            renew(connection)


def is_at_head() -> bool:
    """Whether an upgrade came to the newest revision; other commands, and earlier revisions, leave the views alone."""
    migration = context.get_context()
    newest = ScriptDirectory.from_config(context.config).get_heads()
    return "destination_rev" in migration.opts and list(migration.get_current_heads()) == newest


def renew(connection: Connection) -> None:
    """Make views and functions what their files say, keeping what was granted and what others built on them."""
    connection.execute(TAKE_TURN)
    for removed in REMOVED:
        kind, name = removed.split(" ", 1)
        connection.execute(text(f"DROP {kind} IF EXISTS {name}"))
    driver = connection.connection.dbapi_connection
    for definition in definitions():
        driver.run_async(lambda raw, script=definition.script: raw.execute(script))  # type: ignore[union-attr]
    for script in ScriptDirectory.from_config(context.config).walk_revisions():
        oldest_writer = getattr(script.module, "oldest_writer", script.revision)
        connection.execute(APPLIED, {"revision": script.revision, "oldest_writer": oldest_writer})
    if connection.scalar(ROLES_EXIST, {"writer": WRITER, "reader": READER}):
        for statement in rights():
            connection.execute(text(statement))


async def migrate_by_url(url: str) -> None:
    engine = create_unhurried_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    asyncio.run(migrate_by_url(os.environ["DATABASE_URL"]))
