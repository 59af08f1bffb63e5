"""An exchange whose clock is not this machine's."""

from datetime import timedelta

import pytest

from recorder.simulator.exchange import Simulator
from tests.service.running import Start
from tests.service.tables import EVERY, Tables

CLOSE = timedelta(milliseconds=100)  # of the measured clock; when the answer was sent, only the request knows


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_slots_are_of_the_own_clock_and_moments_of_the_exchanges_however_far_it_is_off(
    recorder: Start, exchange: Simulator, tables: Tables, minutes: int
) -> None:
    exchange.clock.off = timedelta(minutes=minutes)
    async with recorder():
        await tables.first("main", "ok")
    rows = await tables.snapshots("main")
    assert all(row.ok for row in rows)
    assert len(rows) == len(exchange.traffic.answers_of("main"))
    for row, answer in zip(rows, exchange.traffic.answers_of("main"), strict=True):
        assert abs(row.taken_at - (answer.sent_at + exchange.clock.off)) < row.duration / 2 + CLOSE
        assert row.time <= answer.sent_at < row.time + EVERY
    assert rows[-1].time.microsecond == 0


async def test_a_clock_that_jumps_while_recording_costs_no_slot(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        first = await tables.first("hedge", "ok")
        for minutes in (5, -5):
            exchange.clock.off = timedelta(minutes=minutes)
            first = await tables.first("hedge", "ok", after=first.time)
            assert abs(first.taken_at - exchange.clock.off - first.time) < EVERY
    assert all(row.ok for row in await tables.snapshots())
