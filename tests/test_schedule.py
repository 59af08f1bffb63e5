"""Slots are due by the service's clock, whatever the wall clock shows and whichever timer stood still."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from recorder.domain.slot import slot_at
from recorder.process.clock import steady
from recorder.schedule import Schedule

EVERY = timedelta(seconds=1)
PLENTY = 20.0  # seconds
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Due:
    """What a schedule called for, and the clock it goes by: counted from noon, ``ahead`` of the time that passed."""

    def __init__(self) -> None:
        self.calls: list[list[datetime]] = []
        self.late: list[timedelta] = []
        self.ahead = timedelta(0)
        self._began = steady()

    def now(self) -> datetime:
        return NOON + self.ahead + timedelta(seconds=steady() - self._began)

    def __call__(self, slots: Sequence[datetime]) -> None:
        self.late.append(self.now() - slots[-1])
        self.calls.append(list(slots))

    @property
    def slots(self) -> list[datetime]:
        return [slot for call in self.calls for slot in call]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PLENTY):
            while len(self.calls) < count:  # noqa: ASYNC110 - the schedule tells nobody else
                await asyncio.sleep(0.01)


@asynccontextmanager
async def scheduled() -> AsyncIterator[Due]:
    due = Due()
    async with Schedule(EVERY, due.now(), due, due.now):
        await due.until(1)
        yield due


def consecutive(slots: list[datetime]) -> bool:
    return slots == [slots[0] + number * EVERY for number in range(len(slots))]


@pytest.mark.parametrize("step", [-90, 3600, 17.3, -0.6], ids=lambda step: f"by {step} s")
async def test_a_step_of_the_wall_clock_delays_no_slot_and_doubles_none(step: float) -> None:
    with time_machine.travel(datetime.now(UTC), tick=True) as traveller:
        async with scheduled() as due:
            traveller.shift(step)
            await due.until(4)
    assert consecutive(due.slots)
    assert due.slots[0] == slot_at(due.slots[0], EVERY)
    assert sorted(due.late)[1] < timedelta(seconds=1)  # of four calls, a busy machine may delay some


async def test_what_a_sleep_of_the_machine_lets_pass_is_handed_over_as_soon_as_it_wakes_up() -> None:
    async with scheduled() as due:
        due.ahead = timedelta(seconds=30)  # the timers stood still, the clock did not
        await due.until(2)
    assert len(due.calls[1]) >= 30
    assert consecutive(due.slots)


async def test_a_clock_that_is_corrected_backwards_makes_its_slots_due_again() -> None:
    async with scheduled() as due:
        first = due.slots[0]
        due.ahead = -timedelta(hours=1)
        await due.until(3)
    again = due.slots[1:]
    assert first - timedelta(hours=1) <= again[0] <= first - timedelta(hours=1) + 10 * EVERY
    assert consecutive(again)


async def test_a_small_correction_backwards_calls_for_no_slot_twice() -> None:
    async with scheduled() as due:
        for count in (2, 3, 4):
            due.ahead -= EVERY / 4
            await due.until(count)
    assert consecutive(due.slots)


async def test_what_a_call_raises_is_told() -> None:
    def broken(_: Sequence[datetime]) -> None:
        raise ZeroDivisionError

    due = Due()
    async with Schedule(EVERY, due.now(), broken, due.now) as schedule:
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(PLENTY):
                await schedule.failed()
