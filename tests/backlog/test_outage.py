"""How long PostgreSQL is left alone, and how often it is spoken of."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from recorder.backlog.outage import Outage
from recorder.exceptions import StorageUnavailable

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
AWAY = StorageUnavailable("PostgreSQL cannot be used", why="connection refused", fix="start PostgreSQL")
DEADLOCK = StorageUnavailable("PostgreSQL cannot be used", why="deadlock", sqlstate="40P01")


@given(st.integers(6, 10**9))
def test_however_long_postgresql_is_away_the_next_try_is_at_most_two_seconds_off(attempt: int) -> None:
    assert 0 < Outage().failed(AWAY, attempt, waiting=0) <= 2


def test_a_first_failure_is_tried_again_at_once() -> None:
    assert Outage().failed(AWAY, 1, waiting=0) <= 0.2


def test_a_deadlock_is_tried_again_at_once_five_times_and_not_spoken_of_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outage = Outage()
    assert [outage.failed(DEADLOCK, attempt, waiting=1) for attempt in range(1, 6)] == [0] * 5
    assert outage.since is None
    assert not caplog.records
    assert outage.failed(DEADLOCK, 6, waiting=1) > 0
    assert outage.since is not None


def test_an_outage_is_one_line_at_its_beginning_one_a_minute_and_one_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage()
    with time_machine.travel(NOON, tick=False) as clock:
        for attempt in range(1, 181):
            outage.failed(AWAY, attempt, waiting=attempt)
            clock.shift(timedelta(seconds=1))
        outage.end(waiting=180)
        outage.end(waiting=0)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert "goes on into the spool" in lines[0]
    assert "60 s, 61 records wait" in lines[1]
    assert "back after 180 s, 180 records" in lines[3]
