from datetime import UTC, datetime, timedelta, timezone

from recorder.simulator.clock import Clock, epoch_ms

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_milliseconds_are_counted_from_1970_in_utc() -> None:
    moment = datetime(1970, 1, 1, 2, 0, 1, 234_567, tzinfo=timezone(timedelta(hours=2)))
    assert epoch_ms(moment) == 1_234


def test_a_clock_that_is_off_still_knows_the_true_time() -> None:
    clock = Clock(lambda: NOON)
    clock.off = timedelta(minutes=-3)
    assert clock.now() == NOON - timedelta(minutes=3)
    assert clock.true_time() == NOON
