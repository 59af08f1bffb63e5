import json
from asyncio import timeout
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from recorder.exceptions import ConfigurationError
from recorder.simulator.exchange import Simulator
from recorder.simulator.world import World

Signed = Callable[..., str]
Ask = Callable[..., Awaitable[Any]]
Receive = Callable[[ClientConnection], Awaitable[Any]]
ROW = '{"symbol" : "BTCUSDT", "positionAmt": "1.50", "adl": "2", "odd": 1.0E-8}'
OTHER = '{"symbol":"LTCUSDT","positionAmt":"0.000"}'


async def test_it_listens_on_a_free_port_under_the_exchanges_path(exchange: Simulator) -> None:
    assert exchange.ws_api_url == f"ws://{exchange.address}/ws-fapi/v1"
    assert exchange.stream_url == f"ws://{exchange.address}"
    assert exchange.rest_url.startswith("http://127.0.0.1:")
    ports = {int(url.rpartition(":")[2]) for url in (exchange.stream_url, exchange.rest_url)}
    assert len(ports) == 2
    assert min(ports) > 0


async def test_the_world_is_in_the_present_before_the_first_request(exchange: Simulator) -> None:
    assert abs(datetime.now(UTC) - exchange.world.now) < timedelta(seconds=5)


async def test_a_taken_port_is_named(exchange: Simulator, world: World) -> None:
    port = int(exchange.address.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
        async with Simulator(world, port=port):
            pass


def test_an_exchange_that_is_not_open_has_no_address(world: World) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        _ = Simulator(world).ws_api_url


async def test_many_requests_share_a_connection(
    exchange: Simulator, connection: ClientConnection, signed: Signed, receive: Receive
) -> None:
    accounts = list(exchange.world.accounts.values())
    for request_id in range(40):
        await connection.send(signed(accounts[request_id % 2], request_id))
    assert [(await receive(connection))["id"] for _ in range(40)] == list(range(40))
    assert exchange.traffic.connections == 1
    assert len(exchange.traffic.requests_of("main")) == len(exchange.traffic.requests_of("hedge")) == 20


async def test_a_clock_that_is_off_moves_the_servers_time_and_what_it_accepts(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask
) -> None:
    main = exchange.world.accounts["main"]
    exchange.clock.off = timedelta(minutes=3)
    assert (await ask(connection, signed(main)))["error"]["code"] == -1021
    status = await ask(connection, '{"id":1,"method":"session.status"}')
    server_time = status["result"]["serverTime"]
    assert 179_000 < server_time - datetime.now(UTC).timestamp() * 1000 < 181_000
    assert (await ask(connection, signed(main, timestamp=server_time)))["status"] == 200
    exchange.clock.off = timedelta(minutes=-3)
    ahead = await ask(connection, signed(main))
    assert ahead["error"]["msg"] == "Timestamp for this request was 1000ms ahead of the server's time."
    assert datetime.now(UTC) - exchange.traffic.requests[-1].received_at < timedelta(seconds=5)


async def test_captured_rows_are_served_to_the_letter(
    exchange: Simulator, connection: ClientConnection, signed: Signed, tmp_path: Path
) -> None:
    file = tmp_path / "rows.json"
    file.write_text(f"[{ROW},\n {OTHER}]")
    exchange.serve_rows(file)
    await connection.send(signed(exchange.world.accounts["main"]))
    assert f'"result":[{ROW},{OTHER}]' in str(await connection.recv())
    await connection.send(signed(exchange.world.accounts["hedge"], symbol="LTCUSDT"))
    assert f'"result":[{OTHER}]' in str(await connection.recv())
    assert [served.rows for served in exchange.traffic.answers] == [(ROW, OTHER), (OTHER,)]


async def test_captured_rows_can_be_for_one_account(
    exchange: Simulator, connection: ClientConnection, signed: Signed, ask: Ask, tmp_path: Path
) -> None:
    file = tmp_path / "rows.json"
    file.write_text(ROW)
    exchange.serve_rows(file, account="main")
    main, hedge = exchange.world.accounts.values()
    assert (await ask(connection, signed(main)))["result"] == [json.loads(ROW)]
    assert (await ask(connection, signed(hedge)))["result"][0]["positionSide"] in {"LONG", "SHORT"}


async def test_an_event_reaches_everybody(exchange: Simulator, receive: Receive) -> None:
    async with connect(exchange.ws_api_url) as one, connect(exchange.ws_api_url) as other:
        await exchange.announce_shutdown()
        await exchange.broadcast('{"event":{"e":"somethingNew"}}')
        for connection in (one, other):
            shutdown = await receive(connection)
            assert shutdown["event"]["e"] == "serverShutdown"
            assert abs(shutdown["event"]["E"] - datetime.now(UTC).timestamp() * 1000) < 5000
            assert await receive(connection) == {"event": {"e": "somethingNew"}}


async def test_all_connections_can_be_dropped_and_made_again(exchange: Simulator, signed: Signed, ask: Ask) -> None:
    async with connect(exchange.ws_api_url) as one, connect(exchange.ws_api_url) as other:
        assert exchange.drop_connections() == 2
        for connection in (one, other):
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
    async with connect(exchange.ws_api_url) as again:
        assert (await ask(again, signed(exchange.world.accounts["main"])))["status"] == 200
    assert exchange.traffic.connections == 3


async def test_it_stops_though_clients_are_still_connected(world: World) -> None:
    async with Simulator(world) as exchange:
        connection = await connect(exchange.ws_api_url)
        async with timeout(5):
            await exchange.__aexit__()
        await connection.wait_closed()
