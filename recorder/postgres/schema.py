"""The schema's revision: what it is, whether it is ours, and how to get there."""

from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.exceptions import SchemaMismatch
from recorder.postgres.engine import storage_errors
from recorder.postgres.tables import REVISION


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
    """Bring the schema to *revision* (``head``, ``base`` or a number) in one transaction."""

    def migrate(connection: Connection) -> None:
        from alembic import command  # noqa: PLC0415 - takes longer to import than most commands take to run
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(_migrations()))
        config.attributes["connection"] = connection
        if revision == "base":
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)

    async with engine.connect() as connection:
        with storage_errors():
            await connection.run_sync(migrate)


def _migrations() -> Path:
    """The folder of the migrations: inside the installed package, or beside it in the repository."""
    package = Path(__file__).parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"
