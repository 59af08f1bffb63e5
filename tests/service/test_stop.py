"""Stopping: what is in hand is finished, and the service is gone in time."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recorder.service import FINISHING
from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Late, Silence
from tests.service.proxy import Proxy
from tests.service.running import GRACE, Start, load_settings, next_slot, running, sleep_until
from tests.service.tables import Tables


async def test_answers_that_are_on_their_way_at_a_stop_are_waited_for_and_committed(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    exchange.knobs.on_request(Late(timedelta(seconds=0.3)), times=None)
    async with recorder() as service:
        await _all_are_asked(exchange)
        assert len(exchange.traffic.answers_of("main")) == 0
        await service.finish()
    for account in ("main", "hedge"):
        rows = await tables.snapshots(account)
        assert rows != []
        assert all(row.ok and row.position_count == 3 for row in rows)


async def test_a_stop_while_the_exchange_is_silent_leaves_rows_that_say_so_and_ends_in_time(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    exchange.knobs.on_request(Silence(), times=None)
    async with recorder(every="20s", timeout="19s") as service:
        await _all_are_asked(exchange)
        asked = datetime.now(UTC)
        await service.finish()
        assert datetime.now(UTC) - asked < timedelta(seconds=GRACE)
    for account in ("main", "hedge"):
        (row,) = await tables.snapshots(account)
        assert row.outcome == "stopped"
        assert "stopped" in row.detail


async def test_a_stop_while_postgresql_is_away_ends_in_time_and_the_next_start_owns_up_to_what_was_lost(
    recorder: Start, exchange: Simulator, tables: Tables, proxy: Proxy, tmp_path: Path
) -> None:
    async with running(load_settings(tmp_path, exchange, proxy.url)) as first:
        await tables.first("hedge", "ok")
        proxy.cut()
        await next_slot()
        await _all_are_asked(exchange)
        await first.finish()
    async with recorder() as second:
        await tables.first("hedge", "ok", after=first.stopped_at)
        await tables.first("main", "ok", after=first.stopped_at)
    assert {gap.reason for gap in await tables.gaps()} == {"stopped"}
    assert len(await tables.gaps()) == 2
    await tables.assert_every_slot_is_answered(first.accounts, first.started_at, second.stopped_at)


async def test_what_waits_in_the_spool_at_a_stop_is_committed_by_the_next_start_and_is_no_part_of_the_gap(
    recorder: Start, exchange: Simulator, tables: Tables, proxy: Proxy, tmp_path: Path
) -> None:
    async with running(load_settings(tmp_path, exchange, proxy.url)) as first:
        await tables.first("hedge", "ok")
        await tables.first("main", "ok")
        proxy.cut()
        before = datetime.now(UTC)
        for _ in range(3):
            last = await next_slot()
        await sleep_until(last + timedelta(milliseconds=500))
        await first.finish()
    async with recorder() as second:
        await tables.first("hedge", "ok", after=first.stopped_at)
        await tables.first("main", "ok", after=first.stopped_at)
        await second.finish()
    for account in first.accounts:
        spooled = await tables.times(account, after=before)
        assert last in spooled
    assert all(gap.started_at >= last for gap in await tables.gaps())


async def test_a_stop_while_the_whole_network_swallows_everything_ends_in_time(
    exchange: Simulator, tables: Tables, proxy: Proxy, tmp_path: Path
) -> None:
    async with Proxy(exchange.ws_api_url) as way:
        settings = load_settings(tmp_path, exchange, proxy.url, every="1s", timeout="900ms", ws_api_url=way.url)
        async with running(settings) as service:
            first = await tables.first("hedge", "ok")
            way.swallow()
            proxy.swallow()
            await sleep_until(first.time + timedelta(seconds=1.1))
            async with asyncio.timeout(GRACE - FINISHING.total_seconds() + 0.9):  # it may wait longer for answers
                await service.finish()


async def test_a_stop_before_anything_is_connected_ends_in_time(recorder: Start, tables: Tables) -> None:
    async with recorder() as service:
        await service.finish()
    assert {row.outcome for row in await tables.snapshots()} <= {"ok", "stopped"}
    assert await tables.gaps() == []


async def _all_are_asked(exchange: Simulator) -> None:
    async with asyncio.timeout(GRACE):
        while not all(exchange.traffic.requests_of(account) for account in exchange.world.accounts):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
