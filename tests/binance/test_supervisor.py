import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from websockets.asyncio.server import ServerConnection

from recorder.binance.clock import ExchangeClock
from recorder.binance.reconnection import ConnectionBudget
from recorder.binance.session import Answered, Event
from recorder.binance.supervisor import Supervisor
from recorder.binance.weight import WeightBudget
from recorder.exceptions import RateLimited
from tests.binance.exchange import Exchange, Message, one_row


class Supervised:
    """A running supervisor, what it was told and what it told."""

    def __init__(self, url: str, budget: ConnectionBudget | None = None, clock: ExchangeClock | None = None) -> None:
        self.events: list[Event] = []
        self.limited: list[RateLimited] = []
        self.weight = WeightBudget(1200)
        self.clock = clock or ExchangeClock()
        self.supervisor = Supervisor(
            url,
            self.weight,
            self.clock,
            notice=self.events.append,
            rate_limited=self.limited.append,
            budget=budget,
        )


@asynccontextmanager
async def supervised(url: str, budget: ConnectionBudget | None = None) -> AsyncIterator[Supervised]:
    supervised = Supervised(url, budget)
    task = asyncio.create_task(supervised.supervisor.run())
    yield supervised
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def close(socket: ServerConnection) -> None:
    await socket.close()


async def test_a_server_that_accepts_and_closes_is_met_with_patience(exchange: Exchange) -> None:
    exchange.on_open = close
    budget, opened = ConnectionBudget(limit=2, period=timedelta(seconds=0.5)), list[float]()
    async with supervised(exchange.url, budget) as running:
        while len(opened) < 5:
            await exchange.until(lambda: len(exchange.sockets) > len(opened))
            opened.append(time.monotonic())
        assert "was lost" in running.supervisor.last_error
    assert all(later - earlier > 0.45 for earlier, later in zip(opened, opened[2:], strict=False))


async def test_an_announced_shutdown_opens_the_next_connection_before_the_last_is_closed(exchange: Exchange) -> None:
    async def announce_then_answer(socket: ServerConnection, request: Message) -> None:
        if len(exchange.asked) == 1:
            await socket.send('{"event":{"e":"serverShutdown","E":1770123456789}}')
            await exchange.until(lambda: len(exchange.sockets) == 2)
        await one_row(socket, request)

    exchange.script = announce_then_answer
    async with supervised(exchange.url) as running:
        first = await running.supervisor.connection()
        reply = await first.request("v2/account.position", {})
        assert isinstance(reply.event, Answered)
        async with asyncio.timeout(5):
            await first.superseded.wait()
        second = await running.supervisor.connection()
        assert second is not first
        assert (await second.request("v2/account.position", {})).event != reply.event
        async with asyncio.timeout(5):
            await exchange.sockets[0].wait_closed()
        assert running.supervisor.connections_total == 2
        assert running.supervisor.connected
        assert running.supervisor.last_error == ""


async def test_a_refused_handshake_is_tried_again_and_a_rate_limit_is_passed_on(exchange: Exchange) -> None:
    exchange.refuse = [(503, {}), (429, {"Retry-After": "7"}), (404, {})]
    async with supervised(exchange.url) as running:
        await running.supervisor.connection()
        assert exchange.handshakes == 4
        assert len(running.limited) == 1


async def test_no_connection_is_opened_during_a_pause(exchange: Exchange) -> None:
    running = Supervised(exchange.url)
    end = running.clock.now() + timedelta(seconds=0.3)
    running.weight.pause(end)
    task = asyncio.create_task(running.supervisor.run())
    await running.supervisor.connection()
    assert running.clock.now() >= end
    task.cancel()


async def test_every_handshake_is_paid_for(exchange: Exchange) -> None:
    exchange.refuse = [(503, {})]
    noon = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    running = Supervised(exchange.url, clock=ExchangeClock(wall=lambda: noon))
    task = asyncio.create_task(running.supervisor.run())
    await running.supervisor.connection()
    assert running.weight.used(noon) == 10
    task.cancel()


async def test_a_replacement_that_does_not_come_leaves_the_connection_in_use(exchange: Exchange) -> None:
    async with supervised(exchange.url, ConnectionBudget(limit=1)) as running:
        connection = await running.supervisor.connection()
        await running.supervisor.replace(connection, patience=0.05)
        assert await running.supervisor.connection() is connection
        assert isinstance((await connection.request("v2/account.position", {})).event, Answered)
