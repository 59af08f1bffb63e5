"""The schedule: calls once for every slot, and tells which slots passed without a call."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from recorder.domain.slot import slots_between

OnDue = Callable[[Sequence[datetime]], None]
"""Takes the slots that are due, oldest first: the last one is due now, those before it were missed."""


class Schedule:
    """Calls *on_due* at every slot later than *after*, each slot exactly once and none twice.

    A slot whose time passes while the process cannot run (the machine slept, the clock was set forward) is handed
    over with the next one. When the clock is set back, nothing is due until it has caught up.
    """

    def __init__(self, every: timedelta, after: datetime, on_due: OnDue) -> None:
        self._every = every
        self._after = after
        self._on_due = on_due
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    async def __aenter__(self) -> Self:
        # Late runs must never be dropped by the scheduler: it would not say so in any row.
        self._scheduler.add_job(
            self._fire,
            IntervalTrigger(
                seconds=self._every.total_seconds(),
                start_date=next(slots_between(self._after, self._after + self._every, self._every)),
                timezone=UTC,
            ),
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )
        self._scheduler.add_listener(self._note_failure, EVENT_JOB_ERROR)
        self._scheduler.start()
        await self._fire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scheduler.shutdown(wait=False)
        self._failed.cancel()

    async def failed(self) -> None:
        """Wait for ever, or raise what *on_due* raised."""
        await asyncio.shield(self._failed)

    async def _fire(self) -> None:
        due = list(slots_between(self._after, datetime.now(UTC), self._every))
        if due:
            self._after = due[-1]
            self._on_due(due)

    def _note_failure(self, event: JobExecutionEvent) -> None:
        if not self._failed.done():
            self._failed.set_exception(event.exception)
