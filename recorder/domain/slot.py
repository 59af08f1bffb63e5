"""Slots: the due times of the schedule, aligned to UTC midnight."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def divides_a_day(every: timedelta) -> bool:
    """Whether slots of this width fall on the same times every day."""
    return timedelta(0) < every <= DAY and DAY % every == timedelta(0)


def slot_at(now: datetime, every: timedelta) -> datetime:
    """Return the latest due time not after *now*. *every* must divide a day, so that midnight is always due."""
    return now - (now - EPOCH) % every


def slots_between(after: datetime, until: datetime, every: timedelta) -> Iterator[datetime]:
    """Yield each due time later than *after* and not later than *until*, oldest first."""
    due = slot_at(after, every) + every
    while due <= until:
        yield due
        due += every
