"""Keeps one usable connection to the exchange, for months."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from recorder.binance.clock import ExchangeClock
from recorder.binance.connection import Connection, open_connection
from recorder.binance.reconnection import STABLE, Backoff, ConnectionBudget, replacement_due
from recorder.binance.session import Event
from recorder.binance.weight import HANDSHAKE, WeightBudget
from recorder.exceptions import ExchangeUnavailable, RateLimited
from recorder.process.clock import steady

_log = logging.getLogger(__name__)


class Supervisor:
    """Opens connections one after the other, each before its predecessor is closed if that is still possible.

    Not by ``async for ... in connect(...)``: that loop opens thousands of connections to a server that accepts and
    closes, and ends for good at HTTP 429.

    Attributes:
        connections_total: Connections opened so far.
        last_error: Why the last attempt failed or the last connection was lost; empty while all is well.
    """

    def __init__(
        self,
        url: str,
        weight: WeightBudget,
        clock: ExchangeClock,
        *,
        notice: Callable[[Event], None],
        rate_limited: Callable[[RateLimited], None],
        budget: ConnectionBudget | None = None,
    ) -> None:
        self._url = url
        self._weight = weight
        self._clock = clock
        self._notice = notice
        self._rate_limited = rate_limited
        self._budget = budget or ConnectionBudget()
        self._backoff = Backoff()
        self._current: Connection | None = None
        self._available = asyncio.Event()
        self.connections_total = 0
        self.last_error = ""

    @property
    def connected(self) -> bool:
        return self._current is not None

    async def connection(self) -> Connection:
        """Return the connection to send on, as soon as there is one."""
        while self._current is None:
            await self._available.wait()
        return self._current

    async def replace(self, connection: Connection, patience: float) -> None:
        """Have a mute connection replaced, and wait for that as long as *patience* allows, in seconds.

        Until then it stays in use: a slow exchange looks the same, and has nothing to gain from a new connection.
        """
        connection.ending.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await connection.superseded.wait()

    def abandon(self) -> None:
        """Have the connection replaced and not used meanwhile; what is in flight on it may still be answered."""
        if connection := self._current:
            self._withdraw(connection)
            connection.ending.set()

    async def run(self) -> None:
        """Keep a connection open until cancelled; a fault of the network or the exchange never ends it."""
        previous: Connection | None = None
        async with asyncio.TaskGroup() as tasks:
            while True:
                connection = await self._open()
                tasks.create_task(self._serve(connection))
                self._current = connection
                self._available.set()
                if previous is not None:
                    previous.superseded.set()
                    tasks.create_task(previous.retire())
                previous = connection
                await replacement_due(connection.ending)
                if steady() - connection.opened_at >= STABLE:
                    self._backoff.reset()

    async def _serve(self, connection: Connection) -> None:
        try:
            reason = await connection.read()
            if connection is self._current:
                self.last_error = f"The connection to the exchange was lost: {reason}"
                _log.warning("%s", self.last_error)
        finally:
            self._withdraw(connection)
            await connection.close()

    async def _open(self) -> Connection:
        while True:
            await asyncio.sleep(self._backoff.delay())
            await self._permission()
            try:
                connection = await open_connection(self._url, str(self.connections_total + 1), self._notice)
            except RateLimited as exc:
                self.last_error = exc.what
                self._rate_limited(exc)
            except ExchangeUnavailable as exc:
                self.last_error = exc.what
                _log.warning("%s", exc.what)
            else:
                self.connections_total += 1
                self.last_error = ""
                return connection
            finally:
                self._weight.settle(HANDSHAKE, self._clock.now())

    async def _permission(self) -> None:
        while wait := self._wait():  # noqa: ASYNC110 - for a time that is known, not for an event
            await asyncio.sleep(wait.total_seconds())
        self._budget.spend(steady())

    def _wait(self) -> timedelta:
        return self._budget.wait(steady()) or self._weight.reserve(HANDSHAKE, self._clock.now())

    def _withdraw(self, connection: Connection) -> None:
        if connection is self._current:
            self._current = None
            self._available.clear()
