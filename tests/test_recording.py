"""Taking observations, and committing them whatever disk and database do."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from recorder.domain.event import Arrival, KeptEvent, Told
from recorder.domain.position import Position
from recorder.domain.snapshot import Kind, Snapshot
from recorder.metrics import Metrics
from recorder.postgres.dead_letters import open_letters
from recorder.postgres.schema import upgrade
from recorder.recording import Recording
from recorder.spool.codec import decode_item
from recorder.spool.folder import File, Folder
from recorder.spool.log import Log
from recorder.spool.opening import spool_path

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PLENTY = 30.0  # seconds


class CrampedFolder(Folder):
    """A folder on a disk that is full when somebody says so."""

    full = False

    @override
    def create(self, name: str) -> File:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().create(name)


class Scene:
    """A recording at work.

    Attributes:
        folder: Where its spool is.
    """

    def __init__(self, recording: Recording, metrics: Metrics, folder: CrampedFolder) -> None:
        self.recording = recording
        self.folder = folder
        self._metrics = metrics

    async def drained(self) -> None:
        async with asyncio.timeout(PLENTY):
            await self.recording.drained()

    async def until(self, *, trouble: bool) -> None:
        """Wait until the spool is in trouble, or out of it."""
        async with asyncio.timeout(PLENTY):
            while bool(self.recording.status.backlog.trouble) is not trouble:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.02)

    def metric(self, name: str) -> float:
        return self._metrics.registry.get_sample_value(name) or 0


@asynccontextmanager
async def scene(engine: AsyncEngine, path: Path, *, limit: int = 2**20) -> AsyncIterator[Scene]:
    folder = CrampedFolder(spool_path(path))
    folder.make()
    spool = Log(folder, limit=limit, replay_window=MINUTE, segment_bytes=200)
    metrics = Metrics()
    recording = Recording(engine, metrics, spool, accounts=["main"], every=MINUTE, stream=False)
    task = asyncio.create_task(recording.run())
    try:
        yield Scene(recording, metrics, folder)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await recording.close()


def slot(minute: int, *, account: str = "main", amount: str = "1") -> Snapshot:
    time = NOON + minute * MINUTE
    position = Position(
        symbol="BTCUSDT",
        position_side="BOTH",
        position_amt=Decimal(amount),
        entry_price=Decimal(100),
        update_time=NOON,
        mark_price=Decimal(101) + minute,
        unrealized_profit=Decimal(1),
    )
    return Snapshot(account=account, time=time, kind=Kind.SLOT, taken_at=time, positions=(position,))


def message(minute: int) -> Told:
    arrival = Arrival(number=minute, received_at=NOON + minute * MINUTE, clock_offset=None)
    return Told("main", arrival, KeptEvent(kind="MARGIN_CALL", event_time=None, raw=f"{minute}" * 200))


async def outcomes(engine: AsyncEngine) -> list[tuple[int, str]]:
    async with engine.connect() as connection:
        rows = await connection.execute(text('SELECT "time", outcome FROM bi.snapshot ORDER BY 1, account'))
        return [((time - NOON) // MINUTE, outcome) for time, outcome in rows]


async def gaps(engine: AsyncEngine) -> list[tuple[str, str, int, int]]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT source, reason, started_at, ended_at FROM bi.gap ORDER BY 1, 3"))
        return [(source, reason, (a - NOON) // MINUTE, (b - NOON) // MINUTE) for source, reason, a, b in rows]


async def execute(engine: AsyncEngine, sql: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(sql))


async def test_a_full_disk_holds_up_nothing_while_the_database_is_there_and_is_used_again_when_it_has_room(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    async with scene(engine, tmp_path) as at:
        at.folder.full = True
        for minute in range(3):
            at.recording.record(slot(minute))
        await at.until(trouble=True)
        await at.drained()
        assert "No space left" in at.recording.status.backlog.trouble
        at.folder.full = False
        at.recording.record(slot(3))
        await at.drained()
        await at.until(trouble=False)
    assert await outcomes(engine) == [(minute, "ok") for minute in range(4)]
    assert await gaps(engine) == []


async def test_at_the_limit_snapshots_are_let_go_before_events_and_a_restart_does_not_forget_it(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    await execute(engine, "ALTER TABLE recorder.alembic_version RENAME TO away")  # as if there were no schema
    limit = 16_000
    async with scene(engine, tmp_path, limit=limit) as at:
        minutes = iter(range(10_000))
        while not at.recording.status.let_go:
            at.recording.record(slot(next(minutes)))
            await at.recording.durable()
        first = next(minutes) - 1
        at.recording.record_event(message(first))
        assert at.recording.status.let_go == 1
        await at.recording.durable()
        while at.recording.status.let_go == 1:
            at.recording.record_event(message(next(minutes)))
            await at.recording.durable()
        last = next(minutes) - 1
        assert at.recording.status.backlog.size < limit + 1000
    await execute(engine, "ALTER TABLE recorder.away RENAME TO alembic_version")
    async with scene(engine, tmp_path, limit=limit) as at:
        await at.drained()
        at.recording.record(slot(last + 5))
        at.recording.record_event(message(last + 5))
        await at.drained()
    assert await outcomes(engine) == [(minute, "ok") for minute in (*range(first), last + 5)]
    assert await gaps(engine) == [
        ("snapshot", "buffer_full", first - 1, last + 5),
        ("stream", "buffer_full", last - 1, last + 5),
    ]


async def test_a_row_that_postgresql_refuses_becomes_a_dead_letter_and_all_others_are_committed(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    poisoned = slot(2, amount="1e200000")
    async with scene(engine, tmp_path) as at:
        for snapshot in (slot(0), slot(1), poisoned, slot(3), slot(4)):
            at.recording.record(snapshot)
        await at.drained()
        assert at.metric("recorder_dead_letters_total") == 1
    expected = [(0, "ok"), (1, "ok"), (2, "refused_by_database"), (3, "ok"), (4, "ok")]
    assert await outcomes(engine) == expected
    (letter,) = await open_letters(engine)
    assert (letter.account, letter.kind, letter.sqlstate) == ("main", "snapshot", "22003")
    assert decode_item(letter.payload) == poisoned


async def test_what_is_refused_in_every_form_is_put_aside_and_holds_up_nothing(
    engine: AsyncEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(engine, tmp_path) as at:
        at.recording.record(slot(0))
        at.recording.record(slot(1, account="no\0name"))
        at.recording.record(slot(2))
        await at.drained()
        assert at.metric("recorder_spool_quarantined_records_total") == 1
    assert await outcomes(engine) == [(0, "ok"), (2, "ok")]
    (aside,) = spool_path(tmp_path).glob("refused-*")
    assert decode_item(aside.read_bytes()) == slot(1, account="no\0name")
    assert "PostgreSQL refuses" in caplog.text


async def test_a_damaged_record_is_a_gap_and_its_neighbours_are_committed(engine: AsyncEngine, tmp_path: Path) -> None:
    await execute(engine, "ALTER TABLE recorder.alembic_version RENAME TO away")
    async with scene(engine, tmp_path) as at:
        for minute in range(3):
            at.recording.record(slot(minute))
            await at.recording.durable()
    await execute(engine, "ALTER TABLE recorder.away RENAME TO alembic_version")
    second = sorted(spool_path(tmp_path).glob("*.log"))[1]
    second.write_bytes(second.read_bytes()[:-3] + b"oh!")
    began = datetime.now(UTC)
    async with scene(engine, tmp_path) as at:
        await at.drained()
        assert at.metric("recorder_spool_quarantined_records_total") == 1
    assert await outcomes(engine) == [(0, "ok"), (2, "ok")]
    async with engine.connect() as connection:
        (row,) = await connection.execute(text("SELECT source, reason, started_at, ended_at FROM bi.gap"))
    assert (row.source, row.reason) == ("snapshot", "spool_damaged")
    assert row.started_at <= began - MINUTE  # what it told of may be a slot older than itself
    assert row.ended_at <= began


async def test_a_schema_that_is_too_old_is_waited_for_with_the_command_that_mends_it(
    engine: AsyncEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA bi, recorder CASCADE"))
    await upgrade(engine, "0001")
    async with scene(engine, tmp_path) as at:
        at.recording.record(slot(0))
        async with asyncio.timeout(PLENTY):
            while "recorder db upgrade" not in caplog.text:  # noqa: ASYNC110 - the log is all there is to see
                await asyncio.sleep(0.02)
        await upgrade(engine)
        await at.drained()
    assert await outcomes(engine) == [(0, "ok")]


async def test_a_server_that_takes_no_writes_is_left_and_asked_again(engine: AsyncEngine, tmp_path: Path) -> None:
    async with engine.connect() as connection:
        name = await connection.scalar(text("SELECT current_database()"))
    async with scene(engine, tmp_path) as at:
        await execute(engine, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await engine.dispose()
        at.recording.record(slot(0))
        async with asyncio.timeout(PLENTY):
            while not at.recording.status.error:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.02)
        assert "25006" in at.recording.status.error
        async with engine.connect() as connection:
            await connection.execute(text("SET TRANSACTION READ WRITE"))
            await connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
            await connection.commit()
        await at.drained()
    assert await outcomes(engine) == [(0, "ok")]
