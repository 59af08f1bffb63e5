import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest

from recorder.binance.allowance import Allowance
from recorder.binance.clock import ExchangeClock
from recorder.binance.stream_connection import Frame, Line
from recorder.binance.stream_server import StreamServer
from recorder.binance.weight import WeightBudget
from recorder.process.clock import steady
from tests.binance.user_streams import UserStreams, key_of


@pytest.fixture
async def streams() -> AsyncIterator[UserStreams]:
    async with UserStreams() as streams:
        yield streams


@pytest.fixture
def allowance() -> Allowance:
    return Allowance(WeightBudget(1200), ExchangeClock(), None)


@asynccontextmanager
async def reading(line: Line, frames: list[Frame]) -> AsyncIterator[asyncio.Task[str]]:
    reader = asyncio.create_task(line.read(frames.append))
    yield reader
    await line.close()
    await reader


async def test_frames_come_in_order_and_a_burst_is_not_lost(streams: UserStreams, allowance: Allowance) -> None:
    line, frames = await StreamServer(streams.url, allowance).open(key_of("key")), list[Frame]()
    socket = await streams.opened(1)
    async with reading(line, frames):
        for number in range(5000):
            await socket.send(str(number))
        await socket.send(b"\xff")
        await socket.close()
        async with asyncio.timeout(5):
            await line.ending.wait()
    assert [frame.data for frame in frames] == [*(str(number).encode() for number in range(5000)), b"\xff"]


async def test_after_an_orderly_close_all_that_was_sent_has_been_heard(
    streams: UserStreams, allowance: Allowance
) -> None:
    line = await StreamServer(streams.url, allowance).open(key_of("key"))
    opened = line.heard_at
    async with reading(line, []) as reader:
        await (await streams.opened(1)).close(1001, "going away")
        async with asyncio.timeout(5):
            assert "going away" in await reader
    assert opened < line.heard_at <= steady()


async def test_after_a_cut_nothing_is_sure_but_the_last_that_was_heard(
    streams: UserStreams, allowance: Allowance
) -> None:
    line = await StreamServer(streams.url, allowance).open(key_of("key"))
    opened = line.heard_at
    async with reading(line, []) as reader:
        (await streams.opened(1)).transport.abort()
        async with asyncio.timeout(5):
            await reader
    assert line.heard_at == opened


async def test_a_connection_without_pongs_is_given_up(streams: UserStreams, allowance: Allowance) -> None:
    line = await StreamServer(streams.url, allowance, ping_interval=0.05).open(key_of("key"))
    socket = await streams.opened(1)
    async with reading(line, []) as reader:
        heard = line.heard_at
        while line.heard_at == heard:  # noqa: ASYNC110 - nothing but a pong moves it
            await asyncio.sleep(0.01)
        socket.transport.pause_reading()
        async with asyncio.timeout(5):
            assert "no pong" in await reader
    socket.transport.resume_reading()


@asynccontextmanager
async def shared(streams: UserStreams, allowance: Allowance, *keys: str) -> AsyncIterator[dict[str, list[Frame]]]:
    """Lines of *keys* on one connection, and what came on each."""
    server = StreamServer(streams.url, allowance)
    lines = await asyncio.gather(*(server.open(key_of(key)) for key in keys))
    assert len(streams.targets) == 1
    frames: dict[str, list[Frame]] = {key: [] for key in keys}
    async with AsyncExitStack() as stack:
        for line in lines:
            _ = await stack.enter_async_context(reading(line, frames[line.listen_key]))
        yield frames
        await (await streams.opened(1)).close()
        for line in lines:
            async with asyncio.timeout(5):
                await line.ending.wait()


async def test_what_comes_on_a_shared_connection_goes_to_whom_it_names(
    streams: UserStreams, allowance: Allowance
) -> None:
    async with shared(streams, allowance, "key-1", "key-2") as frames:
        socket = await streams.opened(1)
        for number in range(100):
            await socket.send(f'{{"stream":"key-{number % 2 + 1}","data":{{"e":"A","n":1.{number}0}}}}')
        await socket.send('{"data":{"e":"B"},"stream":"key-2"}')
    assert [frame.data for frame in frames["key-1"]] == [f'{{"e":"A","n":1.{n}0}}'.encode() for n in range(0, 100, 2)]
    assert [frame.data for frame in frames["key-2"]][-2:] == [b'{"e":"A","n":1.990}', b'{"e":"B"}']
    assert all(frame.is_own for came in frames.values() for frame in came)


async def test_an_event_for_a_key_that_nobody_asked_for_is_recorded_for_nobody_and_told(
    streams: UserStreams, allowance: Allowance, caplog: pytest.LogCaptureFixture
) -> None:
    async with shared(streams, allowance, "key-1", "key-2") as frames:
        socket = await streams.opened(1)
        for _ in range(2):
            await socket.send('{"stream":"canary","data":{"e":"A"}}')
        await socket.send('{"stream":"key-1","data":{"e":"B"}}')
    assert [frame.data for frame in frames["key-1"]] == [b'{"e":"B"}']
    assert frames["key-2"] == []
    told = [record.getMessage() for record in caplog.records if "listenKey" in record.getMessage()]
    assert len(told) == 1
    assert "canary" not in told[0]


@pytest.mark.parametrize(
    "text",
    ['{"e":"ACCOUNT_UPDATE","E":1}', '{"stream":5,"data":{}}', '{"error":{"code":2}}', "[", "\x00", '{"stream":"x"}'],
)
async def test_what_does_not_say_whose_it_is_is_kept_by_all_and_taken_for_nobody_s(
    streams: UserStreams, allowance: Allowance, text: str
) -> None:
    async with shared(streams, allowance, "key-1", "key-2") as frames:
        await (await streams.opened(1)).send(text)
    for came in frames.values():
        assert [(frame.data, frame.is_own) for frame in came] == [(text.encode(), False)]


async def test_a_damaged_message_is_kept_by_whom_it_names_without_the_key(
    streams: UserStreams, allowance: Allowance
) -> None:
    async with shared(streams, allowance, "key-1", "key-2") as frames:
        await (await streams.opened(1)).send(b'{"stream":"key-2","data":{"e":"A\xff')
    assert frames["key-1"] == []
    assert [frame.data for frame in frames["key-2"]] == [b'{"stream":"[listen key]","data":{"e":"A\xff']
    assert not frames["key-2"][0].is_own


async def test_who_leaves_a_shared_connection_leaves_it_to_the_others(
    streams: UserStreams, allowance: Allowance
) -> None:
    server = StreamServer(streams.url, allowance)
    leaver, stayer = await asyncio.gather(server.open(key_of("key-1")), server.open(key_of("key-2")))
    socket, left, frames = await streams.opened(1), list[Frame](), list[Frame]()
    async with reading(stayer, frames):
        async with reading(leaver, left) as reader:
            await leaver.close()
            assert await reader == ""
        for key in ("key-1", "key-2"):
            await socket.send(f'{{"stream":"{key}","data":{{"of":"{key}"}}}}')
        while not frames:  # noqa: ASYNC110 - it is on its way
            await asyncio.sleep(0.01)
        assert not stayer.ending.is_set()
    assert [frame.data for frame in frames] == [b'{"of":"key-2"}']
    assert left == []
    await streams.until(lambda: socket.close_code is not None)  # nobody is left


async def test_all_lines_are_to_be_replaced_when_their_connection_is_old(
    streams: UserStreams, allowance: Allowance
) -> None:
    server = StreamServer(streams.url, allowance, lifetime=timedelta(seconds=0.1))
    lines = await asyncio.gather(server.open(key_of("key-1")), server.open(key_of("key-2")))
    async with asyncio.timeout(5):
        await asyncio.gather(*(line.ending.wait() for line in lines))
    assert not any(line.is_lost for line in lines)
    for line in lines:
        await line.close()
