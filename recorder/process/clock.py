"""The service's clock: exchange time once it was measured, carried on by a counter that nobody can set.

This machine's wall clock may never have been right, and may be set at any moment: no slot, age or coverage depends on
it once the exchange's clock is known.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

STEP = timedelta(seconds=1)
"""A measurement that is farther from the time known so far is no correction: a clock was set, or stood still."""

log = logging.getLogger(__name__)


def wall_clock() -> datetime:
    """Return what this machine's clock shows, right or wrong."""
    return datetime.now(UTC)


def steady() -> float:
    """Return the seconds since some moment in the past, those in which the machine slept included where it tells."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Clock:
    """What the time is, for everything that the service decides.

    Until the first measurement it goes on from this machine's time at the start. Afterwards it shows exchange time.
    A small correction is taken over as it is measured. A large one is believed when it is the first, or when the wall
    clock has moved by as much: then the machine stood still without knowing. Otherwise it is the exchange's clock that
    was set, and this one goes on as before. A step of the wall clock alone moves nothing.
    """

    def __init__(self, wall: Callable[[], datetime] = wall_clock, steady: Callable[[], float] = steady) -> None:
        self._wall = wall
        self._steady = steady
        self._set(wall())
        self._is_measured = False
        self._is_doubted = False

    def now(self) -> datetime:
        """Return the time, aware UTC."""
        return self._reading + timedelta(seconds=self._steady() - self._at)

    def measured(self, exchange_time: datetime) -> None:
        """Take over what the exchange's clock shows at this moment, if it can be believed."""
        step = exchange_time - self.now()
        is_believed = abs(step) <= STEP or not self._is_measured or abs(step - self._wall_moved()) <= STEP
        if is_believed:
            if abs(step) > STEP:
                log.warning("the time is corrected by %+.1f s, to the exchange's", step.total_seconds())
            self._set(exchange_time)
            self._is_measured = True
        elif not self._is_doubted:
            what = "the exchange's clock was set by %+.1f s and this machine's was not: slots go on as before"
            log.warning(what, step.total_seconds())
        self._is_doubted = not is_believed

    def _set(self, reading: datetime) -> None:
        self._at = self._steady()
        self._reading = reading
        self._wall_then = self._wall()

    def _wall_moved(self) -> timedelta:
        """How much the wall clock was set since the last correction."""
        return self._wall() - self._wall_then - timedelta(seconds=self._steady() - self._at)
