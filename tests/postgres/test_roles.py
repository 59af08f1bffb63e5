"""The group roles: a reader has schema ``bi`` and nothing else."""

import contextlib

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.exceptions import StorageUnavailable
from recorder.postgres import questions
from recorder.postgres.engine import create_engine
from recorder.postgres.roles import READER, READER_SETTINGS, WRITER, create_roles, roles_exist
from recorder.recording import write
from tests.postgres.logins import FILLED, MINUTE, NO_WRITING, NOON, TABLES, VIEWS, Login, empty, refused

pytestmark = pytest.mark.every_postgres


async def test_roles_may_be_made_again(engine: AsyncEngine) -> None:
    assert await create_roles(engine) == []
    assert await create_roles(engine) == []

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
        "CREATE TABLE public.mine ()",
        "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE TEMPORARY VIEW mine AS SELECT 1",
        "SELECT recorder.ensure_partitions(now(), now())",
        "SELECT recorder.income_part('COMMISSION')",
        "CREATE EXTENSION dblink",
        "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION bi.positions_at()",
    ):
        await refused(reader.connection, sql)


async def test_a_reader_grants_nothing_to_anybody(engine: AsyncEngine, reader: Login) -> None:
    rights = text("SELECT array_agg(acl::text ORDER BY acl::text) FROM (SELECT relacl AS acl FROM pg_class) AS all_of")
    async with engine.connect() as connection:
        before = await connection.scalar(rights)
    for sql in (
        "GRANT SELECT ON bi.gap TO PUBLIC",  # a warning of PostgreSQL, for who holds it without being able to grant it
        "GRANT INSERT ON recorder.gap TO PUBLIC",
        f"GRANT {READER} TO {WRITER}",
    ):
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
            await reader.connection.execute(sql)
    async with engine.connect() as connection:
        assert await connection.scalar(rights) == before
        assert not await connection.scalar(text(f"SELECT pg_has_role('{WRITER}', '{READER}', 'MEMBER')"))


async def test_a_reader_reaches_nothing_outside_the_database(reader: Login) -> None:
    for sql in (
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/copied'",
        "COPY bi.gap TO '/tmp/copied'",
        "DO $$ BEGIN COPY (SELECT 1) TO PROGRAM 'true'; END $$",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT * FROM pg_authid",
        "CREATE ROLE mine",
        "ALTER SYSTEM SET fsync = off",
        f"SET ROLE {WRITER}",
        "SELECT pg_read_binary_file('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/copied')",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
        "ALTER ROLE CURRENT_USER CREATEROLE",
        f"ALTER ROLE {READER} SUPERUSER",
        "ALTER DATABASE postgres SET statement_timeout = 1",
    ):
        await refused(reader.connection, sql)
    for role in (WRITER, "recorder", "postgres"):
        await refused(reader.connection, f"SET SESSION AUTHORIZATION {role}")


async def test_a_session_of_a_reader_begins_read_only_and_with_a_time_out(engine: AsyncEngine, reader: Login) -> None:
    assert await create_roles(engine) == []

    connection = await asyncpg.connect(reader.url)
    try:
        assert {name: await connection.fetchval(f"SHOW {name}") for name in READER_SETTINGS} == READER_SETTINGS
    finally:
        await connection.close()


async def test_a_readers_own_objects_do_not_change_what_the_function_says(
    reader: Login, with_roles: str, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:  # as in a database that is not the recorder's own
        await connection.execute(text(f"GRANT TEMPORARY ON DATABASE {make_url(with_roles).database} TO PUBLIC"))
    await reader.connection.execute("CREATE TEMPORARY VIEW position_history AS SELECT 'forged' AS account")
    await reader.connection.execute("CREATE TEMPORARY VIEW account AS SELECT 'forged' AS name, 1 AS id")
    await reader.connection.execute(
        "CREATE FUNCTION pg_temp.date_bin(interval, timestamptz, timestamptz) RETURNS timestamptz "
        "LANGUAGE sql AS 'SELECT NULL::timestamptz'"
    )
    await reader.connection.execute("SET search_path = pg_temp, public")

    rows = await reader.connection.fetch("SELECT account FROM bi.positions_at($1)", NOON)
    series = await reader.connection.fetch(
        "SELECT time FROM bi.pnl_series('main', NULL, $1, $2, '1 minute')", NOON, NOON + MINUTE
    )

    assert [row["account"] for row in rows] == ["main"]
    assert all(row["time"] is not None for row in series)
    assert {row["account"] for row in await reader.connection.fetch("SELECT account FROM bi.snapshot")} == {"main"}


async def test_what_a_role_may_not_do_is_told_with_the_grant_that_is_missing(reader: Login) -> None:
    engine = create_engine(reader.url)
    try:
        with pytest.raises(StorageUnavailable) as caught:
            await write(engine, [empty(9)])
    finally:
        await engine.dispose()

    assert "permission denied" in caught.value.why
    assert "recorder_writer" in caught.value.fix
