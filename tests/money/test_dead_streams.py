"""A stream that tells nothing is found out, and the time in which it told nothing is a gap."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from recorder.simulator.knobs import Late, Silence
from recorder.simulator.scenario import Scenario
from recorder.simulator.trader import Habits
from recorder.simulator.world import World
from tests.money.conftest import At
from tests.money.recorder_at_work import RecorderAtWork

GAPS = "SELECT reason, started_at, ended_at FROM bi.gap WHERE source = 'stream' ORDER BY started_at"
CLOSED = "SELECT count(*) = :gaps AND bool_and(ended_at IS NOT NULL) FROM bi.gap WHERE source = 'stream'"
LOOKED_AGAIN = """
    SELECT s."time" - g.ended_at FROM recorder.gap g
    CROSS JOIN LATERAL (
      SELECT s."time" FROM recorder.snapshot s
      WHERE s.account_id = g.account_id AND s.kind = 'reconnect' AND s.outcome = 'ok'
        AND s."time" >= g.ended_at - interval '1 s'
      ORDER BY s."time" LIMIT 1
    ) AS s
    WHERE g.source = 'stream'
"""
RECONNECTED = "SELECT count(*) >= :gaps FROM recorder.snapshot WHERE kind = 'reconnect' AND outcome = 'ok'"
TOLD = "SELECT count(*) = 1 FROM bi.fill WHERE time = :time"  # a back-fill may bring earlier ones as well
SOON = timedelta(seconds=1)


@pytest.fixture
def world() -> World:
    """One account that holds positions and does nothing by itself."""
    scenario = Scenario(accounts=1, habits=Habits(pause=timedelta(days=36_500)))
    return scenario.world(2, datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1))


def trade(recorder: RecorderAtWork, quantity: str = "0.1") -> datetime:
    now = recorder.exchange.clock.now()
    time = now.replace(microsecond=now.microsecond // 1000 * 1000)
    account = recorder.exchange.world.accounts["main"]
    account.fill("BTCUSDT", "BOTH", Decimal(quantity), Decimal(60_000), time=time)
    return time


async def is_listened_to_again(recorder: RecorderAtWork, gaps: int) -> None:
    """Wait until *gaps* are over, a snapshot was taken after each, and the stream tells what happens."""
    await recorder.until(CLOSED, gaps=gaps)
    await recorder.until(RECONNECTED, gaps=gaps)
    assert all(-SOON <= after < SOON for (after,) in await recorder.rows(LOOKED_AGAIN))
    time = trade(recorder)
    await recorder.until(TOLD, time=time)


async def test_a_silent_stream_is_found_out_by_a_snapshot(recorder_at: At, world: World) -> None:
    async with recorder_at(world) as recorder, recorder.recording(every="1s", ledger="1s"):
        last_told = trade(recorder)
        await recorder.until(TOLD, time=last_told)
        recorder.exchange.knobs.on_event(Silence(), times=None)
        silent = trade(recorder)
        await recorder.until("SELECT count(*) > 0 FROM bi.gap")
        recorder.exchange.knobs.clear()
        await is_listened_to_again(recorder, gaps=1)
        ((reason, started, ended),) = await recorder.rows(GAPS)
        changed = await recorder.rows(
            "SELECT source FROM bi.position_history WHERE symbol = 'BTCUSDT' AND update_time = :at", at=silent
        )
        state = await recorder.value("SELECT stream_state FROM bi.freshness")

    assert reason == "silent"
    assert last_told - SOON < started <= silent < ended
    assert changed == [("snapshot",)]
    assert state == "connected"


async def test_a_quiet_account_is_no_dead_stream(recorder_at: At, world: World) -> None:
    async with recorder_at(world) as recorder, recorder.recording(every="1s"):
        await recorder.until("SELECT count(*) > 4 FROM recorder.snapshot WHERE kind = 'slot'")
        assert await recorder.rows(GAPS) == []


async def test_a_dropped_stream_is_one_gap(recorder_at: At, world: World) -> None:
    async with recorder_at(world) as recorder, recorder.recording(every="1h"):
        dropped = recorder.exchange.clock.now()
        assert recorder.exchange.drop_streams() == 1
        await is_listened_to_again(recorder, gaps=1)
        ((reason, started, ended),) = await recorder.rows(GAPS)

    assert reason == "connection_lost"
    assert started <= dropped + SOON
    assert dropped < ended


@pytest.mark.parametrize("times", [1, 2])
async def test_a_listen_key_that_expires_is_one_gap_each_time(recorder_at: At, world: World, times: int) -> None:
    async with recorder_at(world) as recorder, recorder.recording(every="1h"):
        for number in range(1, times + 1):
            recorder.exchange.expire_listen_key("main")
            await is_listened_to_again(recorder, gaps=number)
        gaps = await recorder.rows(GAPS)

    assert [reason for reason, *_ in gaps] == ["listen_key_expired"] * times
    assert all(before[2] <= after[1] for before, after in pairwise(gaps))


async def test_a_stream_that_comes_back_while_the_service_stops_does_not_hide_the_slots_that_nobody_answers(
    recorder_at: At, world: World
) -> None:
    async with recorder_at(world) as recorder:
        exchange = recorder.exchange
        async with recorder.recording(every="3s"):
            exchange.knobs.on_request(Late(timedelta(seconds=1.2)), times=None)  # what a stop waits for
            asked = len(exchange.traffic.requests)
            while len(exchange.traffic.requests) == asked:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)
            connections = len(exchange.traffic.streams)
            assert exchange.drop_streams() == 1
        came_back = len(exchange.traffic.streams) > connections
        newest = await recorder.rows("SELECT kind FROM recorder.snapshot ORDER BY time DESC LIMIT 1")

    assert came_back
    assert newest == [("slot",)]


async def test_what_happened_while_the_service_was_stopped_is_a_gap_that_the_ledgers_repair(
    recorder_at: At, world: World
) -> None:
    async with recorder_at(world) as recorder:
        async with recorder.recording(every="1s"):
            stopping = recorder.exchange.clock.now()
        missed = trade(recorder)
        await asyncio.sleep(2.5)  # slots that nobody sees
        async with recorder.recording(every="1s", ledger="1s"):
            await recorder.until("SELECT count(*) = 1 FROM bi.fill WHERE time = :missed", missed=missed)
            await recorder.until(CLOSED, gaps=1)
            ((reason, started, ended),) = await recorder.rows(GAPS)
            snapshots = await recorder.rows("SELECT reason FROM bi.gap WHERE source = 'snapshot'")

    assert snapshots == [("stopped",)]
    assert reason == "stopped"
    assert stopping - SOON < started <= missed < ended
