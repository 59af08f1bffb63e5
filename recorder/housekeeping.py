"""Housekeeping: what the tables need besides what is observed: partitions, and gaps that nobody else ends."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.exceptions import StorageError
from recorder.postgres.beginnings import own_up_for_earlier
from recorder.postgres.engine import storage_errors
from recorder.postgres.gaps import last_watched, open_gaps
from recorder.postgres.samples import prepare_partitions
from recorder.postgres.schedules import write_schedule
from recorder.recording import Recording
from recorder.watching.duty import Duty

AHEAD = timedelta(days=62)
"""Partitions are made this far ahead of need."""

_PREPARE = timedelta(hours=6)
_TIDY = timedelta(minutes=1)
_TRY_AGAIN = timedelta(seconds=1)

log = logging.getLogger(__name__)


class Housekeeping:
    """Prepares partitions, and lets each duty own up to what nobody covered before it."""

    def __init__(
        self,
        engine: AsyncEngine,
        recording: Recording,
        duties: Mapping[str, Duty],
        *,
        every: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        """*duties* are those of the moment, by account; their slots are due *every* so often by *clock*."""
        self._engine = engine
        self._recording = recording
        self._every = every
        self._clock = clock
        self._duties = duties
        self._strange: set[str] = set()
        self._wanted = asyncio.Event()
        self._prepared: datetime | None = None

    def begun(self, accounts: Iterable[str]) -> None:
        """Have the duties for *accounts*, which just began, own up as soon as PostgreSQL is there."""
        self._strange |= set(accounts)
        self._wanted.set()

    async def run(self) -> None:
        """Keep house until cancelled."""
        while True:
            self._wanted.clear()
            pause = _TIDY
            try:
                await self._prepare(self._clock())
                await self._own_up()
            except StorageError as error:
                log.debug("housekeeping waits: %s; %s", error.what, error.why)
                pause = _TRY_AGAIN
            with suppress(TimeoutError):
                async with asyncio.timeout(pause.total_seconds()):
                    await self._wanted.wait()

    async def _prepare(self, now: datetime) -> None:
        if self._prepared is None or now - self._prepared >= _PREPARE:
            await prepare_partitions(self._engine, now, now + AHEAD)
            self._prepared = now

    async def _own_up(self) -> None:
        duties = dict(self._duties)
        strange = {name: duties[name].beginning for name in self._strange & duties.keys()}
        if strange:
            await self._recording.inherited_is_committed()  # or what waits in the spool would look unwatched
        with storage_errors():
            async with self._engine.begin() as connection:
                await own_up_for_earlier(connection, list(strange.values()), self._every)
                last = await last_watched(connection, list(strange.values()))
                for name, beginning in strange.items():
                    await write_schedule(connection, [name], beginning.since, self._every)
                gaps = await open_gaps(connection, duties)
        for name, duty in duties.items():
            left = [gap for gap in gaps if gap.account == name]
            if self._duties.get(name) is not duty:
                continue  # it ended meanwhile
            if name in strange:
                duty.own_up(last.get(name), left)
                self._strange.discard(name)
            else:
                duty.take_over(left)
