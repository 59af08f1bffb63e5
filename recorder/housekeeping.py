"""Housekeeping: what the tables need besides what is observed: gaps that nobody else tells of or ends, and partitions.

Neither waits for the other: each is a work of its own, and says by itself when it cannot be done.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.exceptions import StorageError
from recorder.postgres.beginnings import own_up_for_earlier
from recorder.postgres.engine import storage_errors
from recorder.postgres.gaps import last_watched, open_gaps
from recorder.postgres.partitions import AHEAD, SOON, make_partitions, missing_partitions
from recorder.postgres.schedules import write_schedule
from recorder.process.pausing import pause_after
from recorder.process.upkeep import Upkeep
from recorder.recording import Recording
from recorder.watching.duty import Duty

PAST_GAPS = "past gaps"
PARTITIONS = "partitions"
"""The tasks, by the names under which their failures are told of."""

_TIDY = timedelta(minutes=1)
_PREPARE = timedelta(hours=6)
_TRY_AGAIN = timedelta(seconds=1)
_LONGEST_PAUSE = 300.0  # seconds between tries to make partitions: each may hold up writers for a moment
_FIRST_PAUSES = 4  # doublings that are left out


class Housekeeping:
    """Lets each duty own up to what nobody covered before it, and end what others left open."""

    def __init__(
        self,
        engine: AsyncEngine,
        recording: Recording,
        duties: Mapping[str, Duty],
        *,
        every: timedelta,
        upkeep: Upkeep,
    ) -> None:
        """*duties* are those of the moment, by account; their slots are due *every* so often."""
        self._engine = engine
        self._recording = recording
        self._every = every
        self._upkeep = upkeep
        self._duties = duties
        self._strange: set[str] = set()
        self._wanted = asyncio.Event()

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
                await self._own_up()
            except StorageError as error:
                self._upkeep.failed(PAST_GAPS, error, is_urgent=bool(self._strange))
                pause = _TRY_AGAIN
            else:
                self._upkeep.done(PAST_GAPS)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause.total_seconds()):
                    await self._wanted.wait()

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


class Months:
    """Makes the partitions of the months to come, in time, and of rows that found none."""

    def __init__(self, engine: AsyncEngine, *, upkeep: Upkeep, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._upkeep = upkeep
        self._clock = clock

    async def run(self) -> None:
        """Look after them until cancelled. What fails is tried again, ever less often: there is time."""
        failures = 0
        while True:
            now, missing = self._clock(), []
            try:
                missing = await missing_partitions(self._engine, now, now + AHEAD, of_rows=True)
                await make_partitions(self._engine, missing)
            except StorageError as error:
                failures += 1
                is_urgent = any(partition.month <= now + SOON for partition in missing)
                self._upkeep.failed(PARTITIONS, error, is_urgent=is_urgent)
                pause = pause_after(failures + _FIRST_PAUSES, longest=_LONGEST_PAUSE)
            else:
                failures = 0
                self._upkeep.done(PARTITIONS)
                pause = _PREPARE.total_seconds()
            await asyncio.sleep(pause)
