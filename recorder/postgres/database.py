"""The database the service writes into: the configured one, or the embedded one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.embedded.server import embedded_postgres
from recorder.postgres.engine import create_engine, create_unhurried_engine, storage_errors
from recorder.postgres.schema import Applied, applied, require_revision, require_structure, upgrade
from recorder.postgres.structure import Difference, difference
from recorder.postgres.tables import REVISION


@asynccontextmanager
async def open_database(
    url: str | Callable[[], str] | None,
    data_dir: Path,
    *,
    engine_of: Callable[[str | Callable[[], str]], AsyncEngine] = create_engine,
) -> AsyncIterator[AsyncEngine]:
    """Yield an engine for *url*; without one, run PostgreSQL under *data_dir* and bring its schema up to date.

    A function is asked for the URL at each connection. A configured database is not even connected to: it may be away,
    and its schema is its owner's to upgrade.
    """
    if url is not None:
        engine = engine_of(url)
        try:
            yield engine
        finally:
            await engine.dispose()
        return
    async with embedded_postgres(data_dir) as embedded_url:
        async with open_database(embedded_url, data_dir, engine_of=create_unhurried_engine) as unhurried:
            if await _is_behind(unhurried):
                await upgrade(unhurried)
        async with open_database(embedded_url, data_dir, engine_of=engine_of) as engine:
            yield engine


async def _is_behind(engine: AsyncEngine) -> bool:
    """Whether tables or views are those of an earlier version: views change without a new revision too."""
    found = (await revision(engine)).revision
    if found == REVISION:
        return bool((await structure(engine)).definitions)
    return found is None or found < REVISION


async def revision(engine: AsyncEngine) -> Applied:
    """Return how far the database's schema is."""
    with storage_errors():
        async with engine.connect() as connection:
            return await applied(connection)


async def structure(engine: AsyncEngine) -> Difference:
    """Return how the database differs from what this version makes; the schema must be of its revision."""
    with storage_errors():
        async with engine.connect() as connection:
            return await difference(connection, REVISION)


async def require_schema(engine: AsyncEngine) -> None:
    """Raise ``SchemaMismatch`` unless this program may write into a schema of that revision."""
    require_revision(await revision(engine))


async def require_same_schema(engine: AsyncEngine) -> None:
    """Raise ``SchemaMismatch`` unless the schema is of this program's revision, and as that made it."""
    found = await revision(engine)
    require_revision(found)
    if found.revision == REVISION:
        require_structure(await structure(engine))


async def connection_string(url: str | None, data_dir: Path) -> str:
    """Return the URL for psql and BI tools; that of the embedded database stays the same from start to start."""
    if url is not None:
        return url
    async with embedded_postgres(data_dir) as embedded_url:
        return embedded_url
