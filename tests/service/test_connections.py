"""Connections that are dropped, refused, slammed or announced to end."""

import socket
from pathlib import Path

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Closed, Slammed
from tests.service.running import Start, load_settings, next_slot, running
from tests.service.tables import EVERY, Tables


async def test_connections_dropped_between_slots_cost_no_slot(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        await tables.first("hedge", "ok")
        for _ in range(2):
            slot = await next_slot()
            await tables.first("hedge", "ok", after=slot - EVERY)
            assert exchange.drop_connections() == 1
        await tables.first("hedge", "ok", after=slot)
    assert all(row.ok for row in await tables.snapshots())
    assert exchange.traffic.connections == 3


async def test_an_exchange_that_refuses_connections_leaves_rows_that_say_so_until_it_lets_in_again(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        await tables.first("hedge", "ok")
        exchange.knobs.on_handshake(Closed(503), times=None)
        exchange.drop_connections()
        failed = await tables.first("hedge", "unreachable")
        await tables.first("main", "unreachable")
        exchange.knobs.clear()
        for account in ("main", "hedge"):
            await tables.first(account, "ok", after=failed.time)
    assert "503" in failed.detail
    assert await tables.inferred("main") == await tables.inferred("hedge") == []


async def test_an_exchange_that_accepts_and_closes_at_once_is_not_stormed(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    exchange.knobs.on_handshake(Slammed(), times=None)
    async with recorder():
        failed = await tables.first("main", "unreachable")
        await tables.first("main", "unreachable", after=failed.time)
        assert 2 <= len(exchange.traffic.handshakes) <= 10
        exchange.knobs.clear()
        await tables.first("main", "ok", after=failed.time)


async def test_an_exchange_that_accepts_and_says_nothing_leaves_rows_that_say_so(
    exchange: Simulator, database: str, tables: Tables, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        elsewhere = f"ws://127.0.0.1:{mute.getsockname()[1]}"
        settings = load_settings(tmp_path, exchange, database, ws_api_url=elsewhere)
        async with running(settings) as service:
            failed = await tables.first("hedge", "unreachable")
        await tables.assert_every_slot_is_answered(service.accounts, service.started_at, failed.time)
    assert "exchange.ws_api_url" in failed.detail


async def test_an_announced_shutdown_has_a_new_connection_before_the_old_one_goes_and_costs_no_slot(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        first = await tables.first("hedge", "ok")
        await exchange.announce_shutdown()
        second = await tables.first("hedge", "ok", after=first.time)
        assert exchange.traffic.connections == 2
        await tables.first("hedge", "ok", after=second.time)
    assert all(row.ok for row in await tables.snapshots())
    assert exchange.traffic.connections == 2
