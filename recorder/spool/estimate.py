"""How long a spool lasts without a database; measured with ``python -m tests.benchmarks.spool``."""

from datetime import timedelta

SNAPSHOT_BYTES = 150
ROW_BYTES = 135
EVENT_BYTES = 600

ROWS = 20
"""Positions of an account, where nothing better is known."""


def lasts(limit: int, *, accounts: int, every: timedelta, events_per_second: float) -> timedelta:
    """Return how long *limit* bytes take all that *accounts* yield, with so many events a second from each of them.

    Snapshots are let go a sixteenth earlier, so that there is room for events.
    """
    snapshots = (SNAPSHOT_BYTES + ROWS * ROW_BYTES) / every.total_seconds()
    return timedelta(seconds=limit * 15 / 16 / (max(accounts, 1) * (snapshots + events_per_second * EVENT_BYTES)))
