"""The group roles: a reader has schema ``bi`` and nothing else, a writer has what the service does and no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.exceptions import StorageUnavailable
from recorder.postgres import questions
from recorder.postgres.database import require_schema
from recorder.postgres.engine import create_engine
from recorder.postgres.gaps import last_watched
from recorder.postgres.roles import READER, WRITER, create_roles, roles_exist
from recorder.postgres.samples import prepare_partitions
from recorder.postgres.schedules import write_schedule
from recorder.recording import write

pytestmark = pytest.mark.every_postgres

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FILLED = {
    "position_sample",
    "position_history",
    "position_latest",
    "snapshot",
    "freshness",
    "pnl_curve",
    "pnl_daily",
    "position_episode",
}
"""The views that show something of what the fixture records: positions, without gaps, balances and ledgers."""
VIEWS = (*FILLED, "gap", "account_equity", "fill", "income")
TABLES = ("account", "snapshot", "sample", "sample_default", "change", "gap", "alembic_version")
NO_WRITING = (asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)  # a view of a join


def held(minute: int, amount: str) -> Snapshot:
    time = NOON + minute * MINUTE
    position = Position(
        symbol="BTCUSDT",
        position_side="BOTH",
        position_amt=Decimal(amount),
        entry_price=Decimal(100),
        update_time=time - MINUTE / 2,
        mark_price=Decimal(101),
        unrealized_profit=Decimal(1),
    )
    return Snapshot(account="main", time=time, kind=Kind.SLOT, taken_at=time, positions=(position,))


def empty(minute: int, outcome: Outcome = Outcome.OK) -> Snapshot:
    time = NOON + minute * MINUTE
    return Snapshot(account="main", time=time, kind=Kind.SLOT, taken_at=time, outcome=outcome)


class Login:
    """A login role of its own that is a member of a group."""

    def __init__(self, url: str, connection: asyncpg.Connection) -> None:
        self.url = url
        self.connection = connection


@asynccontextmanager
async def login(database: str, group: str) -> AsyncIterator[Login]:
    name = f"login_{uuid4().hex}"
    owner = await asyncpg.connect(database)
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE {group}")
    url = make_url(database).set(username=name, password="secret").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    yield Login(url, connection)
    await connection.close()
    await owner.execute(f"DROP ROLE {name}")
    await owner.close()


@pytest.fixture
async def with_roles(engine: AsyncEngine, database: str) -> str:
    """The URL of the owner, after the roles were made and something was recorded."""
    await create_roles(engine)
    await write(engine, [held(0, "1"), held(1, "2"), empty(2, Outcome.TIMEOUT)])
    return database


@pytest.fixture
async def reader(with_roles: str) -> AsyncIterator[Login]:
    async with login(with_roles, READER) as member:
        yield member


@pytest.fixture
async def writer(with_roles: str) -> AsyncIterator[Login]:
    async with login(with_roles, WRITER) as member:
        yield member


async def refused(connection: asyncpg.Connection, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(sql)


async def test_roles_may_be_made_again(engine: AsyncEngine) -> None:
    await create_roles(engine)
    await create_roles(engine)

    assert await roles_exist(engine)


async def test_a_reader_reads_every_view_and_calls_every_function(engine: AsyncEngine, reader: Login) -> None:
    async with engine.connect() as connection:
        views = set(await connection.scalars(text("SELECT viewname FROM pg_views WHERE schemaname = 'bi'")))
        functions = await connection.scalars(
            text("SELECT proname FROM pg_proc WHERE pronamespace = 'bi'::regnamespace")
        )
        assert sorted(functions) == ["pnl_series", "positions_at"]

    assert views == set(VIEWS)
    for view in VIEWS:
        rows = await reader.connection.fetch(f"SELECT * FROM bi.{view}")
        assert bool(rows) == (view in FILLED)
    (row,) = await reader.connection.fetch("SELECT * FROM bi.positions_at($1)", NOON + MINUTE)
    assert row["position_amt"] == 2


async def test_the_questions_of_the_commands_are_answered_to_a_reader(reader: Login) -> None:
    engine = create_engine(reader.url)
    try:
        assert len(await questions.open_positions(engine, None)) == 1
        assert len(await questions.positions_at(engine, None, NOON)) == 1
        assert len(await questions.history(engine, "main", None, None)) == 2
        assert await questions.gaps(engine, None) == []
    finally:
        await engine.dispose()


async def test_a_reader_reads_and_writes_no_table(reader: Login) -> None:
    for sql in ("SELECT * FROM {}", "INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"):
        for table in TABLES:
            await refused(reader.connection, sql.format(f"recorder.{table}"))


async def test_a_reader_changes_nothing_in_the_views_and_makes_nothing(reader: Login) -> None:
    for view in VIEWS:
        for sql in ("DROP VIEW {}", "COMMENT ON VIEW {} IS ''", "ALTER VIEW {} RENAME TO mine"):
            await refused(reader.connection, sql.format(f"bi.{view}"))
        for sql in ("INSERT INTO {} DEFAULT VALUES", "UPDATE {} SET account = ''", "DELETE FROM {}"):
            with pytest.raises(NO_WRITING):
                await reader.connection.execute(sql.format(f"bi.{view}"))
    for sql in (
        "CREATE TABLE bi.mine ()",
        "CREATE VIEW bi.mine AS SELECT 1",
        "CREATE FUNCTION bi.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE recorder.mine ()",
        "CREATE SCHEMA mine",
        "CREATE OR REPLACE FUNCTION bi.positions_at(at timestamptz) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "SELECT recorder.ensure_sample_partitions(now(), now())",
        "DROP SCHEMA bi CASCADE",
        "DROP FUNCTION bi.positions_at(timestamptz)",
        "ALTER VIEW bi.gap OWNER TO CURRENT_USER",
    ):
        await refused(reader.connection, sql)


async def test_a_reader_reaches_nothing_outside_the_database(reader: Login) -> None:
    for sql in (
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/copied'",
        "CREATE TEMPORARY TABLE taken (line text); COPY taken FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT * FROM pg_authid",
        "CREATE ROLE mine",
        "ALTER SYSTEM SET fsync = off",
        f"SET ROLE {WRITER}",
    ):
        await refused(reader.connection, sql)


async def test_a_readers_own_objects_do_not_change_what_the_function_says(reader: Login) -> None:
    await reader.connection.execute("CREATE TEMPORARY VIEW position_history AS SELECT 'forged' AS account")
    await reader.connection.execute("SET search_path = pg_temp, public")

    rows = await reader.connection.fetch("SELECT account FROM bi.positions_at($1)", NOON)

    assert [row["account"] for row in rows] == ["main"]


async def test_a_writer_does_all_that_the_service_does(writer: Login) -> None:
    engine = create_engine(writer.url)
    try:
        await require_schema(engine)
        await prepare_partitions(engine, NOON, NOON + timedelta(days=62))
        new = await write(engine, [held(2, "3"), held(3, "4"), empty(4), empty(5, Outcome.TIMEOUT)])
        assert len(new) == 4
        gap = Gap(
            account="other", source=GapSource.SNAPSHOT, started_at=NOON, ended_at=None, reason=GapReason.NOT_RUNNING
        )
        await write(engine, [gap])
        async with engine.connect() as connection:
            (last,) = await last_watched(connection, ["main"], NOON + timedelta(days=1), NOON + timedelta(days=1))
        assert last.last_snapshot == NOON + 5 * MINUTE
        async with engine.begin() as connection:
            await write_schedule(connection, ["main"], NOON, MINUTE)
        assert [row["position_amt"] for row in await questions.history(engine, None, None, None)] == [1, 2, 3, 4, 0]
        assert len(await questions.summary(engine)) == 2
    finally:
        await engine.dispose()


async def test_a_writer_neither_changes_samples_nor_the_schema(writer: Login) -> None:
    for sql in (
        "UPDATE recorder.sample SET position_amt = 0",
        "DELETE FROM recorder.sample",
        "DELETE FROM recorder.sample_default",
        "DELETE FROM recorder.snapshot",
        "DELETE FROM recorder.gap",
        "UPDATE recorder.account SET name = 'other'",
        "UPDATE recorder.alembic_version SET version_num = '9999'",
        *(f"TRUNCATE recorder.{table}" for table in TABLES),
        *(f"DROP TABLE recorder.{table} CASCADE" for table in TABLES),
        "ALTER TABLE recorder.sample ADD COLUMN mine integer",
        "ALTER TABLE recorder.sample DETACH PARTITION recorder.sample_default",
        "CREATE TABLE recorder.mine ()",
        "CREATE VIEW bi.mine AS SELECT 1",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
    ):
        await refused(writer.connection, sql)


async def test_what_a_role_may_not_do_is_told_with_the_grant_that_is_missing(reader: Login) -> None:
    engine = create_engine(reader.url)
    try:
        with pytest.raises(StorageUnavailable) as caught:
            await write(engine, [empty(9)])
    finally:
        await engine.dispose()

    assert "permission denied" in caught.value.why
    assert "recorder_writer" in caught.value.fix
