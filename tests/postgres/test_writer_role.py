"""A writer has what the service does and no more."""

from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.beginning import Beginning
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.snapshot import Outcome
from recorder.postgres import questions
from recorder.postgres.database import require_schema
from recorder.postgres.engine import create_engine
from recorder.postgres.gaps import last_watched, open_gaps
from recorder.postgres.partitions import prepare_partitions
from recorder.postgres.roles import READER, WRITER, WRITER_RIGHTS, create_roles
from recorder.postgres.schedules import write_schedule
from recorder.recording import write
from tests.postgres.logins import MINUTE, NOON, TABLES, Login, empty, held, refused

pytestmark = pytest.mark.every_postgres


async def test_of_every_table_it_is_said_what_the_writer_may_do_with_it(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        tables = await connection.scalars(
            text(
                "SELECT relname FROM pg_class "
                "WHERE relnamespace = 'recorder'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
            )
        )
        assert set(tables) == set(WRITER_RIGHTS)


async def test_what_was_granted_before_and_is_not_needed_any_more_is_taken_back(
    engine: AsyncEngine, writer: Login
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA recorder TO {WRITER}, {READER}"))
    await writer.connection.execute("DELETE FROM recorder.gap")
    await create_roles(engine)
    await refused(writer.connection, "DELETE FROM recorder.gap")
    async with engine.connect() as connection:
        rights = "SELECT count(*) FROM information_schema.table_privileges WHERE grantee = :role AND table_schema = :of"
        assert await connection.scalar(text(rights), {"role": READER, "of": "recorder"}) == 0


async def test_a_session_of_a_writer_is_left_as_it_is(engine: AsyncEngine, writer: Login) -> None:
    await create_roles(engine)

    connection = await asyncpg.connect(writer.url)
    try:
        assert await connection.fetchval("SHOW default_transaction_read_only") == "off"
    finally:
        await connection.close()


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
        tomorrow = NOON + timedelta(days=1)
        async with engine.connect() as connection:
            watched = await last_watched(connection, [Beginning(account="main", since=tomorrow, began=tomorrow)])
            assert await open_gaps(connection, ["main", "other"]) == [gap]
        assert (watched["main"].last_snapshot, watched["main"].last_ok) == (NOON + 5 * MINUTE, NOON + 4 * MINUTE)
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
        "UPDATE recorder.snapshot SET account_id = 2",
        "UPDATE recorder.gap SET started_at = now(), reason = 'not_running'",
        "UPDATE recorder.fill SET trade_id = 1",
        "UPDATE recorder.income SET tran_id = 0",
        "UPDATE recorder.event SET body = ''",
        "UPDATE recorder.balance SET wallet_balance = 0",
        "UPDATE recorder.ledger SET kind = 'income'",
        *(f"DELETE FROM recorder.{table}" for table, rights in WRITER_RIGHTS.items() if "DELETE" not in rights),
        "INSERT INTO recorder.alembic_version VALUES ('9999')",
        "ALTER TABLE recorder.alembic_version DISABLE TRIGGER ALL",
        "CREATE TRIGGER mine BEFORE INSERT ON recorder.gap FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE TABLE public.mine ()",
        f"GRANT {WRITER} TO {READER}",
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
        "SELECT lo_import('/etc/passwd')",
    ):
        await refused(writer.connection, sql)
