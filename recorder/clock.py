"""Clocks: what this machine shows, and a counter that nobody can set."""

import time
from datetime import UTC, datetime


def wall_clock() -> datetime:
    """Return what this machine's clock shows, right or wrong."""
    return datetime.now(UTC)


def steady() -> float:
    """Return the seconds since some moment in the past, those in which the machine slept included where it tells."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
