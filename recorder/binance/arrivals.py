"""Arrivals: when the messages of one account came in, and in which order."""

from datetime import datetime, timedelta
from itertools import count

from recorder.binance.clock import ExchangeClock
from recorder.domain.event import Arrival

_INSTANT = timedelta(microseconds=1)
_JITTER = timedelta(seconds=1)


class Arrivals:
    """Counts up, in numbers and in exchange time: between events of one millisecond their order is all there is.

    Two clocks are read one after the other, and the process may have to wait in between: so a later message may seem to
    have come in a little earlier. It is dated right after the one before it.
    """

    def __init__(self, clock: ExchangeClock) -> None:
        self._clock = clock
        self._numbers = count(1)
        self._latest: datetime | None = None

    def arrived(self, received: float) -> Arrival:
        """Return the arrival of a message that came in at that moment of the steady clock, after all before it."""
        offset = self._clock.offset
        received_at = self._clock.wall_at(received)
        if self._latest is not None:
            behind = self._latest - (received_at + (offset or timedelta(0)))
            if timedelta(0) <= behind < _JITTER:  # by more only when a clock was corrected
                received_at += behind + _INSTANT
        arrival = Arrival(number=next(self._numbers), received_at=received_at, clock_offset=offset)
        self._latest = arrival.exchange_time
        return arrival
