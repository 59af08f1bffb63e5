"""What tests share: PostgreSQL servers of both supported ends, and a fresh database of each in milliseconds."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.embedded import embedded_postgres
from recorder.postgres.engine import create_engine
from recorder.postgres.schema import upgrade

DEBIAN = Path("/usr/lib/postgresql/15/bin")
EMBEDDED = "embedded 18"
OLDEST = "Debian's 15"


class Server:
    """A running PostgreSQL with a template that has the schema."""

    def __init__(self, url: str) -> None:
        self._url = url

    def database(self, name: str) -> str:
        return f"{self._url.rpartition('/')[0]}/{name}"

    async def command(self, sql: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def make_template(self) -> None:
        await self.command("CREATE DATABASE recorder_template")
        engine = create_engine(self.database("recorder_template"))
        await upgrade(engine)
        await engine.dispose()


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    """Every PostgreSQL that can be had here, by name; they run until the tests are over."""
    running: dict[str, Server] = {}
    done = asyncio.Event()

    async def run() -> AsyncIterator[None]:
        folder = Path(tempfile.mkdtemp(prefix="recorder-tests-"))
        folder.chmod(0o711)
        async with embedded_postgres(folder / "18") as newest:
            running[EMBEDDED] = Server(newest)
            await running[EMBEDDED].make_template()
            if not DEBIAN.is_dir():
                yield
                return
            async with embedded_postgres(folder / "15", binaries=DEBIAN) as oldest:
                running[OLDEST] = Server(oldest)
                await running[OLDEST].make_template()
                yield

    with asyncio.Runner() as runner:
        life = run()
        runner.run(anext(life))
        yield running
        done.set()
        runner.run(anext(life, None))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" in metafunc.fixturenames:
        everywhere = metafunc.definition.get_closest_marker("every_postgres") is not None
        metafunc.parametrize("database", [EMBEDDED, OLDEST] if everywhere else [EMBEDDED], indirect=True)


@pytest.fixture
async def database(request: pytest.FixtureRequest, servers: dict[str, Server]) -> AsyncIterator[str]:
    """The URL of a database of its own, with the schema."""
    server = servers.get(request.param)
    if server is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed at {DEBIAN}")
    name = f"test_{uuid4().hex}"
    await server.command(f"CREATE DATABASE {name} TEMPLATE recorder_template")
    yield server.database(name)
    await server.command(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database)
    yield engine
    await engine.dispose()
