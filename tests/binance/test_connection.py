import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection

from recorder.binance.connection import Connection, open_connection
from recorder.binance.session import Answered, Event, LateAnswer
from recorder.exceptions import ExchangeUnavailable
from tests.binance.exchange import Exchange, Message, answer, one_row


@asynccontextmanager
async def opened(exchange: Exchange, events: list[Event] | None = None) -> AsyncIterator[Connection]:
    connection = await open_connection(exchange.url, "1", ([] if events is None else events).append)
    reader = asyncio.create_task(connection.read())
    yield connection
    await connection.close()
    assert await reader


async def test_a_reply_has_the_time_of_its_own_frame(exchange: Exchange) -> None:
    async def answer_then_more(socket: ServerConnection, request: Message) -> None:
        await one_row(socket, request)
        await socket.send(answer({"id": "another"}, []))

    exchange.script = answer_then_more
    async with opened(exchange) as connection:
        reply = await connection.request("v2/account.position", {})
        assert isinstance(reply.event, Answered)
        assert connection.opened_at <= reply.sent <= reply.received <= connection.received_at


async def test_all_requests_in_flight_fail_with_their_connection(exchange: Exchange) -> None:
    async def drop_at_the_third(socket: ServerConnection, _: Message) -> None:
        if len(exchange.asked) == 3:
            socket.transport.abort()

    exchange.script = drop_at_the_third
    async with opened(exchange) as connection:
        outcomes = await asyncio.gather(
            *(connection.request("v2/account.position", {}) for _ in range(3)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [ExchangeUnavailable] * 3
        assert connection.ending.is_set()
        with pytest.raises(ExchangeUnavailable):
            await connection.request("v2/account.position", {})


async def test_the_answer_to_a_request_given_up_is_late(exchange: Exchange) -> None:
    asked, given_up = asyncio.Event(), asyncio.Event()

    async def wait(socket: ServerConnection, request: Message) -> None:
        asked.set()
        await given_up.wait()
        await one_row(socket, request)

    exchange.script = wait
    events: list[Event] = []
    async with opened(exchange, events) as connection:
        request = asyncio.create_task(connection.request("v2/account.position", {}))
        await asked.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        given_up.set()
        exchange.script = one_row
        await connection.request("v2/account.position", {})
    assert [type(event) for event in events] == [LateAnswer, Answered]


async def test_a_retired_connection_closes_after_its_last_answer(exchange: Exchange) -> None:
    asked, retired = asyncio.Event(), asyncio.Event()

    async def wait(socket: ServerConnection, request: Message) -> None:
        asked.set()
        await retired.wait()
        await one_row(socket, request)

    exchange.script = wait
    async with opened(exchange) as connection, asyncio.TaskGroup() as tasks:
        request = tasks.create_task(connection.request("v2/account.position", {}))
        await asked.wait()
        tasks.create_task(connection.retire())
        retired.set()
        assert isinstance((await request).event, Answered)


async def test_a_megabyte_is_one_answer(exchange: Exchange) -> None:
    async def much(socket: ServerConnection, request: Message) -> None:
        await socket.send(answer(request, "x" * 2**22))

    exchange.script = much
    async with opened(exchange) as connection:
        reply = await connection.request("v2/account.position", {})
        assert isinstance(reply.event, Answered)
        assert len(reply.event.result) == 2**22 + 2


async def test_frames_are_not_logged_at_any_level(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(exchange) as connection:
        await connection.request("v2/account.position", {"apiKey": "canary"})
    own = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server")]
    assert not any("canary" in message for message in own)
