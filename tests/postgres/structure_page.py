"""Writes what the newest revision is made of, against which a database is held: ``make migrations/structure``."""

import asyncio
import sys
import tempfile
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.postgres.embedded.server import embedded_postgres
from recorder.postgres.engine import create_engine
from recorder.postgres.schema import upgrade
from recorder.postgres.structure import facts


async def structure_page(connection: AsyncConnection) -> str:
    """Return the page for the schema of this database."""
    return "".join(f"{line}\n" for line in sorted(await facts(connection)))


async def _print(folder: Path) -> None:
    async with embedded_postgres(folder / "data") as url:
        engine = create_engine(url)
        await upgrade(engine)
        async with engine.connect() as connection:
            sys.stdout.write(await structure_page(connection))
        await engine.dispose()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)  # started as root, PostgreSQL runs as another user
        asyncio.run(_print(Path(name)))
