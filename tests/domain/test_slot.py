from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.domain.slot import divides_a_day, slot_at, slots_between

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

instants = st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
widths = st.sampled_from([timedelta(seconds=seconds) for seconds in (0.25, 1, 7.5, 10, 60, 300, 3600, 86_400)])


@given(instants, widths)
def test_a_slot_is_the_latest_due_time_not_after_now(now: datetime, every: timedelta) -> None:
    due = slot_at(now, every)
    assert due <= now < due + every


@given(instants, widths)
def test_midnight_utc_is_always_a_slot(now: datetime, every: timedelta) -> None:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    assert slot_at(midnight, every) == midnight


@given(instants, widths, st.integers(0, 50))
def test_every_due_time_between_is_yielded_once(after: datetime, every: timedelta, count: int) -> None:
    slots = list(slots_between(after, slot_at(after, every) + count * every, every))
    assert len(slots) == count
    assert all(slot_at(slot, every) == slot and slot > after for slot in slots)
    assert slots == sorted(set(slots))


def test_the_slot_that_is_due_right_now_counts_as_due() -> None:
    assert list(slots_between(NOON - MINUTE, NOON, MINUTE)) == [NOON]
    assert list(slots_between(NOON, NOON, MINUTE)) == []


@pytest.mark.parametrize(
    ("every", "fits"),
    [(timedelta(seconds=60), True), (timedelta(seconds=7), False), (timedelta(0), False), (timedelta(days=2), False)],
)
def test_only_a_width_that_divides_a_day_is_a_schedule(every: timedelta, fits: bool) -> None:
    assert divides_a_day(every) is fits
