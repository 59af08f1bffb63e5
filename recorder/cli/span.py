"""Ranges of time and the buckets of the calendar, in UTC, that they fall into."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Unit(StrEnum):
    """A bucket of the calendar, in UTC."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range of time: *since* is in it, *until* is not."""

    since: datetime
    until: datetime


def span_of(since: datetime | None, by: Unit) -> Span:
    """Return the range from *since* until now; without it, the usual number of whole buckets and the present one."""
    now = datetime.now(UTC)
    if since is None:
        this = beginning(now, by)
        match by:
            case Unit.HOUR:
                since = this - timedelta(days=2)
            case Unit.DAY:
                since = this - timedelta(days=30)
            case Unit.MONTH:
                since = this.replace(year=this.year - 1)
    return Span(since=since, until=now)


def beginning(time: datetime, by: Unit) -> datetime:
    """Return when the bucket of *time* begins."""
    hour = time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    match by:
        case Unit.HOUR:
            return hour
        case Unit.DAY:
            return hour.replace(hour=0)
        case Unit.MONTH:
            return hour.replace(day=1, hour=0)
