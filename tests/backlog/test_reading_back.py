"""Reading back from the disk what the memory does not hold, a batch ahead of the one that is being committed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorder.backlog.backlog import Backlog
from recorder.backlog.batch import BATCH_ROWS
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.spool.codec import encode_item
from recorder.spool.folder import Folder
from recorder.spool.log import Log

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
GAP = Gap(account="main", source=GapSource.STREAM, started_at=NOON, ended_at=NOON, reason=GapReason.STOPPED)
RECORDS = BATCH_ROWS * 5 // 2


@pytest.fixture
async def backlog(tmp_path: Path) -> AsyncIterator[Backlog]:
    """A backlog that an earlier process left, of two batches and a half."""
    folder = Folder(tmp_path / "spool")
    folder.make()
    spool = Log(folder, limit=2**30, replay_window=timedelta(minutes=1))
    spool.append([encode_item(GAP)] * RECORDS, NOON)
    backlog = Backlog(spool, memory_rows=1)
    yield backlog
    await backlog.close()


async def numbers(backlog: Backlog) -> list[int]:
    """Take all that waits; return the sequence numbers in the order in which they were given out."""
    taken: list[int] = []
    while backlog.status.records:
        taken += [entry.sequence for entry in (await backlog.next_batch()).entries]
        backlog.done()
    return taken


async def test_every_record_is_given_out_once_and_in_its_order(backlog: Backlog) -> None:
    assert await numbers(backlog) == list(range(1, RECORDS + 1))


async def test_a_batch_is_not_lost_with_who_waited_for_it(backlog: Backlog) -> None:
    waiting = asyncio.create_task(backlog.next_batch())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert await numbers(backlog) == list(range(1, RECORDS + 1))


async def test_what_was_read_ahead_is_not_given_out_when_an_earlier_record_is_wanted_again(backlog: Backlog) -> None:
    await backlog.next_batch()
    backlog.done()
    await backlog.next_batch()
    await backlog.rewind(100)
    assert await numbers(backlog) == list(range(101, RECORDS + 1))
