"""Messages are told apart by when they came in, whatever the clocks do."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from recorder.binance.arrivals import Arrivals
from recorder.binance.clock import ClockSample, ExchangeClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_later_message_is_dated_later_though_the_clocks_are_read_unevenly() -> None:
    readings: Iterator[int] = iter([0, 0, 3, 0, 900, 1, 0, 40, 2, 0, 7, 0, *[0] * 40])
    clock = ExchangeClock(wall=lambda: NOON + timedelta(milliseconds=next(readings)), steady=lambda: 100.0)
    clock.adjust([ClockSample(sent=100.0, received=100.0, server_time=NOON)])
    arrivals = Arrivals(clock)

    came = [arrivals.arrived(100.0) for _ in range(12)]

    assert all(before.exchange_time < after.exchange_time for before, after in pairwise(came))
    assert [arrival.number for arrival in came] == list(range(1, 13))


def test_a_clock_that_is_set_back_is_followed() -> None:
    time = NOON
    clock = ExchangeClock(wall=lambda: time, steady=lambda: 100.0)
    arrivals = Arrivals(clock)
    before = arrivals.arrived(100.0)
    time -= timedelta(minutes=5)
    assert arrivals.arrived(100.0).exchange_time == before.exchange_time - timedelta(minutes=5)
