"""The months of the sample table: made ahead of need, and nothing is lost without them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.exceptions import StorageError
from recorder.housekeeping import PARTITIONS, Months
from recorder.importing import SavedAnswer, import_answers
from recorder.postgres.engine import SESSION, create_engine
from recorder.postgres.partitions import prepare_partitions
from recorder.process.upkeep import Upkeep
from recorder.recording import write
from tests.postgres.logins import NOON, Login

pytestmark = pytest.mark.every_postgres

MICROSECOND = timedelta(microseconds=1)
PLENTY = 30.0  # seconds
LOCK = "hashtext('recorder.partitions'), 0"


def sampled(time: datetime) -> Snapshot:
    position = Position(
        symbol="BTCUSDT",
        position_side="BOTH",
        position_amt=Decimal(1),
        entry_price=Decimal(100),
        update_time=time,
        mark_price=Decimal(101),
        unrealized_profit=Decimal(1),
    )
    return Snapshot(account="main", time=time, kind=Kind.SLOT, taken_at=time, positions=(position,))


async def months(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        found = await connection.scalars(
            text(
                "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid "
                "WHERE inhparent = 'recorder.sample'::regclass"
            )
        )
        return sorted(name.removeprefix("sample_") for name in found)


async def places(engine: AsyncEngine) -> dict[datetime, str]:
    """In which partition each sample lies."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT time, relname FROM recorder.sample JOIN pg_class ON oid = sample.tableoid")
        )
        return {row.time: row.relname.removeprefix("sample_") for row in rows}


async def test_every_month_from_the_first_to_the_last_is_made_once(engine: AsyncEngine) -> None:
    since, until = datetime(2026, 11, 22, 12, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)

    await prepare_partitions(engine, since, until)
    await prepare_partitions(engine, since, until)

    assert await months(engine) == ["2026_11", "2026_12", "2027_01", "default"]


async def test_a_month_begins_and_ends_at_midnight_utc_whatever_the_time_zone_of_the_server(
    engine: AsyncEngine, database: str
) -> None:
    begin, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    connection = await asyncpg.connect(database, server_settings={"TimeZone": "Pacific/Auckland"})
    try:
        await connection.execute("SELECT recorder.ensure_partitions($1, $1)", begin)
    finally:
        await connection.close()

    await write(engine, [sampled(time) for time in (begin - MICROSECOND, begin, end - MICROSECOND, end)])

    assert await months(engine) == ["2026_03", "default"]
    assert await places(engine) == {
        begin - MICROSECOND: "default",
        begin: "2026_03",
        end - MICROSECOND: "2026_03",
        end: "default",
    }


async def test_a_sample_outside_every_month_is_kept_and_moved_when_its_month_is_made(engine: AsyncEngine) -> None:
    times = [datetime(2020, 2, 29, 23, 59, tzinfo=UTC), datetime(2020, 3, 1, tzinfo=UTC)]
    await write(engine, [sampled(time) for time in times])
    assert set((await places(engine)).values()) == {"default"}

    await prepare_partitions(engine, times[0], times[0])

    assert await places(engine) == {times[0]: "2020_02", times[1]: "default"}


async def test_a_moved_sample_is_the_same_in_every_column(engine: AsyncEngine) -> None:
    time = datetime(2020, 2, 29, tzinfo=UTC)
    await write(engine, [sampled(time)])

    async def sample() -> tuple[object, ...]:
        async with engine.connect() as connection:
            return tuple((await connection.execute(text("SELECT * FROM recorder.sample"))).one())

    before = await sample()
    await prepare_partitions(engine, time, time)

    assert await sample() == before


async def test_callers_at_the_same_time_do_not_fail(engine: AsyncEngine) -> None:
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)

    await asyncio.gather(*(prepare_partitions(engine, since, until) for _ in range(4)))

    assert len(await months(engine)) == 7


async def test_writers_and_the_making_of_months_do_not_hinder_one_another(engine: AsyncEngine) -> None:
    start = datetime(2026, 1, 31, 23, 50, tzinfo=UTC)
    snapshots = [sampled(start + day * timedelta(days=1)) for day in range(100)]

    async def write_all() -> None:
        for snapshot in snapshots:
            await write(engine, [snapshot])

    async def make_months() -> None:
        for snapshot in snapshots[::20]:
            await prepare_partitions(engine, snapshot.time, snapshot.time)

    await asyncio.gather(write_all(), make_months())

    assert len(await places(engine)) == 100


async def test_centuries_are_refused(engine: AsyncEngine) -> None:
    with pytest.raises(StorageError) as caught:
        await prepare_partitions(engine, datetime(1, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))

    assert "more partitions than anyone needs" in caught.value.why
    assert await months(engine) == ["default"]


@asynccontextmanager
async def making(url: str, now: datetime, failing: list[int]) -> AsyncIterator[None]:
    """Have a service's login make what is missing from *now* on, again and again, while the context lasts."""
    engine = create_engine(url)
    upkeep = Upkeep((PARTITIONS,), lambda _, fails: failing.append(fails))
    task = asyncio.create_task(Months(engine, upkeep=upkeep, clock=lambda: now).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await engine.dispose()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PLENTY):
        while not holds():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def until_failed_twice(failing: list[int]) -> None:
    await until(lambda: sum(failing) >= 2)


async def test_a_long_reader_holds_up_no_writer_and_the_month_is_made_when_it_is_gone(
    engine: AsyncEngine, writer: Login, caplog: pytest.LogCaptureFixture
) -> None:
    failing: list[int] = []
    # A lock that is waited for 2 s fails: a writer that waits as long as the makers of months may never meets it.
    hasty = create_engine(writer.url, session=SESSION | {"lock_timeout": "2s"})
    try:
        async with engine.connect() as reader:
            await reader.execute(text("SELECT count(*) FROM recorder.sample"))
            async with making(writer.url, NOON, failing):
                minute = 10
                while sum(failing) < 2:
                    await write(hasty, [sampled(NOON + timedelta(minutes=minute))])
                    minute += 1
                assert await months(engine) == ["default"]
                await reader.rollback()
                await until(lambda: failing[-1] == 0)
    finally:
        await hasty.dispose()
    assert await months(engine) == ["2026_11", "2026_12", "2027_01", "default"]
    assert set((await places(engine)).values()) == {"2026_11"}
    assert caplog.text.count("55P03") == 1


async def test_rows_of_an_earlier_month_that_found_no_partition_get_one(engine: AsyncEngine, writer: Login) -> None:
    earlier, failing = datetime(2020, 2, 29, tzinfo=UTC), list[int]()
    await write(engine, [sampled(earlier)])
    async with making(writer.url, NOON, failing):
        await until(lambda: failing == [0, 0])
    assert (await places(engine))[earlier] == "2020_02"


async def test_why_partitions_cannot_be_made_is_said_once_with_what_mends_it(
    engine: AsyncEngine, writer: Login, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = writer.connection._params.user  # noqa: SLF001 - asyncpg tells it nowhere else
    hindrances = (
        ("CREATE TABLE recorder.sample_2026_12 ()", "DROP TABLE recorder.sample_2026_12", "sample_2026_12", "rename"),
        (
            "REVOKE EXECUTE ON FUNCTION recorder.ensure_partitions FROM recorder_writer",
            "GRANT EXECUTE ON FUNCTION recorder.ensure_partitions TO recorder_writer",
            "permission denied",
            "recorder db roles",
        ),
        (
            f"ALTER ROLE {name} SET statement_timeout = '100ms'; SELECT pg_advisory_lock({LOCK})",
            f"ALTER ROLE {name} RESET statement_timeout; SELECT pg_advisory_unlock_all()",
            "statement timeout",
            "statement_timeout = 0",
        ),
    )
    for hinder, mend, why, fix in hindrances:
        failing: list[int] = []
        caplog.clear()
        owner = await asyncpg.connect(database)
        try:
            await owner.execute(hinder)
            async with making(writer.url, NOON, failing):
                await until_failed_twice(failing)
                await owner.execute(mend)
        finally:
            await owner.close()
        (said,) = [record.getMessage() for record in caplog.records if record.name == "recorder.process.upkeep"]
        assert why in said
        assert fix in said
    async with making(writer.url, NOON, failing := []):
        await until(lambda: failing == [0, 0])
    assert await months(engine) == ["2026_11", "2026_12", "2027_01", "default"]


async def test_an_answer_is_imported_also_while_its_month_cannot_be_made(
    engine: AsyncEngine, writer: Login, caplog: pytest.LogCaptureFixture
) -> None:
    answer = SavedAnswer(Path("answer.json"), NOON - timedelta(days=400), sampled(NOON).positions)
    mere = create_engine(writer.url)
    try:
        async with engine.connect() as reader:
            await reader.execute(text("SELECT count(*) FROM recorder.sample"))
            assert [each.outcome async for each in import_answers(mere, "main", [answer])] == ["recorded"]
    finally:
        await mere.dispose()
    assert (await places(engine))[answer.time] == "default"
    assert "55P03" in caplog.text
