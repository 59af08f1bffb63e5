"""The months of the sample table: made ahead of need, and nothing is lost without them."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.exceptions import StorageError
from recorder.postgres.partitions import prepare_partitions
from recorder.recording import write

pytestmark = pytest.mark.every_postgres

MICROSECOND = timedelta(microseconds=1)


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
