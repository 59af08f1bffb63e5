from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from recorder.binance.clock import ClockSample, ExchangeClock

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Machine:
    """A machine's two clocks, set by hand."""

    def __init__(self) -> None:
        self.wall = NOON
        self.steady = 1000.0
        self.clock = ExchangeClock(lambda: self.wall, lambda: self.steady)

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds


def test_before_a_measurement_it_shows_this_machines_time() -> None:
    machine = Machine()
    machine.pass_time(5)
    assert machine.clock.now() == NOON + timedelta(seconds=5)
    assert machine.clock.offset is None
    assert not machine.clock.is_fresh(600)


def test_the_shortest_round_trip_counts() -> None:
    machine = Machine()
    exact = ClockSample(999.0, 999.2, NOON + timedelta(seconds=89.1))
    machine.clock.adjust([ClockSample(995.0, 998.0, NOON), exact, ClockSample(999.2, 999.9, NOON)])
    assert machine.clock.now() == NOON + timedelta(seconds=90)
    assert machine.clock.offset == timedelta(seconds=90)
    assert abs((machine.clock.uncertainty or timedelta()) - timedelta(seconds=0.1)) < timedelta(microseconds=2)


def test_a_step_of_the_wall_clock_moves_the_offset_and_not_exchange_time() -> None:
    machine = Machine()
    machine.clock.adjust([ClockSample(1000.0, 1000.0, NOON)])
    machine.pass_time(10)
    machine.wall -= timedelta(hours=1)
    assert machine.clock.now() == NOON + timedelta(seconds=10)
    assert machine.clock.offset == timedelta(hours=1)


def test_times_are_converted_both_ways() -> None:
    machine = Machine()
    machine.clock.adjust([ClockSample(1000.0, 1000.0, NOON + timedelta(minutes=3))])
    assert machine.clock.local(NOON + timedelta(minutes=3)) == NOON
    assert machine.clock.exchange(NOON) == NOON + timedelta(minutes=3)
    assert machine.clock.wall_at(998.5) == NOON - timedelta(seconds=1.5)


def test_a_measurement_grows_old() -> None:
    machine = Machine()
    machine.clock.adjust([ClockSample(1000.0, 1000.0, NOON)])
    machine.pass_time(599)
    assert machine.clock.is_fresh(600)
    machine.pass_time(2)
    assert not machine.clock.is_fresh(600)


@given(st.floats(0, 2), st.floats(0, 2), st.integers(-3600, 3600))
def test_the_error_is_never_larger_than_the_uncertainty(there: float, back: float, ahead: int) -> None:
    machine = Machine()
    sent = machine.steady
    machine.pass_time(there)
    reading = machine.wall + timedelta(seconds=ahead)
    machine.pass_time(back)
    machine.clock.adjust([ClockSample(sent, machine.steady, reading)])
    error = machine.clock.now() - (machine.wall + timedelta(seconds=ahead))
    assert abs(error) <= (machine.clock.uncertainty or timedelta()) + timedelta(microseconds=5)
