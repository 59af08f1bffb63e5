"""The pulse of the event loop: how late it is, whether something held it up, and whether the whole process stood still.

A process that was stopped (SIGSTOP, a frozen container) or whose machine slept knows nothing of it. But its own clock
of elapsed time shows it, which goes on while the machine sleeps: the next beat comes much too late.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from recorder.process.clock import steady

BEAT = 0.25
"""Seconds between two beats."""
BLOCKED = timedelta(seconds=1)
"""A loop that was held up for longer is told of in the log."""
ASLEEP = timedelta(seconds=5)
"""After so long without a beat every connection is suspect: the other side may have given it up."""

_log = logging.getLogger(__name__)


class Pulse:
    """Beats for ever, and calls *awoke* after the process stood still, with the time from which it did.

    Attributes:
        lag: Seconds by which the last beat was late.
    """

    def __init__(self, awoke: Callable[[datetime], Awaitable[None]], clock: Callable[[], datetime]) -> None:
        self._awoke = awoke
        self._clock = clock
        self.lag = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        before = steady()
        while True:
            await asyncio.sleep(BEAT)
            now = steady()
            await self.note(timedelta(seconds=now - before), self._clock())
            before = steady()

    async def note(self, since_last: timedelta, now: datetime) -> None:
        """Take in a beat so long after the one before it."""
        late = since_last - timedelta(seconds=BEAT)
        self.lag = max(0.0, late.total_seconds())
        if late >= ASLEEP:
            why = "the process was stopped, the machine slept, or the event loop was blocked"
            _log.warning("nothing ran for %.1f s: %s", self.lag, why)
            await self._awoke(now - since_last)
        elif late >= BLOCKED:
            _log.warning("the event loop was blocked for %.1f s", self.lag)
