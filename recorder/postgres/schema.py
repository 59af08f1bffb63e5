"""The schema's revision: what it is, whether it is ours, and how to get there."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.exceptions import SchemaMismatch
from recorder.postgres.definitions import migrations
from recorder.postgres.engine import cause_of, storage_errors
from recorder.postgres.structure import Difference, difference, page
from recorder.postgres.tables import REVISION

_LOCK_SECONDS = 0.5  # less than the second after which PostgreSQL ends one of two that wait for each other
_TRIES = 60
_NAMED = 3
_HAS = text("""
    SELECT to_regclass('recorder.alembic_version') IS NOT NULL AS revision,
           to_regclass('recorder.schema_revision') IS NOT NULL AS oldest_writer
""")
_REVISION = text("SELECT version_num, CAST(NULL AS text) AS oldest_writer FROM recorder.alembic_version")
_APPLIED = text("""
    SELECT v.version_num, s.oldest_writer
    FROM recorder.alembic_version v LEFT JOIN recorder.schema_revision s ON s.revision = v.version_num
""")
_IN_THE_WAY = {
    asyncpg.DependentObjectsStillExistError.sqlstate: "drop or change what it names, then recorder db upgrade",
    asyncpg.InvalidTableDefinitionError.sqlstate: "a view of the recorder was replaced by one with other columns: "
    "drop that one, or rename it, then recorder db upgrade",
}
_DENIED = (
    "run it as the owner of the database, or of the schemas recorder and bi if they exist; "
    "or let the role make them: GRANT CREATE ON DATABASE … TO …"
)


@dataclass(frozen=True, slots=True)
class Applied:
    """How far a database's schema is.

    Attributes:
        revision: Its revision; ``None`` when it has no schema.
        oldest_writer: The revision of the oldest program that may write into it; ``None`` when that is not recorded.
    """

    revision: str | None
    oldest_writer: str | None = None


async def applied(connection: AsyncConnection) -> Applied:
    """Return how far the database's schema is."""
    with storage_errors():
        has = (await connection.execute(_HAS)).one()
        if not has.revision:
            return Applied(None)
        found = (await connection.execute(_APPLIED if has.oldest_writer else _REVISION)).one_or_none()
        return Applied(found.version_num, found.oldest_writer) if found else Applied(None)


def require_revision(found: Applied) -> None:
    """Raise ``SchemaMismatch``, with the command to run, unless this program may write into a schema of that revision.

    That of a newer program lets older ones go on for as long as it says, so that several are upgraded one by one.
    """
    revision = found.revision
    if revision == REVISION:
        return
    if revision is not None and revision > REVISION >= (found.oldest_writer or revision):
        return
    if revision is None:
        what, fix = "the database has no schema yet", "recorder db upgrade"
    elif revision < REVISION:
        what, fix = f"the database's schema is at revision {revision}", "recorder db upgrade"
    else:
        what, fix = (
            f"the database's schema is at revision {revision}",
            "install the version of the recorder that made it",
        )
    raise SchemaMismatch(what, why=f"this version reads and writes revision {REVISION}", fix=fix)


def require_structure(found: Difference) -> None:
    """Raise ``SchemaMismatch`` when the schema is of another make than its revision says, with what mends it."""
    if found.tables:
        raise SchemaMismatch(
            f"the database's tables are not those of its revision: {_some(found.tables)}",
            why="they were changed by hand, or made by a version of the recorder that was never released",
            fix="undo the change, restore a backup from before it, or record into a new database; "
            "recorder db upgrade changes no table of a revision that the database has already",
        )
    if found.definitions:
        raise SchemaMismatch(
            f"in the database these are not what this version says: {_some(found.definitions)}",
            why="they were changed or dropped by hand, or belong to another version of the recorder",
            fix="recorder db upgrade",
        )


def _some(lines: Sequence[str]) -> str:
    """Name the first lines, and how many more there are."""
    more = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return ", ".join(lines[:_NAMED]) + more


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Bring the schema forward to *revision* in one transaction, and at ``head`` every view and function to its file.

    It may take as long as the statements of *engine* may. Tables in use are waited for briefly and again, so that
    nobody waits behind the migration for long. What others built on the views, and what was granted on them, stays.
    Raises ``SchemaMismatch``, and changes nothing, when the tables are not those of the revision they are said to have.
    """
    await _require_upgradable(engine)

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
                cause, state = cause_of(error)
                if state in _IN_THE_WAY:
                    raise _in_the_way(cause, state) from error
                if left == 0 or state != asyncpg.LockNotAvailableError.sqlstate:
                    raise
            else:
                return
        await asyncio.sleep(_LOCK_SECONDS)


async def _require_upgradable(engine: AsyncEngine) -> None:
    with storage_errors():
        async with engine.connect() as connection:
            found = await applied(connection)
            if found.revision is None:
                return
            if found.revision > REVISION:
                require_revision(Applied(found.revision))
            if page(found.revision).exists():
                differs = await difference(connection, found.revision)
                require_structure(Difference(tables=differs.tables))


def _in_the_way(cause: BaseException, state: str) -> SchemaMismatch:
    """Say what of somebody else's an upgrade would have to destroy: it does not."""
    return SchemaMismatch(
        "the upgrade would destroy what is not the recorder's, and changed nothing",
        why=" ".join(str(cause).split()),
        fix=_IN_THE_WAY[state],
        sqlstate=state,
    )
