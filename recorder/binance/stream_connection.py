"""One WebSocket connection that carries the events of one account."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from recorder.binance.allowance import Allowance
from recorder.binance.handshake import open_socket, require_websocket
from recorder.binance.reconnection import ConnectionBudget
from recorder.exceptions import RateLimited
from recorder.process.clock import steady

LIVE = "wss://fstream.binance.com"
PLACE = "{listen_key}"
"""Where the key goes in an address that is a template."""

_EVENTS = "ACCOUNT_UPDATE/ORDER_TRADE_UPDATE/ACCOUNT_CONFIG_UPDATE/MARGIN_CALL/listenKeyExpired"
_PING_INTERVAL = 15.0
_MAX_QUEUE = 1024  # a burst of frames must not keep pings from being answered
_OVERLAP = 5.0


class StreamConnection:
    """Hands out frames as they come, and finds a dead connection dead within two ping intervals.

    Attributes:
        listen_key: What it was opened with.
        ending: Set when a new connection is wanted in place of this one, or when this one is lost.
        opened_at: Monotonic seconds.
        heard_at: Monotonic seconds of the last proof that the other side is there: all that was sent before it came.
    """

    def __init__(self, socket: ClientConnection, listen_key: str, ping_interval: float) -> None:
        self._socket = socket
        self._ping_interval = ping_interval
        self.listen_key = listen_key
        self.ending = asyncio.Event()
        self.opened_at = self.heard_at = steady()

    async def read(self, receive: Callable[[bytes, float], None]) -> str:
        """Hand each frame and its steady time to *receive* until the connection is lost; return why it was."""
        pings = asyncio.create_task(self._ping())
        try:
            while True:
                frame = await self._socket.recv(decode=False)  # the parser is the judge of bad UTF-8, not the socket
                self.heard_at = steady()
                receive(frame, self.heard_at)
        except ConnectionClosed as exc:
            if exc.rcvd is not None:  # the other side closed it, after everything else that it had to say
                self.heard_at = steady()
            return str(exc)
        finally:
            self.ending.set()
            pings.cancel()

    async def retire(self) -> None:
        """Close after a few seconds in which events may still be on their way here and not to the successor."""
        await asyncio.sleep(_OVERLAP)
        await self.close()

    async def close(self) -> None:
        await self._socket.close()

    async def _ping(self) -> None:
        """Not the library's own keep-alive, which does not tell when a pong came."""
        with suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self._ping_interval)
                pong = await self._socket.ping()
                try:
                    async with asyncio.timeout(self._ping_interval):
                        await pong
                except TimeoutError:
                    await self._socket.close(1011, "no pong")
                    return
                self.heard_at = steady()


class StreamServer:
    """Where user data streams are, for all accounts of the process: it opens connections as often as it is allowed."""

    def __init__(
        self,
        url: str,
        allowance: Allowance,
        budget: ConnectionBudget | None = None,
        ping_interval: float = _PING_INTERVAL,
    ) -> None:
        """*url* is the exchange's address, or a whole one with ``{listen_key}`` in it. Raises ConfigurationError."""
        self._url = url
        self._allowance = allowance
        self._budget = budget or ConnectionBudget()
        self._ping_interval = ping_interval
        require_websocket(self._address("key"), setting="stream_url", example=LIVE)

    async def open(self, listen_key: str) -> StreamConnection:
        """Open a connection, which must then be read; raises ExchangeUnavailable, or RateLimited for everybody.

        Before, it is waited for the end of a pause and for the connection budget.
        """
        while wait := self._wait():  # noqa: ASYNC110 - for a time that is known, not for an event
            await asyncio.sleep(wait)
        self._budget.spend(steady())
        try:
            socket = await open_socket(
                self._address(listen_key), setting="stream_url", ping_interval=None, max_queue=_MAX_QUEUE
            )
        except RateLimited as exc:
            self._allowance.handshake_limited(exc)
            raise
        return StreamConnection(socket, listen_key, self._ping_interval)

    def _wait(self) -> float:
        return (self._allowance.pause_left or self._budget.wait(steady())).total_seconds()

    def _address(self, listen_key: str) -> str:
        key = quote(listen_key, safe="")
        if PLACE in self._url:
            return self._url.replace(PLACE, key)
        return f"{self._url.rstrip('/')}/private/ws?listenKey={key}&events={_EVENTS}"
