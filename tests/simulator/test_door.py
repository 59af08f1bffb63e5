from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Closed, Slammed

Signed = Callable[..., str]
Ask = Callable[..., Awaitable[Any]]


async def refused(url: str) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as caught:
        await connect(url)
    return caught.value


async def test_there_is_one_path(exchange: Simulator) -> None:
    assert (await refused(f"{exchange.stream_url}/ws-fapi/v2")).response.status_code == 404
    assert exchange.traffic.connections == 0


async def test_a_handshake_can_be_refused_with_any_status(exchange: Simulator, signed: Signed, ask: Ask) -> None:
    exchange.knobs.on_handshake(Closed(503), times=2)
    exchange.knobs.on_handshake(Closed(429, retry_after=7))
    for _ in range(2):
        response = (await refused(exchange.ws_api_url)).response
        assert response.status_code == 503
        assert "Retry-After" not in response.headers
    response = (await refused(exchange.ws_api_url)).response
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    async with connect(exchange.ws_api_url) as connection:
        assert (await ask(connection, signed(exchange.world.accounts["main"])))["status"] == 200
    assert [handshake.status for handshake in exchange.traffic.handshakes] == [503, 503, 429, 101]
    assert exchange.traffic.connections == 1


async def test_a_connection_can_be_accepted_and_closed_at_once(exchange: Simulator) -> None:
    exchange.knobs.on_handshake(Slammed())
    async with connect(exchange.ws_api_url) as connection:
        with pytest.raises(ConnectionClosed):
            await connection.recv()
    assert exchange.traffic.connections == 1


async def test_a_ban_holds_for_handshakes_too(exchange: Simulator) -> None:
    exchange.meter.refuse(418, exchange.clock.now() + timedelta(seconds=90))
    response = (await refused(exchange.ws_api_url)).response
    assert response.status_code == 418
    assert 80 < int(response.headers["Retry-After"]) <= 90
    assert exchange.traffic.during_refusal == 1


async def test_a_handshake_costs_weight(exchange: Simulator) -> None:
    frozen = exchange.clock.now()
    exchange.clock.true_time = lambda: frozen
    exchange.meter.limit = 12
    for _ in range(2):
        async with connect(exchange.ws_api_url):
            pass
    assert exchange.meter.count == 10
    assert (await refused(exchange.ws_api_url)).response.status_code == 429


async def test_several_listen_keys_on_one_connection_can_be_refused(exchange: Simulator) -> None:
    exchange.knobs.on_handshake(Closed(400), door="combined", times=None)
    several = f"{exchange.stream_url}/private/stream?listenKey=a&events=A&listenKey=b&events=A"
    assert (await refused(several)).response.status_code == 400
    async with connect(f"{exchange.stream_url}/private/stream?listenKey=a&events=A"):
        pass
    exchange.knobs.clear()
    async with connect(several):
        pass
