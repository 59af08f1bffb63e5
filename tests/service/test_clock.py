"""Clocks that are wrong, or that somebody sets: the exchange's, and this machine's."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from recorder.process.clock import steady
from recorder.simulator.exchange import Simulator
from tests.service.running import Start, load_settings, running
from tests.service.tables import EVERY, Tables

CLOSE = timedelta(milliseconds=100)  # of the measured clock; when the answer was sent, only the request knows
RIGHT = 50  # milliseconds
TWO = timedelta(seconds=2)


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_slots_and_moments_are_of_the_exchanges_clock_however_far_off_this_machines_is(
    exchange: Simulator, tables: Tables, database: str, tmp_path: Path, minutes: int
) -> None:
    exchange.clock.off = timedelta(minutes=minutes)
    async with running(load_settings(tmp_path, exchange, database)):
        await tables.first("main", "ok")
    rows = await tables.snapshots("main")
    assert all(row.ok for row in rows)
    assert len(rows) == len(exchange.traffic.answers_of("main"))
    for row, answer in zip(rows, exchange.traffic.answers_of("main"), strict=True):
        assert abs(row.taken_at - (answer.sent_at + exchange.clock.off)) < row.duration / 2 + CLOSE
        assert row.time - CLOSE <= answer.sent_at + exchange.clock.off < row.time + EVERY
    assert rows[-1].time.microsecond == 0


async def test_an_exchange_whose_clock_jumps_while_recording_costs_no_slot(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        first = await tables.first("hedge", "ok")
        for minutes in (5, -5):
            exchange.clock.off = timedelta(minutes=minutes)
            first = await tables.first("hedge", "ok", after=first.time)
            assert abs(first.taken_at - exchange.clock.off - first.time) < EVERY
    assert all(row.ok for row in await tables.snapshots())


async def test_a_step_of_this_machines_clock_makes_no_slot_wrong_and_none_double_and_its_offset_is_known(
    exchange: Simulator, tables: Tables, database: str, tmp_path: Path
) -> None:
    began, at = datetime.now(UTC), steady()
    exchange.clock.true_time = lambda: began + timedelta(seconds=steady() - at)  # which nobody sets
    with time_machine.travel(began, tick=True) as machine:
        async with running(load_settings(tmp_path, exchange, database, every="2s", timeout="1500ms")):
            last = await tables.first("hedge", "ok")
            for step in (-90, 3600, -3510 - 86_400):
                machine.shift(step)
                asked = len(exchange.traffic.requests_of("hedge"))
                after = await tables.first("hedge", "ok", after=last.time + TWO)
                assert after.time <= exchange.clock.now()
                # a slot may have begun before the step, and a request may be repeated: but no storm
                assert len(exchange.traffic.requests_of("hedge")) - asked <= 2 * ((after.time - last.time) // TWO + 1)
                offset = exchange.clock.now() - datetime.now(UTC)
                stored = await tables.clock_offset_ms("hedge", after.time)
                assert abs(stored - offset / timedelta(milliseconds=1)) <= RIGHT
                last = after
    for account in ("main", "hedge"):
        rows = await tables.snapshots(account)
        assert all(row.ok for row in rows)
        slots = [row.time for row in rows if row.kind == "slot"]
        assert slots == [slots[0] + number * TWO for number in range(len(slots))]
        for row, answer in zip(rows, exchange.traffic.answers_of(account), strict=True):
            assert abs(row.taken_at - answer.sent_at) < CLOSE
            assert row.time - CLOSE <= answer.sent_at < row.time + TWO


async def test_a_wall_clock_that_is_wrong_from_the_start_makes_no_slot_wrong(
    exchange: Simulator, tables: Tables, database: str, tmp_path: Path
) -> None:
    began, at = datetime.now(UTC), steady()
    exchange.clock.true_time = lambda: began + timedelta(seconds=steady() - at)
    with time_machine.travel(began - timedelta(hours=1), tick=True):
        async with running(load_settings(tmp_path, exchange, database)):
            await tables.first("hedge", "ok")
    assert all(abs(row.time - began) < timedelta(minutes=1) for row in await tables.snapshots())
    assert await tables.gaps() == []
