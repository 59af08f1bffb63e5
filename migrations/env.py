"""Runs the migrations on the connection that `recorder db upgrade` hands over, or on DATABASE_URL for developers."""

import asyncio
import os
from typing import Any

from alembic import context
from sqlalchemy import Connection, text

from recorder.postgres.engine import create_engine
from recorder.postgres.tables import METADATA, SCHEMA


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
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_by_url(url: str) -> None:
    engine = create_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    asyncio.run(migrate_by_url(os.environ["DATABASE_URL"]))
