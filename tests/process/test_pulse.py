"""A loop that is held up is noticed, and so is a process that stood still."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from recorder.process.clock import wall_clock
from recorder.process.pulse import ASLEEP, BEAT, BLOCKED, Pulse

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Sleeps:
    def __init__(self) -> None:
        self.since: list[datetime] = []

    async def note(self, since: datetime) -> None:
        self.since.append(since)


async def test_a_blocked_loop_shows_in_the_lag_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    sleeps = Sleeps()
    pulse = Pulse(sleeps.note, wall_clock)
    beating = asyncio.create_task(pulse.run())
    await asyncio.sleep(2 * BEAT)
    time.sleep(BLOCKED.total_seconds() + 2 * BEAT)  # noqa: ASYNC251 - that is the fault
    async with asyncio.timeout(10):
        while "blocked" not in caplog.text:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0)
    assert pulse.lag >= BLOCKED.total_seconds()
    beating.cancel()
    assert sleeps.since == []


async def test_a_standstill_is_told_with_the_last_moment_before_it(caplog: pytest.LogCaptureFixture) -> None:
    sleeps = Sleeps()
    pulse = Pulse(sleeps.note, wall_clock)
    stood_still = timedelta(minutes=10)
    await pulse.note(timedelta(seconds=BEAT), NOON)
    await pulse.note(stood_still, NOON + stood_still)
    assert sleeps.since == [NOON]
    assert pulse.lag == stood_still.total_seconds() - BEAT
    assert "the machine slept" in caplog.text
    await pulse.note(ASLEEP, NOON)
    assert sleeps.since == [NOON]
