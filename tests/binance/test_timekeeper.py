import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from recorder.binance.allowance import Allowance
from recorder.binance.channel import Channel
from recorder.binance.clock import ExchangeClock
from recorder.binance.timekeeper import Timekeeper
from recorder.binance.weight import WeightBudget
from recorder.exceptions import AnswerTimeout
from tests.binance.exchange import Exchange


class Watch:
    def __init__(self, url: str, patience: timedelta = timedelta(seconds=20)) -> None:
        self.clock = ExchangeClock()
        weight = WeightBudget(1200)
        self.channel = Channel(url, weight, self.clock, Allowance(weight, self.clock, None))
        self.timekeeper = Timekeeper(self.channel, self.clock, patience)


@pytest.fixture
async def watch(exchange: Exchange) -> AsyncIterator[Watch]:
    watch = Watch(exchange.url)
    task = asyncio.create_task(watch.channel.supervisor.run())
    yield watch
    task.cancel()


async def test_the_clock_is_measured_once_there_is_a_connection(exchange: Exchange, watch: Watch) -> None:
    task = asyncio.create_task(watch.timekeeper.run())
    await watch.timekeeper.tried.wait()
    task.cancel()
    assert abs((watch.clock.offset or timedelta()) - exchange.clock) < timedelta(milliseconds=500)
    assert exchange.clock_readings == 5


async def test_callers_at_the_same_time_share_a_measurement(exchange: Exchange, watch: Watch) -> None:
    await asyncio.gather(*(watch.timekeeper.measure() for _ in range(10)))
    assert exchange.clock_readings == 5


async def test_an_exchange_that_does_not_tell_the_time_is_lived_with() -> None:
    watch = Watch("ws://127.0.0.1:1/", timedelta(milliseconds=200))
    with pytest.raises(AnswerTimeout, match="clock"):
        await watch.timekeeper.measure()
    assert watch.clock.offset is None
