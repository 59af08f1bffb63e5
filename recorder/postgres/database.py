"""The database the service writes into: the configured one, or the embedded one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.embedded.server import embedded_postgres
from recorder.postgres.engine import create_engine, create_unhurried_engine, storage_errors
from recorder.postgres.schema import current_revision, require_revision, upgrade
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
            if await revision(unhurried) != REVISION:
                await upgrade(unhurried)
        async with open_database(embedded_url, data_dir, engine_of=engine_of) as engine:
            yield engine


async def revision(engine: AsyncEngine) -> str | None:
    """Return the revision of the database's schema, ``None`` when it has none."""
    with storage_errors():
        async with engine.connect() as connection:
            return await current_revision(connection)


async def require_schema(engine: AsyncEngine) -> None:
    """Raise ``SchemaMismatch`` unless the database's schema is of this program's revision."""
    require_revision(await revision(engine))


async def connection_string(url: str | None, data_dir: Path) -> str:
    """Return the URL for psql and BI tools; that of the embedded database stays the same from start to start."""
    if url is not None:
        return url
    async with embedded_postgres(data_dir) as embedded_url:
        return embedded_url
