import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from recorder.binance.allowance import Allowance
from recorder.binance.clock import ExchangeClock
from recorder.binance.reconnection import ConnectionBudget
from recorder.binance.stream_connection import Line
from recorder.binance.stream_server import StreamServer
from recorder.binance.weight import WeightBudget
from recorder.exceptions import ExchangeUnavailable, RateLimited
from tests.binance.user_streams import UserStreams, key_of


@pytest.fixture
async def streams() -> AsyncIterator[UserStreams]:
    async with UserStreams() as streams:
        yield streams


@pytest.fixture
def allowance() -> Allowance:
    return Allowance(WeightBudget(1200), ExchangeClock(), None)


async def opened(server: StreamServer, number: int) -> list[Line]:
    async with asyncio.timeout(10):
        return await asyncio.gather(*(server.open(key_of(f"key-{each}")) for each in range(number)))


async def close(lines: Iterable[Line]) -> None:
    for line in lines:
        await line.close()


def keys(target: str) -> list[str]:
    return parse_qs(urlsplit(target).query)["listenKey"]


async def test_all_accounts_share_one_connection_budget(streams: UserStreams, allowance: Allowance) -> None:
    budget = ConnectionBudget(limit=2, period=timedelta(seconds=0.3))
    server = StreamServer(streams.url, allowance, budget, keys_per_connection=1)
    began = time.monotonic()
    connections = await asyncio.gather(*(server.open(key_of(f"key-{number}")) for number in range(4)))
    assert time.monotonic() - began >= 0.3
    assert len(streams.targets) == 4
    for connection in connections:
        await connection.close()


async def test_no_connection_is_opened_during_a_pause(streams: UserStreams, allowance: Allowance) -> None:
    end = datetime.now(UTC) + timedelta(seconds=0.3)
    allowance.pause(end)
    connection = await StreamServer(streams.url, allowance).open(key_of("key"))
    assert datetime.now(UTC) >= end
    await connection.close()


async def test_a_refused_handshake_pauses_everything(streams: UserStreams, allowance: Allowance) -> None:
    streams.refuse = [(502, {}), (429, {"Retry-After": "600"})]
    server = StreamServer(streams.url, allowance)
    with pytest.raises(ExchangeUnavailable, match="502"):
        await server.open(key_of("key"))
    assert allowance.paused_until is None
    with pytest.raises(RateLimited):
        await server.open(key_of("key"))
    assert allowance.pause_left > timedelta(minutes=9)


async def test_keys_that_ask_at_about_the_same_time_share_connections(
    streams: UserStreams, allowance: Allowance
) -> None:
    lines = await opened(StreamServer(streams.url, allowance, keys_per_connection=40), 100)
    assert sorted(len(keys(target)) for target in streams.targets) == [20, 40, 40]
    assert sorted(key for target in streams.targets for key in keys(target)) == sorted(f"key-{n}" for n in range(100))
    assert [line.listen_key for line in lines] == [f"key-{n}" for n in range(100)]
    await close(lines)
    await streams.until(lambda: all(socket.close_code is not None for socket in streams.sockets))


async def test_one_key_a_connection_can_be_asked_for(streams: UserStreams, allowance: Allowance) -> None:
    lines = await opened(StreamServer(streams.url, allowance, keys_per_connection=1), 3)
    assert [len(keys(target)) for target in streams.targets] == [1, 1, 1]
    await close(lines)


async def test_a_key_can_ask_to_share_with_fewer(streams: UserStreams, allowance: Allowance) -> None:
    server = StreamServer(streams.url, allowance)
    asked = {"a": 1, "b": 2, "c": 2, "d": 1, "e": None, "f": None, "g": None}
    lines = await asyncio.gather(*(server.open(key_of(key), at_most=at_most) for key, at_most in asked.items()))
    assert sorted(keys(target) for target in streams.targets) == [["a"], ["b", "c"], ["d"], ["e", "f", "g"]]
    await close(lines)


async def test_two_accounts_with_one_key_do_not_share(streams: UserStreams, allowance: Allowance) -> None:
    server = StreamServer(streams.url, allowance)
    lines = await asyncio.gather(server.open(key_of("key")), server.open(key_of("key")))
    assert [keys(target) for target in streams.targets] == [["key"], ["key"]]
    await close(lines)


@pytest.mark.parametrize("status", [400, 404, 414])
async def test_where_several_keys_are_refused_each_gets_a_connection_of_its_own(
    streams: UserStreams, allowance: Allowance, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    streams.refuse = [(status, {})] * 2
    server = StreamServer(streams.url, allowance, keys_per_connection=2)
    lines = await opened(server, 4)
    assert sorted(len(keys(target)) for target in streams.targets) == [1, 1, 1, 1, 2, 2]
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len([text for text in told if "keys_per_connection" in text]) == 1
    lines.append(await server.open(key_of("later")))
    assert len(keys(streams.targets[-1])) == 1
    await close(lines)


async def test_a_server_that_is_down_is_no_reason_not_to_share(streams: UserStreams, allowance: Allowance) -> None:
    streams.refuse = [(503, {})]
    server = StreamServer(streams.url, allowance)
    tries = await asyncio.gather(server.open(key_of("key-1")), server.open(key_of("key-2")), return_exceptions=True)
    assert [type(each).__mro__[1] for each in tries] == [ExchangeUnavailable] * 2
    lines = await opened(server, 2)
    assert [len(keys(target)) for target in streams.targets] == [2, 2]
    await close(lines)


async def test_keys_that_wait_for_the_budget_gather_and_are_told_of_once(
    streams: UserStreams, allowance: Allowance, caplog: pytest.LogCaptureFixture
) -> None:
    server = StreamServer(streams.url, allowance, ConnectionBudget(limit=1, period=timedelta(seconds=2)))
    first = await server.open(key_of("first"), at_most=1)
    waiting = [asyncio.create_task(server.open(key_of(f"key-{n}"))) for n in range(3)]
    await asyncio.sleep(0.8)
    assert server.waiting == 3
    waiting += [asyncio.create_task(server.open(key_of(f"late-{n}"))) for n in range(3)]
    async with asyncio.timeout(5):
        lines = await asyncio.gather(*waiting)
    assert server.waiting == 0
    assert [len(keys(target)) for target in streams.targets] == [1, 6]
    assert sum("wait for a connection" in record.getMessage() for record in caplog.records) == 1
    await close([first, *lines])


async def test_who_gives_up_while_it_waits_costs_the_others_nothing(streams: UserStreams, allowance: Allowance) -> None:
    server = StreamServer(streams.url, allowance, ConnectionBudget(limit=1, period=timedelta(seconds=1)))
    first = await server.open(key_of("first"))
    asked = {"a": 3, "b": 3, "c": 2}
    leaving, staying, alone = (
        asyncio.create_task(server.open(key_of(key), at_most=number)) for key, number in asked.items()
    )
    await asyncio.sleep(0.1)
    assert server.waiting == 3
    leaving.cancel()
    alone.cancel()
    await asyncio.gather(leaving, alone, return_exceptions=True)
    assert server.waiting == 1
    line = await staying
    assert [keys(target) for target in streams.targets] == [["first"], ["b"]]
    assert server.waiting == 0
    await close([first, line])


async def test_nobody_is_waited_for_where_nobody_comes(streams: UserStreams, allowance: Allowance) -> None:
    began = time.monotonic()
    line = await StreamServer(streams.url, allowance).open(key_of("alone"))
    assert time.monotonic() - began < 0.9  # the moment that is given to those who come
    await line.close()


async def test_who_has_no_key_for_long_keeps_the_others_for_a_moment_only(
    streams: UserStreams, allowance: Allowance
) -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    server = StreamServer(streams.url, allowance)
    stuck = asyncio.create_task(server.open(never))
    async with asyncio.timeout(5):
        line = await server.open(key_of("key"))
    stuck.cancel()
    await asyncio.gather(stuck, return_exceptions=True)
    await line.close()
