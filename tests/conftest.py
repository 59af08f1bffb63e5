"""What tests share: PostgreSQL servers of both supported ends, and a fresh database of each in milliseconds."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import settings
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.embedded.server import embedded_postgres
from recorder.postgres.engine import create_engine
from recorder.postgres.roles import WRITER, create_roles
from recorder.postgres.schema import upgrade

# The same examples on every machine; HYPOTHESIS_PROFILE=default tries new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

SERVICE = "position_recorder"
"""The login of the recorder: a member of recorder_writer and nothing more."""

DEBIAN = Path("/usr/lib/postgresql/15/bin")
EMBEDDED = "embedded-18"
OLDEST = "debian-15"


class Server:
    """A running PostgreSQL with a template that has the schema."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def port(self) -> int | None:
        return make_url(self._url).port

    def database(self, name: str) -> str:
        return f"{self._url.rpartition('/')[0]}/{name}"

    async def command(self, sql: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def drop(self, database: str, owner: str) -> None:
        """Drop *database*, once the sessions of its *owner* are gone."""
        mine = f"datname = '{database}' AND usename IN ('{owner}', '{SERVICE}')"
        await self.command(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {mine}")
        await self.command(f"DROP DATABASE {database}")  # FORCE may not end autovacuum, which this waits for

    async def make_template(self) -> None:
        await self.command("CREATE DATABASE recorder_template")
        engine = create_engine(self.database("recorder_template"))
        await upgrade(engine)
        await create_roles(engine)
        await engine.dispose()
        await create_service(self.database("recorder_template"))


async def create_service(url: str) -> None:
    """Make the login of the service on the server at *url*, whose roles were made."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE ROLE {SERVICE} LOGIN PASSWORD '{SERVICE}' IN ROLE {WRITER}")
    finally:
        await connection.close()


def as_service(database: str) -> str:
    """The URL of *database* for a recorder as it is documented: it writes what it observes, and owns nothing."""
    return make_url(database).set(username=SERVICE, password=SERVICE).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    """Every PostgreSQL that can be had here, by name; they run until the tests are over."""
    binaries = {EMBEDDED: None} | ({OLDEST: DEBIAN} if DEBIAN.is_dir() else {})
    running: dict[str, Server] = {}
    stack = AsyncExitStack()

    async def start(folder: Path) -> None:
        for name, directory in binaries.items():
            url = await stack.enter_async_context(embedded_postgres(folder / name, binaries=directory))
            running[name] = Server(url)
            await running[name].make_template()

    with tempfile.TemporaryDirectory(prefix="recorder-tests-") as name, asyncio.Runner() as runner:
        Path(name).chmod(0o711)  # started as root, PostgreSQL runs as another user
        runner.run(start(Path(name)))
        yield running
        runner.run(stack.aclose())


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
    await server.drop(name, owner="recorder")


@pytest.fixture
async def owner(database: str, servers: dict[str, Server]) -> AsyncIterator[asyncpg.Connection]:
    """A session of the owner of the database, whoever the test itself logs in as."""
    name = make_url(database).database
    assert name is not None
    (url,) = (server.database(name) for server in servers.values() if server.port == make_url(database).port)
    connection = await asyncpg.connect(url, server_settings={"TimeZone": "UTC"})
    yield connection
    await connection.close()


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database)
    yield engine
    await engine.dispose()
