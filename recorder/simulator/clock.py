"""The exchange's clock, and its way of writing times."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def epoch_ms(moment: datetime) -> int:
    """Return *moment*, which must be aware, in whole milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def utc_now() -> datetime:
    return datetime.now(UTC)


class Clock:
    """Real time, or real time moved by ``off``.

    Attributes:
        off: How far the exchange's clock is ahead of the true time; negative when it is behind. May be changed while
            the exchange is running.
        true_time: What the clock would show with ``off`` at zero.
    """

    def __init__(self, true_time: Callable[[], datetime] = utc_now) -> None:
        self.true_time = true_time
        self.off = timedelta(0)

    def now(self) -> datetime:
        return self.true_time() + self.off
