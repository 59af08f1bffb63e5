from datetime import UTC, datetime, timedelta

import pytest

from recorder.simulator.clock import epoch_ms
from recorder.simulator.errors import ApiError
from recorder.simulator.weight import WeightMeter

NOON = datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)
NEXT_MINUTE = datetime(2026, 3, 1, 12, 1, tzinfo=UTC)


def refused(meter: WeightMeter, now: datetime, weight: int = 5) -> ApiError:
    with pytest.raises(ApiError) as caught:
        meter.charge(weight, now)
    assert caught.value.code == -1003
    return caught.value


def test_weight_is_counted_per_calendar_minute() -> None:
    meter = WeightMeter(limit=100)
    meter.charge(60, NOON)
    meter.charge(40, NOON + timedelta(seconds=39))
    assert meter.count == 100
    meter.charge(5, NEXT_MINUTE)
    assert meter.count == 5


def test_beyond_the_limit_the_answer_is_429_until_the_next_minute() -> None:
    meter = WeightMeter(limit=100)
    meter.charge(100, NOON)
    error = refused(meter, NOON)
    assert error.status == 429
    assert error.data == {"serverTime": epoch_ms(NOON), "retryAfter": epoch_ms(NEXT_MINUTE)}
    meter.charge(5, NEXT_MINUTE)


def test_whoever_goes_on_is_banned_and_longer_each_time() -> None:
    meter = WeightMeter(limit=100, patience=3)
    meter.charge(100, NOON)
    assert [refused(meter, NOON).status for _ in range(4)] == [429, 429, 429, 418]
    until = NOON + timedelta(minutes=2)
    assert f"IP(127.0.0.1) banned until {epoch_ms(until)}." in refused(meter, until - timedelta(milliseconds=1)).msg
    meter.charge(95, until)
    again = until + timedelta(seconds=1)
    assert [refused(meter, again).status for _ in range(4)] == [429, 429, 429, 418]
    assert refused(meter, again + timedelta(minutes=4) - timedelta(milliseconds=1)).status == 418
    meter.charge(5, again + timedelta(minutes=4))


def test_a_refusal_can_be_had_without_cause() -> None:
    meter = WeightMeter(limit=100)
    meter.refuse(418, NOON + timedelta(seconds=3))
    assert refused(meter, NOON).status == 418
    assert meter.refusal(NOON + timedelta(seconds=3)) is None
    meter.charge(5, NOON + timedelta(seconds=3))
