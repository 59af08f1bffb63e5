"""A database that has less than was committed to it: an older copy was restored, or another one put in its place."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.snapshot import Kind, Snapshot
from recorder.metrics import Metrics
from recorder.postgres.database import open_database
from recorder.recording import Recording
from recorder.spool.opening import open_spool

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PLENTY = 30.0  # seconds


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's tmp_path, which is closed to the user that PostgreSQL runs as for root.
    with tempfile.TemporaryDirectory(prefix="recorder-tests-") as name:
        Path(name).chmod(0o711)
        yield Path(name).resolve()


def slot(minute: int) -> Snapshot:
    time = NOON + minute * MINUTE
    return Snapshot(account="main", time=time, kind=Kind.SLOT, taken_at=time)


@asynccontextmanager
async def recording(engine: AsyncEngine, folder: Path, *, window: timedelta = MINUTE) -> AsyncIterator[Recording]:
    with open_spool(folder, limit=2**20, replay_window=window) as spool:
        metrics = Metrics()
        running = Recording(engine, metrics, spool, accounts=["main"], every=MINUTE, stream=False)
        task = asyncio.create_task(running.run())
        try:
            yield running
            async with asyncio.timeout(PLENTY):
                await running.drained()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await running.close()


async def minutes(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        times = await connection.scalars(text('SELECT "time" FROM bi.snapshot ORDER BY 1'))
        return [(time - NOON) // MINUTE for time in times]


async def reasons(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list(await connection.scalars(text("SELECT reason FROM bi.gap ORDER BY started_at")))


async def test_a_restored_older_copy_of_the_data_directory_gets_back_what_it_lost_by_itself(folder: Path) -> None:
    cluster, copy = folder / "data", folder / "copy"
    async with open_database(None, cluster) as engine, recording(engine, folder) as running:
        running.record(slot(0))
    shutil.copytree(cluster, copy, symlinks=True, copy_function=_with_owner)
    _own_like(cluster, copy)
    async with open_database(None, cluster) as engine, recording(engine, folder) as running:
        for minute in range(1, 4):
            running.record(slot(minute))
    async with open_database(None, copy) as engine:
        assert await minutes(engine) == [0]
        async with recording(engine, folder) as running:
            running.record(slot(4))
        assert await minutes(engine) == [0, 1, 2, 3, 4]
        assert await reasons(engine) == []


async def test_commits_that_a_failover_lost_while_the_service_ran_are_written_again(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    async with recording(engine, tmp_path) as running:
        for minute in range(3):
            running.record(slot(minute))
            await running.drained()
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM recorder.snapshot WHERE \"time\" > '2026-11-22 12:00Z'"))
            await connection.execute(text("UPDATE recorder.commit_mark SET sequence = 1"))
        running.record(slot(3))
    assert await minutes(engine) == [0, 1, 2, 3]


async def test_what_the_spool_holds_no_longer_of_the_lost_commits_is_a_gap(engine: AsyncEngine, tmp_path: Path) -> None:
    window = timedelta(microseconds=1)
    async with recording(engine, tmp_path, window=window) as running:
        running.record(slot(0))
        running.record(slot(1))
    async with recording(engine, tmp_path, window=window) as running:  # a start begins a new segment
        running.record(slot(2))
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM recorder.snapshot"))
        await connection.execute(text("UPDATE recorder.commit_mark SET sequence = 1"))
    async with recording(engine, tmp_path, window=window) as running:
        running.record(slot(3))
    assert await minutes(engine) in ([3], [2, 3])
    assert await reasons(engine) == ["database_restored"]


async def test_a_new_empty_database_gets_what_the_spool_still_holds(engine: AsyncEngine, tmp_path: Path) -> None:
    async with recording(engine, tmp_path) as running:
        running.record(slot(0))
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE recorder.snapshot, recorder.commit_mark"))
    async with recording(engine, tmp_path) as running:
        running.record(slot(1))
    assert await minutes(engine) == [0, 1]
    assert await reasons(engine) == []


def _with_owner(source: str, target: str) -> None:
    shutil.copy2(source, target)
    _own_like(Path(source), Path(target))


def _own_like(source: Path, target: Path) -> None:
    for there in (target, *(target.rglob("*") if target.is_dir() else ())):
        here = source / there.relative_to(target)
        with suppress(FileNotFoundError):
            status = here.lstat()
            os.chown(there, status.st_uid, status.st_gid, follow_symlinks=False)
