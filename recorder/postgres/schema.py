"""The schema's revision: what it is, whether it is ours, and how to get there."""

import asyncio

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.exceptions import SchemaMismatch
from recorder.postgres.definitions import migrations
from recorder.postgres.engine import cause_of, storage_errors
from recorder.postgres.tables import REVISION

_LOCK_SECONDS = 2.0
_TRIES = 15
_DENIED = (
    "run it as the owner of the database, or of the schemas recorder and bi if they exist; "
    "or let the role make them: GRANT CREATE ON DATABASE … TO …"
)


async def current_revision(connection: AsyncConnection) -> str | None:
    """Return the revision of the database's schema, ``None`` when it has none yet."""
    with storage_errors():
        exists = await connection.scalar(text("SELECT to_regclass('recorder.alembic_version')"))
        if exists is None:
            return None
        found: str | None = await connection.scalar(text("SELECT version_num FROM recorder.alembic_version"))
        return found


def require_revision(found: str | None) -> None:
    """Raise ``SchemaMismatch``, with the command to run, unless the schema is of this program's revision."""
    if found == REVISION:
        return
    if found is None:
        what, fix = "the database has no schema yet", "recorder db upgrade"
    elif found < REVISION:
        what, fix = f"the database's schema is at revision {found}", "recorder db upgrade"
    else:
        what, fix = f"the database's schema is at revision {found}", "install the version of the recorder that made it"
    raise SchemaMismatch(what, why=f"this version reads and writes revision {REVISION}", fix=fix)


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Bring the schema forward to *revision* in one transaction, and at ``head`` every view and function to its file.

    It may take as long as the statements of *engine* may. Tables in use are waited for briefly and again, so that
    nobody waits behind the migration for long.
    """

    def migrate(connection: Connection) -> None:
        from alembic import command  # noqa: PLC0415 - takes longer to import than most commands take to run
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(migrations()))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    for left in reversed(range(_TRIES)):
        with storage_errors(denied=_DENIED):
            try:
                async with engine.connect() as connection:
                    await connection.execute(text(f"SET lock_timeout = '{_LOCK_SECONDS:g}s'"))
                    await connection.commit()
                    await connection.run_sync(migrate)
                    await connection.execute(text("RESET lock_timeout"))
                    await connection.commit()
            except (DBAPIError, asyncpg.PostgresError) as error:  # the migrations' scripts go past SQLAlchemy
                if left == 0 or cause_of(error)[1] != asyncpg.LockNotAvailableError.sqlstate:
                    raise
            else:
                return
        await asyncio.sleep(_LOCK_SECONDS)
