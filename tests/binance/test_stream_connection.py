import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from recorder.binance.allowance import Allowance
from recorder.binance.clock import ExchangeClock
from recorder.binance.reconnection import ConnectionBudget
from recorder.binance.stream_connection import StreamConnection, StreamServer
from recorder.binance.weight import WeightBudget
from recorder.exceptions import ConfigurationError, ExchangeUnavailable, RateLimited
from recorder.process.clock import steady
from tests.binance.user_streams import UserStreams


@pytest.fixture
async def streams() -> AsyncIterator[UserStreams]:
    async with UserStreams() as streams:
        yield streams


@pytest.fixture
def allowance() -> Allowance:
    return Allowance(WeightBudget(1200), ExchangeClock(), None)


@asynccontextmanager
async def reading(connection: StreamConnection, frames: list[bytes]) -> AsyncIterator[asyncio.Task[str]]:
    reader = asyncio.create_task(connection.read(lambda frame, _: frames.append(frame)))
    yield reader
    await connection.close()
    await reader


async def test_the_address_names_every_event_that_is_wanted(streams: UserStreams, allowance: Allowance) -> None:
    connection = await StreamServer(streams.url + "/", allowance).open("a+b/c")
    events = "ACCOUNT_UPDATE/ORDER_TRADE_UPDATE/ACCOUNT_CONFIG_UPDATE/MARGIN_CALL/listenKeyExpired"
    assert streams.targets == [f"/private/ws?listenKey=a%2Bb%2Fc&events={events}"]
    assert connection.listen_key == "a+b/c"
    await connection.close()


async def test_the_form_of_the_address_can_be_another(streams: UserStreams, allowance: Allowance) -> None:
    connection = await StreamServer(f"{streams.url}/private/ws/{{listen_key}}", allowance).open("a/b")
    assert streams.targets == ["/private/ws/a%2Fb"]
    await connection.close()


def test_an_address_that_is_no_websocket_is_refused(allowance: Allowance) -> None:
    for url in ("https://fstream.binance.com", "", "fstream.binance.com/{listen_key}"):
        with pytest.raises(ConfigurationError, match="stream_url"):
            StreamServer(url, allowance)


async def test_frames_come_in_order_and_a_burst_is_not_lost(streams: UserStreams, allowance: Allowance) -> None:
    connection, frames = await StreamServer(streams.url, allowance).open("key"), list[bytes]()
    socket = await streams.opened(1)
    async with reading(connection, frames):
        for number in range(5000):
            await socket.send(str(number))
        await socket.send(b"\xff")
        await socket.close()
        async with asyncio.timeout(5):
            await connection.ending.wait()
    assert frames == [*(str(number).encode() for number in range(5000)), b"\xff"]


async def test_after_an_orderly_close_all_that_was_sent_has_been_heard(
    streams: UserStreams, allowance: Allowance
) -> None:
    connection = await StreamServer(streams.url, allowance).open("key")
    opened = connection.heard_at
    async with reading(connection, []) as reader:
        await (await streams.opened(1)).close(1001, "going away")
        async with asyncio.timeout(5):
            assert "going away" in await reader
    assert opened < connection.heard_at <= steady()


async def test_after_a_cut_nothing_is_sure_but_the_last_that_was_heard(
    streams: UserStreams, allowance: Allowance
) -> None:
    connection = await StreamServer(streams.url, allowance).open("key")
    opened = connection.heard_at
    async with reading(connection, []) as reader:
        (await streams.opened(1)).transport.abort()
        async with asyncio.timeout(5):
            await reader
    assert connection.heard_at == opened


async def test_a_connection_without_pongs_is_given_up(streams: UserStreams, allowance: Allowance) -> None:
    connection = await StreamServer(streams.url, allowance, ping_interval=0.05).open("key")
    socket = await streams.opened(1)
    async with reading(connection, []) as reader:
        heard = connection.heard_at
        while connection.heard_at == heard:  # noqa: ASYNC110 - nothing but a pong moves it
            await asyncio.sleep(0.01)
        socket.transport.pause_reading()
        async with asyncio.timeout(5):
            assert "no pong" in await reader
    socket.transport.resume_reading()


async def test_all_accounts_share_one_connection_budget(streams: UserStreams, allowance: Allowance) -> None:
    budget = ConnectionBudget(limit=2, period=timedelta(seconds=0.3))
    server = StreamServer(streams.url, allowance, budget)
    began = time.monotonic()
    connections = await asyncio.gather(*(server.open(f"key-{number}") for number in range(4)))
    assert time.monotonic() - began >= 0.3
    assert len(streams.targets) == 4
    for connection in connections:
        await connection.close()


async def test_no_connection_is_opened_during_a_pause(streams: UserStreams, allowance: Allowance) -> None:
    end = datetime.now(UTC) + timedelta(seconds=0.3)
    allowance.pause(end)
    connection = await StreamServer(streams.url, allowance).open("key")
    assert datetime.now(UTC) >= end
    await connection.close()


async def test_a_refused_handshake_pauses_everything(streams: UserStreams, allowance: Allowance) -> None:
    streams.refuse = [(502, {}), (429, {"Retry-After": "600"})]
    server = StreamServer(streams.url, allowance)
    with pytest.raises(ExchangeUnavailable, match="502"):
        await server.open("key")
    assert allowance.paused_until is None
    with pytest.raises(RateLimited):
        await server.open("key")
    assert allowance.pause_left > timedelta(minutes=9)
