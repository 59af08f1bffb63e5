"""Durations and time-outs."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.config.duration import format_duration, parse_duration
from recorder.config.problem import InvalidSetting
from recorder.config.sections import SnapshotSettings


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("10s", timedelta(seconds=10)),
        ("5m", timedelta(minutes=5)),
        ("1h", timedelta(hours=1)),
        ("30d", timedelta(days=30)),
    ],
)
def test_durations_are_whole_numbers_with_a_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert format_duration(duration) == text


@pytest.mark.parametrize(
    "text", ["", "10", "10 s", "-1s", "1.5s", "1h30m", "10S", "٣s", "0ms", "999999999999d", True, None]
)
def test_anything_else_is_no_duration(text: object) -> None:
    with pytest.raises(InvalidSetting):
        parse_duration(text)


@given(st.integers(1, 10**9))
def test_a_duration_is_read_back_as_it_was_written(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


def test_the_default_timeout_is_shorter_than_a_short_schedule() -> None:
    assert SnapshotSettings.model_validate({"every": "10s"}).timeout == timedelta(seconds=5)
    assert SnapshotSettings.model_validate({"every": "1h"}).timeout == timedelta(seconds=10)
