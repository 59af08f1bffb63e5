"""Two recorders whose data directories are copies of one: each goes on, none undoes what the other wrote."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.snapshot import Kind, Snapshot
from recorder.metrics import Metrics
from recorder.recording import Recording
from recorder.spool.opening import open_spool, spool_path

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PLENTY = 30.0  # seconds
COPIED = "another recorder uses a copy of this spool"
WENT_BACK = "the database has less than was committed to it"


@asynccontextmanager
async def recording(engine: AsyncEngine, folder: Path, account: str) -> AsyncIterator[Recording]:
    with open_spool(folder, limit=2**20, replay_window=MINUTE) as spool:
        running = Recording(engine, Metrics(), spool, accounts=[account], every=MINUTE, stream=False)
        task = asyncio.create_task(running.run())
        try:
            yield running
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await running.close()


async def record(running: Recording, account: str, *minutes: int) -> None:
    """Have each slot committed by itself."""
    for minute in minutes:
        time = NOON + minute * MINUTE
        running.record(Snapshot(account=account, time=time, kind=Kind.SLOT, taken_at=time))
        async with asyncio.timeout(PLENTY):
            await running.drained()


async def minutes(engine: AsyncEngine, account: str) -> list[int]:
    async with engine.connect() as connection:
        question = text('SELECT "time" FROM bi.snapshot WHERE account = :account ORDER BY 1')
        return [(time - NOON) // MINUTE for time in await connection.scalars(question, {"account": account})]


async def instances(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM recorder.commit_mark")))


async def copy(one: Path, other: Path) -> None:
    """Copy a data directory as ``cp -r`` does, once it tells how far its commits got."""
    async with asyncio.timeout(PLENTY):
        while not (spool_path(one) / "checkpoint").exists():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)
    shutil.copytree(one, other, ignore=shutil.ignore_patterns("checkpoint.next"))  # may be gone at any moment


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.every_postgres
async def test_a_copy_that_is_started_beside_the_running_original_is_told_of_once_and_both_go_on(
    engine: AsyncEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with recording(engine, tmp_path / "one", "a") as one:
        await record(one, "a", 0, 1)
        await copy(tmp_path / "one", tmp_path / "other")
        async with recording(engine, tmp_path / "other", "b") as other:
            for minute in range(2, 8):
                await record(other, "b", minute)
                await record(one, "a", minute)
    assert await minutes(engine, "a") == list(range(8))
    assert await minutes(engine, "b") == list(range(2, 8))
    (told,) = said(caplog)
    assert told.startswith(COPIED)
    assert f"process {os.getpid()} on host" in told
    assert await instances(engine) == 2


async def test_a_copy_that_starts_before_the_original_is_started_again_is_told_of_once_and_both_go_on(
    engine: AsyncEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with recording(engine, tmp_path / "one", "a") as one:
        await record(one, "a", 0, 1)
    await copy(tmp_path / "one", tmp_path / "other")
    async with recording(engine, tmp_path / "other", "b") as other:
        await record(other, "b", 2, 3)
        async with recording(engine, tmp_path / "one", "a") as one:
            for minute in range(4, 8):
                await record(one, "a", minute)
                await record(other, "b", minute)
    assert await minutes(engine, "a") == [0, 1, 4, 5, 6, 7]
    assert await minutes(engine, "b") == list(range(2, 8))
    (told,) = said(caplog)
    assert told.startswith(COPIED)


async def test_a_copy_that_is_behind_what_the_original_wrote_meanwhile_says_so_itself_and_takes_nothing_back(
    engine: AsyncEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with recording(engine, tmp_path / "one", "a") as one:
        await record(one, "a", 0)
        await copy(tmp_path / "one", tmp_path / "other")
        await record(one, "a", *range(1, 20))
        async with recording(engine, tmp_path / "other", "b") as other:
            await record(other, "b", 20, 21)
        assert [each for each in said(caplog) if COPIED in each]
        caplog.clear()
        await record(one, "a", 20)
    assert said(caplog) == []
    assert await minutes(engine, "a") == list(range(21))


async def test_each_keeps_its_own_name_through_restarts(
    engine: AsyncEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with recording(engine, tmp_path / "one", "a") as one:
        await record(one, "a", 0)
        await copy(tmp_path / "one", tmp_path / "other")
        async with recording(engine, tmp_path / "other", "b") as other:
            await record(other, "b", 1)
            await record(one, "a", 1)
    caplog.clear()
    async with recording(engine, tmp_path / "one", "a") as one, recording(engine, tmp_path / "other", "b") as other:
        for minute in range(2, 5):
            await record(one, "a", minute)
            await record(other, "b", minute)
    assert said(caplog) == []
    assert await instances(engine) == 2


async def test_a_database_from_before_this_process_is_told_apart_from_a_copy(
    engine: AsyncEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A backup holds the mark of an earlier process, which is another one as well."""
    async with recording(engine, tmp_path, "a") as running:
        await record(running, "a", 0, 1)
    async with engine.connect() as connection:
        backup = (
            (await connection.execute(text("SELECT sequence, run, process FROM recorder.commit_mark"))).mappings().one()
        )
    async with recording(engine, tmp_path, "a") as running:
        await record(running, "a", 2, 3)
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM recorder.snapshot WHERE \"time\" > '2026-11-22 12:01Z'"))
            restored = "UPDATE recorder.commit_mark SET sequence = :sequence, run = :run, process = :process"
            await connection.execute(text(restored), dict(backup))
        await record(running, "a", 4)
    assert await minutes(engine, "a") == [0, 1, 2, 3, 4]
    (told,) = said(caplog)
    assert told.startswith(WENT_BACK)
