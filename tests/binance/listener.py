"""A user stream at work, for tests of what it tells."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from recorder.binance.account_requests import AccountRequests
from recorder.binance.allowance import Allowance
from recorder.binance.channel import Channel
from recorder.binance.clock import ExchangeClock
from recorder.binance.listen_key import ListenKey
from recorder.binance.reconnection import LIFETIME, ConnectionBudget
from recorder.binance.stream import RENEW_EVERY, UserStream
from recorder.binance.stream_server import StreamServer
from recorder.binance.timekeeper import Timekeeper
from recorder.binance.weight import WeightBudget
from recorder.domain.event import Arrival, Event
from recorder.domain.stream import Connected, Coverage, Lost
from tests.binance.accounts import MAIN
from tests.binance.exchange import Exchange
from tests.binance.user_streams import ListenKeys, UserStreams


class Listener:
    """A user stream that runs, and what it told."""

    def __init__(self, exchange: Exchange, streams: UserStreams) -> None:
        self.exchange = exchange
        self.streams = streams
        self.keys = ListenKeys()
        exchange.script = self.keys.script
        self.events: list[Event] = []
        self.arrivals: list[Arrival] = []
        self.coverage: list[Coverage] = []
        self.secrets: list[str] = []
        self.weight = WeightBudget(1200)
        self.clock = ExchangeClock()
        self.allowance = Allowance(self.weight, self.clock, None)
        self.channel = Channel(exchange.url, self.weight, self.clock, self.allowance)
        self.timekeeper = Timekeeper(self.channel, self.clock, timedelta(seconds=5))
        self._told = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    def listen(
        self,
        *,
        renew_every: timedelta = RENEW_EVERY,
        lifetime: timedelta = LIFETIME,
        budget: ConnectionBudget | None = None,
    ) -> UserStream:
        stream = UserStream(
            MAIN.account,
            ListenKey(MAIN, AccountRequests(self.channel, self.allowance, self.timekeeper)),
            StreamServer(self.streams.url, self.allowance, budget, lifetime=lifetime),
            self.clock,
            deliver=self._deliver,
            changed=self._changed,
            learned_secret=self.secrets.append,
            renew_every=renew_every,
        )
        runs = (self.channel.supervisor.run(), self.timekeeper.run(), stream.run())
        self._tasks = [asyncio.create_task(run) for run in runs]
        return stream

    def _deliver(self, event: Event, arrival: Arrival) -> None:
        self.events.append(event)
        self.arrivals.append(arrival)
        self._tasks.append(asyncio.create_task(self._notify()))

    def _changed(self, coverage: Coverage) -> None:
        self.coverage.append(coverage)
        self._tasks.append(asyncio.create_task(self._notify()))

    async def _notify(self) -> None:
        async with self._told:
            self._told.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self._told:
            await self._told.wait_for(condition)

    async def connected(self, times: int = 1) -> None:
        await self.until(lambda: sum(isinstance(told, Connected) for told in self.coverage) >= times)
        await self.streams.opened(self.streams.accepted)

    @property
    def lost(self) -> list[Lost]:
        return [told for told in self.coverage if isinstance(told, Lost)]

    async def stop(self) -> None:
        assert not any(task.done() and task.exception() for task in self._tasks)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
