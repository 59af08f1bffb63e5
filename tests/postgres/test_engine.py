"""What driver and server raise becomes a ``StorageError`` that says what can be done, and nothing waits for ever."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.exceptions import SchemaMismatch, StorageError, StorageRefused, StorageUnavailable
from recorder.postgres.engine import CONNECT_SECONDS, create_engine, is_of_connections, storage_errors

SHORT = 0.5  # seconds for a statement, where one is to run out of time


class Proxy:
    """Passes bytes on to PostgreSQL, until it is told to swallow them."""

    def __init__(self, host: str, port: int) -> None:
        self.swallowing = False
        self._target = host, port
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        target_reader, target_writer = await asyncio.open_connection(*self._target)
        self._writers += [writer, target_writer]
        await asyncio.gather(self._pass_on(reader, target_writer), self._pass_on(target_reader, writer))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if not self.swallowing:
                    sink.write(data)
                    await sink.drain()
        sink.close()

    async def cut(self) -> None:
        """Cut every connection."""
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy in front of the server, and the database's URL through it."""
    parts = urlsplit(database)
    assert parts.hostname
    assert parts.port
    proxy = Proxy(parts.hostname, parts.port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield proxy, make_url(database).set(port=port).render_as_string(hide_password=False)
    server.close()
    await proxy.cut()
    await server.wait_closed()


async def ask(engine: AsyncEngine, *statements: str) -> None:
    """Run *statements* in one transaction."""
    with storage_errors():
        async with engine.begin() as connection:
            for statement in statements or ("SELECT 1",):
                await connection.execute(text(statement))


async def failure(url: str, *statements: str, statement_seconds: float = 10) -> StorageError:
    """What becomes of a transaction that must fail."""
    engine = create_engine(url, statement_seconds=statement_seconds)
    try:
        with pytest.raises(StorageError) as caught:
            await ask(engine, *statements)
    finally:
        await engine.dispose()
    return caught.value


async def test_a_refused_connection_may_be_tried_again() -> None:
    error = await failure("postgresql://recorder@127.0.0.1:1/none")

    assert type(error) is StorageUnavailable
    assert error.fix == "start PostgreSQL, or mend database.url"


async def test_a_host_without_address_may_be_tried_again() -> None:
    assert type(await failure("postgresql://recorder@nowhere.invalid/none")) is StorageUnavailable


@pytest.mark.every_postgres
async def test_a_wrong_password_names_the_setting_and_not_the_password(database: str) -> None:
    wrong = make_url(database).set(password="not-the-password").render_as_string(hide_password=False)

    error = await failure(wrong)

    assert type(error) is StorageUnavailable
    assert "28P01" in error.why
    assert error.fix == "put the right password into database.url"
    assert "not-the-password" not in repr((error, error.what, error.why, error.fix))


async def test_a_database_that_does_not_exist_is_named(database: str) -> None:
    error = await failure(make_url(database).set(database="no_such_database").render_as_string(hide_password=False))

    assert type(error) is StorageUnavailable
    assert "no_such_database" in error.why
    assert "create the database" in error.fix


@pytest.mark.every_postgres
async def test_a_killed_backend_may_be_tried_again_and_the_next_try_has_a_new_one(
    engine: AsyncEngine, database: str
) -> None:
    with pytest.raises(StorageUnavailable):
        await ask(engine, "SELECT pg_terminate_backend(pg_backend_pid())")
    await ask(engine)

    killer = await asyncpg.connect(database)
    victims = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> {}"
    await killer.execute(victims.format(killer.get_server_pid()))  # idle in the pool
    await killer.close()
    with pytest.raises(StorageUnavailable):
        await ask(engine)
    await ask(engine)


@pytest.mark.every_postgres
async def test_a_statement_that_takes_too_long_is_given_up(database: str) -> None:
    started = time.monotonic()

    error = await failure(database, "SELECT pg_sleep(30)", statement_seconds=SHORT)

    assert type(error) is StorageUnavailable
    assert "no answer" in error.why
    assert time.monotonic() - started < 5


async def test_a_statement_that_the_server_cancels_may_be_tried_again(database: str) -> None:
    error = await failure(database, "SET LOCAL statement_timeout = 100", "SELECT pg_sleep(30)")

    assert type(error) is StorageUnavailable
    assert "57014" in error.why


@pytest.mark.every_postgres
async def test_a_table_that_is_locked_is_given_up(database: str) -> None:
    locker = await asyncpg.connect(database)
    async with locker.transaction():
        await locker.execute("LOCK TABLE recorder.snapshot")
        error = await failure(database, "SET LOCAL lock_timeout = 100", "SELECT * FROM recorder.snapshot")
    await locker.close()

    assert type(error) is StorageUnavailable
    assert "55P03" in error.why


async def test_a_server_that_is_read_only_is_told(database: str) -> None:
    error = await failure(database, "SET TRANSACTION READ ONLY", "INSERT INTO recorder.account (name) VALUES ('main')")

    assert type(error) is StorageUnavailable
    assert "point database.url at the primary" in error.fix


async def test_too_many_connections_may_be_tried_again(database: str) -> None:
    role = f"limited_{uuid4().hex}"
    owner = await asyncpg.connect(database)
    await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' CONNECTION LIMIT 0")
    url = make_url(database).set(username=role, password="secret").render_as_string(hide_password=False)

    error = await failure(url)

    await owner.execute(f"DROP ROLE {role}")
    await owner.close()
    assert type(error) is StorageUnavailable
    assert "53300" in error.why
    assert "max_connections" in error.fix


async def test_what_does_not_exist_is_a_matter_of_the_schema(database: str) -> None:
    for sql in [
        "SELECT * FROM recorder.nothing",
        "SELECT nothing FROM recorder.gap",
        "SELECT nothing.f()",
        "SELECT bi.f()",
    ]:
        error = await failure(database, sql)
        assert type(error) is SchemaMismatch, sql
        assert error.fix == "recorder db upgrade"


async def test_data_that_fails_again_is_not_to_be_tried_again(database: str) -> None:
    for sql in (
        "INSERT INTO recorder.account (name) VALUES (NULL)",
        "INSERT INTO recorder.account (name) VALUES ('one'), ('one')",
        "SELECT 'text'::numeric",
        "SELECT 1 / 0",
        "SELECT '1e999999'::numeric",
        "INSERT INTO recorder.account (name) SELECT string_agg(md5(n::text), '') FROM generate_series(1, 1000) n",
    ):
        assert type(await failure(database, sql)) is StorageRefused, sql


@pytest.mark.every_postgres
async def test_a_connection_into_a_black_hole_fails_in_time_and_the_next_one_works(
    proxy: tuple[Proxy, str],
) -> None:
    hole, url = proxy
    engine = create_engine(url, statement_seconds=SHORT)
    await ask(engine)

    hole.swallowing = True
    started = time.monotonic()
    with pytest.raises(StorageUnavailable):
        await ask(engine)  # on the connection that the pool holds
    assert time.monotonic() - started < CONNECT_SECONDS + 4

    hole.swallowing = False
    await ask(engine)
    await engine.dispose()


async def test_a_handshake_into_a_black_hole_fails_in_time(proxy: tuple[Proxy, str]) -> None:
    hole, url = proxy
    hole.swallowing = True
    started = time.monotonic()

    error = await failure(url)

    assert type(error) is StorageUnavailable
    assert time.monotonic() - started < CONNECT_SECONDS + 2


async def test_a_pool_whose_connections_are_all_in_use_fails_as_any_other(database: str) -> None:
    engine = create_engine(database)
    engine.sync_engine.pool._timeout = SHORT  # type: ignore[attr-defined]  # noqa: SLF001 - ten seconds are long
    async with contextlib.AsyncExitStack() as stack:
        _ = [await stack.enter_async_context(engine.connect()) for _ in range(4)]
        with pytest.raises(StorageUnavailable):
            await ask(engine)
    await engine.dispose()


async def test_a_session_is_in_utc_and_waits_for_the_disk(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        for name, value in {
            "TimeZone": "UTC",
            "search_path": "pg_catalog",
            "synchronous_commit": "on",
            "application_name": "position-recorder",
            "lock_timeout": "5s",
            "idle_in_transaction_session_timeout": "8s",
        }.items():
            assert await connection.scalar(text(f"SHOW {name}")) == value


async def test_the_query_part_of_a_url_reaches_the_driver(database: str) -> None:
    engine = create_engine(f"{database}?application_name=mine&options=-c%20work_mem%3D8MB")
    try:
        with storage_errors():
            async with engine.connect() as connection:
                assert await connection.scalar(text("SHOW work_mem")) == "8MB"
    finally:
        await engine.dispose()


@pytest.mark.parametrize(
    ("error", "all_of_them"),
    [
        (StorageUnavailable("gone", sqlstate=""), True),
        (StorageUnavailable("the server is being shut down", sqlstate="57P01"), True),
        (StorageUnavailable("the connection does not exist", sqlstate="08003"), True),
        (StorageUnavailable("read-only", sqlstate="25006"), True),
        (SchemaMismatch("no such table", sqlstate="42P01"), True),
        (StorageUnavailable("cancelled", sqlstate="57014"), False),
        (StorageUnavailable("the disk is full", sqlstate="53100"), False),
        (StorageUnavailable("deadlock", sqlstate="40P01"), False),
    ],
)
def test_a_connection_that_failed_tells_of_the_others(error: StorageError, all_of_them: bool) -> None:
    assert is_of_connections(error) is all_of_them


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(KeyError), storage_errors():
        raise KeyError("ours")
