import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.postgres.engine import create_engine
from recorder.postgres.roles import create_roles
from tests.conftest import EMBEDDED, Server
from tests.verification.month import record


@pytest.fixture(scope="session")
def recorded(servers: dict[str, Server]) -> Iterator[str]:
    """The URL of a database in which three days are recorded, for all tests of a process; none may change it."""
    server, name = servers[EMBEDDED], f"month_{uuid4().hex}"

    async def make() -> None:
        await server.command(f"CREATE DATABASE {name} TEMPLATE recorder_template")
        engine = create_engine(server.database(name))
        await record(engine, days=3)
        await create_roles(engine)
        async with engine.begin() as connection:
            await connection.execute(text("ANALYZE"))
        await engine.dispose()

    asyncio.run(make())
    yield server.database(name)
    asyncio.run(server.command(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def month(recorded: str) -> AsyncIterator[AsyncConnection]:
    """Three recorded days, in a transaction that is never committed: whatever a test breaks is whole again."""
    engine = create_engine(recorded)
    async with engine.connect() as connection:
        yield connection
        await connection.rollback()
    await engine.dispose()
