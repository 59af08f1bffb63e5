import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.engine import create_engine
from tests.conftest import EMBEDDED, Server
from tests.verification.month import record


@pytest.fixture(scope="module")
def template(servers: dict[str, Server]) -> Iterator[str]:
    """The name of a database in which three days are recorded, to be copied."""
    server, name = servers[EMBEDDED], f"month_{uuid4().hex}"

    async def make() -> None:
        await server.command(f"CREATE DATABASE {name} TEMPLATE recorder_template")
        engine = create_engine(server.database(name))
        await record(engine, days=3)
        await engine.dispose()

    asyncio.run(make())
    yield name
    asyncio.run(server.command(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def month(servers: dict[str, Server], template: str) -> AsyncIterator[AsyncEngine]:
    """A database of its own in which three days are recorded."""
    server, name = servers[EMBEDDED], f"test_{uuid4().hex}"
    await server.command(f"CREATE DATABASE {name} TEMPLATE {template}")
    engine = create_engine(server.database(name))
    yield engine
    await engine.dispose()
    await server.command(f"DROP DATABASE {name} WITH (FORCE)")
