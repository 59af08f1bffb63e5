import time
from datetime import UTC, datetime, timedelta

from recorder.process.clock import Clock, steady

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NTP = timedelta(milliseconds=40)
HOUR = timedelta(hours=1)


class Machine:
    """A machine's clocks, set by hand. The exchange's shows the true time."""

    def __init__(self, *, wall_off: timedelta = timedelta(0)) -> None:
        self.true = NOON
        self.wall = NOON + wall_off
        self.steady = 1000.0
        self.clock = Clock(lambda: self.wall, lambda: self.steady)

    def pass_time(self, seconds: float) -> None:
        self.true += timedelta(seconds=seconds)
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds

    def measure(self) -> None:
        self.clock.measured(self.true)


def test_before_a_measurement_it_goes_on_from_this_machines_time() -> None:
    machine = Machine(wall_off=HOUR)
    machine.pass_time(5)
    machine.wall -= HOUR
    assert machine.clock.now() == NOON + HOUR + timedelta(seconds=5)


def test_the_first_measurement_is_believed_however_far_off_this_machine_is() -> None:
    machine = Machine(wall_off=-HOUR)
    machine.pass_time(5)
    machine.measure()
    assert machine.clock.now() == machine.true


def test_a_step_of_the_wall_clock_moves_nothing_before_or_after_the_next_measurement() -> None:
    machine = Machine()
    machine.measure()
    for step in (-timedelta(seconds=90), HOUR, timedelta(days=-400)):
        machine.wall += step
        machine.pass_time(10)
        assert machine.clock.now() == machine.true
        machine.measure()
        assert machine.clock.now() == machine.true


def test_a_drift_is_taken_over_as_it_is_measured() -> None:
    machine = Machine()
    machine.measure()
    for _ in range(100):
        machine.pass_time(600)
        machine.true += NTP
        machine.measure()
        assert machine.clock.now() == machine.true


def test_an_exchange_that_sets_its_clock_moves_nothing_here() -> None:
    machine = Machine()
    machine.measure()
    machine.pass_time(600)
    for _ in range(3):
        machine.clock.measured(machine.true + timedelta(minutes=5))
        assert machine.clock.now() == machine.true
    machine.true += NTP
    machine.measure()
    assert machine.clock.now() == machine.true


def test_time_in_which_the_machine_stood_still_unknowingly_is_caught_up_with() -> None:
    machine = Machine(wall_off=timedelta(minutes=3))
    machine.measure()
    machine.pass_time(60)
    machine.true += HOUR  # a virtual machine that was halted: its counter did not go on, the host sets its wall clock
    machine.wall += HOUR
    machine.measure()
    assert machine.clock.now() == machine.true


def test_the_steady_clock_counts_as_seconds_do() -> None:
    began, at = steady(), time.monotonic()
    time.sleep(0.01)
    assert abs((steady() - began) - (time.monotonic() - at)) < 0.005
