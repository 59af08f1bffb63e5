"""Where user data streams are: connections for all accounts of the process, as few and as often as is allowed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from recorder.binance.allowance import Allowance
from recorder.binance.handshake import HandshakeRefused, open_socket
from recorder.binance.reconnection import LIFETIME, ConnectionBudget, life
from recorder.binance.stream_address import StreamAddress
from recorder.binance.stream_connection import Line, StreamConnection
from recorder.exceptions import RateLimited
from recorder.process.clock import steady

KEYS_PER_CONNECTION = 40
"""What an address of the exchange's own form holds within the 8 KB that servers commonly take."""

_BUDGET = 240
"""Connections in five minutes: the exchange allows an address 300, and the requests need some of them."""

_MOMENT = 1.0  # seconds in which those gather that ask at about the same time
_ONE_BY_ONE = 3600.0  # seconds after a refusal of several keys
_LONG = 1.0  # seconds; who waits for longer is told of
_PING_INTERVAL = 15.0
_MAX_QUEUE = 1024  # a burst of frames must not keep pings from being answered

_log = logging.getLogger(__name__)


class _SeveralRefused(Exception):
    """The exchange does not take several keys at once: each is to be tried by itself."""


class _Group:
    """Keys on their way to a connection.

    Attributes:
        keys: Those that are still wanted.
        complete: Set when nobody else is waited for.
    """

    def __init__(self, at_most: int) -> None:
        self.at_most = at_most
        self.keys: dict[str, None] = {}
        self.complete = asyncio.Event()
        self.opening: asyncio.Task[dict[str, Line]] | None = None

    def add(self, key: str) -> None:
        self.keys[key] = None
        if len(self.keys) >= self.at_most:
            self.complete.set()


class StreamServer:
    """Opens connections within the budget; keys that ask for one at about the same time share it.

    What a connection carries never changes: a key that comes later opens another one, so that no account's events ever
    stop because of another account.
    """

    def __init__(
        self,
        url: str,
        allowance: Allowance,
        budget: ConnectionBudget | None = None,
        *,
        keys_per_connection: int = KEYS_PER_CONNECTION,
        ping_interval: float = _PING_INTERVAL,
        lifetime: timedelta = LIFETIME,
    ) -> None:
        """*url* is what a ``StreamAddress`` takes. Raises ConfigurationError."""
        self._address = StreamAddress(url)
        self._allowance = allowance
        self._budget = budget or ConnectionBudget(_BUDGET)
        self._keys_per_connection = keys_per_connection if self._address.shared else 1
        self._ping_interval = ping_interval
        self._lifetime = lifetime
        self._groups: list[_Group] = []
        self._coming = 0  # those who have no key yet
        self._one_by_one_until = -_ONE_BY_ONE
        self._said_waiting = False

    @property
    def waiting(self) -> int:
        """How many keys wait for a connection that may not be opened yet, or is being opened."""
        return sum(len(group.keys) for group in self._groups)

    async def open(self, start_key: Callable[[], Awaitable[str]], *, at_most: int | None = None) -> Line:
        """Return a line on a new connection for the key that *start_key* tells; *at_most* so many share it.

        It must then be read. Before, it is waited for others whose keys are under way, for a moment, and for the end of
        a pause and the connection budget. Raises what *start_key* raises, and ExchangeUnavailable, or RateLimited for
        everybody.
        """
        self._coming += 1
        try:
            listen_key = await start_key()
            group = self._join(listen_key, at_most)
        finally:
            self._coming -= 1
            if not self._coming:
                for each in self._groups:
                    each.complete.set()
        while True:
            try:
                lines = await asyncio.shield(self._opening(group))
            except _SeveralRefused:
                group = self._join(listen_key, at_most)
                continue
            except asyncio.CancelledError:
                await self._leave(group, listen_key)
                raise
            return lines[listen_key]

    def _join(self, key: str, at_most: int | None) -> _Group:
        limit = self._keys_per_connection if steady() >= self._one_by_one_until else 1
        limit = max(1, min(limit, at_most or limit))
        for group in self._groups:
            if group.at_most == limit and len(group.keys) < limit and key not in group.keys:
                break
        else:
            self._groups.append(group := _Group(limit))
        group.add(key)
        return group

    def _opening(self, group: _Group) -> "asyncio.Task[dict[str, Line]]":
        if group.opening is None:
            group.opening = asyncio.create_task(self._open(group), name="connection of event streams")
            group.opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        return group.opening

    async def _leave(self, group: _Group, key: str) -> None:
        """Want the key's connection no more; if it is open by now, it had a line for it already."""
        opening = self._opening(group)
        if opening.done():
            if not opening.cancelled() and not opening.exception():
                await opening.result()[key].close()
            return
        del group.keys[key]
        if not group.keys:
            self._discard(group)
            opening.cancel()

    def _discard(self, group: _Group) -> None:
        if group in self._groups:
            self._groups.remove(group)
        self._said_waiting = self._said_waiting and bool(self._groups)

    async def _open(self, group: _Group) -> dict[str, Line]:
        try:
            if group.at_most > 1:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_MOMENT):
                        await group.complete.wait()
            while wait := self._wait():
                self._tell_of_waiting(wait)
                await asyncio.sleep(wait)
        finally:
            self._discard(group)
        keys = list(group.keys)
        self._budget.spend(steady())
        connection = await self._connect(keys, group)
        return dict(connection.lines)

    async def _connect(self, keys: list[str], group: _Group) -> StreamConnection:
        try:
            socket = await open_socket(
                self._address.of(keys), setting="stream_url", ping_interval=None, max_queue=_MAX_QUEUE
            )
        except RateLimited as exc:
            self._allowance.handshake_limited(exc)
            raise
        except HandshakeRefused as exc:
            if len(keys) == 1 or not exc.is_of_the_request:
                raise
            if steady() >= self._one_by_one_until:
                _log.warning(
                    "The exchange refuses %d event streams on one connection (HTTP status %d): for an hour each gets "
                    "one of its own; to spare the attempt, set stream.keys_per_connection lower, or to 1",
                    len(keys),
                    exc.status,
                )
            self._one_by_one_until = steady() + _ONE_BY_ONE
            raise _SeveralRefused from exc
        return StreamConnection(
            socket, keys, wanted=group.keys, ping_interval=self._ping_interval, life=life(self._lifetime)
        )

    def _wait(self) -> float:
        return (self._allowance.pause_left or self._budget.wait(steady())).total_seconds()

    def _tell_of_waiting(self, wait: float) -> None:
        if self._said_waiting or wait < _LONG:
            return
        self._said_waiting = True
        why = "the exchange wants nothing asked" if self._allowance.pause_left else "no more may be opened now"
        _log.warning("%d event streams wait for a connection: %s, for %.0f s", self.waiting, why, wait)
