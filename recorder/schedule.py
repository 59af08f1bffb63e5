"""The schedule: calls once for every slot, and tells which slots passed without a call.

APScheduler decides by the wall clock when a job is due, which somebody may set. So the job is due when the service's
own clock reaches the next slot, put in the wall clock's words; and a look twice a second puts it right after a step,
and makes up for a timer that stood still while the machine slept.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from typing_extensions import override

from recorder.domain.slot import slot_at, slots_between

OnDue = Callable[[Sequence[datetime]], None]
"""Takes the slots that are due, oldest first: the last one is due now, those before it were missed."""

LOOK = timedelta(milliseconds=500)
"""How often it is made sure that nothing is overdue and that the timer is right."""

_OFF = timedelta(milliseconds=50)


class _NextSlot(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """The next slot by the service's clock, as the wall clock will show it."""

    def __init__(self, every: timedelta, clock: Callable[[], datetime]) -> None:
        self._every = every
        self._clock = clock

    @override
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        time = self._clock()
        return now + (slot_at(time, self._every) + self._every - time)


class Schedule:
    """Calls *on_due* at every slot later than *after*, each slot exactly once and none twice.

    A slot whose time passes while the process cannot run is handed over with the next one. What the wall clock shows
    is of no account. When *clock* itself is corrected backwards by more than a slot, slots are due again from then on:
    those that were called had been given the wrong time.
    """

    def __init__(self, every: timedelta, after: datetime, on_due: OnDue, clock: Callable[[], datetime]) -> None:
        self._every = every
        self._after = after
        self._on_due = on_due
        self._clock = clock
        self._trigger = _NextSlot(every, clock)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # Late runs must never be dropped by the scheduler: it would not say so in any row.
        job = self._scheduler.add_job(
            self._fire, self._trigger, misfire_grace_time=None, coalesce=True, max_instances=2
        )
        self._scheduler.add_listener(lambda event: self._fail(event.exception), EVENT_JOB_ERROR)
        self._scheduler.start()
        await self._fire()
        self._looking = asyncio.create_task(self._look_after(job), name="look at the schedule")
        self._looking.add_done_callback(lambda task: None if task.cancelled() else self._fail(task.exception()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scheduler.shutdown(wait=False)
        self._failed.cancel()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def failed(self) -> None:
        """Wait for ever, or raise what *on_due* raised."""
        await asyncio.shield(self._failed)

    async def _fire(self) -> None:
        """Call for what is due; may be called at any time, and however often."""
        now = self._clock()
        if now + self._every < self._after:
            self._after = slot_at(now, self._every)
        due = list(slots_between(self._after, now, self._every))
        if due:
            self._after = due[-1]
            self._on_due(due)

    def _fail(self, error: BaseException | None) -> None:
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _look_after(self, job: Job) -> None:
        while True:
            await asyncio.sleep(LOOK.total_seconds())
            await self._fire()
            due = self._trigger.get_next_fire_time(None, datetime.now(UTC))
            if abs(due - job.next_run_time) > _OFF:
                job.modify(next_run_time=due)
