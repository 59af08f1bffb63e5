"""The user data stream of one account: everything that happens to it, as it happens, for months."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from recorder.binance.arrivals import Arrivals
from recorder.binance.clock import ExchangeClock
from recorder.binance.events import decode_event
from recorder.binance.listen_key import ListenKey
from recorder.binance.reconnection import LIFETIME, STABLE, Backoff, replacement_due
from recorder.binance.status import StreamStatus
from recorder.binance.stream_connection import StreamConnection, StreamServer
from recorder.domain.event import Arrival, Event, KeptEvent, ListenKeyExpired
from recorder.domain.stream import Connected, Coverage, LossReason, Lost
from recorder.exceptions import AccountRejected, ExchangeError, MalformedAnswer
from recorder.process.clock import steady

RENEW_EVERY = timedelta(minutes=25)
"""How often the listenKey, which lives for 60 minutes, is prolonged."""

_RENEW_AGAIN = timedelta(minutes=1)
_STOPPED = 60.0
_SAID_EVERY = 60.0
_REDACTED = "[listen key]"

_log = logging.getLogger(__name__)

Deliver = Callable[[Event, Arrival], None]


class UserStream:
    """Keeps one connection open for the events of one account, each before its predecessor is closed if possible.

    Every event goes to *deliver* and every loss and return of coverage to *changed*, both of which are called from the
    reader and must return at once; what they raise ends ``run``. The exchange replays nothing: what happened between
    ``Lost`` and ``Connected`` comes from elsewhere. It may send an event twice. *learned_secret* is told each listenKey
    before it is used.

    A dead stream and a quiet account look alike from here. Who sees in a snapshot what the stream did not tell calls
    ``renew``.
    """

    def __init__(
        self,
        account: str,
        listen_key: ListenKey,
        server: StreamServer,
        clock: ExchangeClock,
        *,
        deliver: Deliver,
        changed: Callable[[Coverage], None],
        learned_secret: Callable[[str], None],
        renew_every: timedelta = RENEW_EVERY,
        lifetime: timedelta = LIFETIME,
    ) -> None:
        self._account = account
        self._listen_key = listen_key
        self._server = server
        self._clock = clock
        self._deliver = deliver
        self._changed = changed
        self._learned_secret = learned_secret
        self._renew_every = renew_every
        self._lifetime = lifetime
        self._backoff = Backoff()
        self._current: StreamConnection | None = None
        self._covering = False
        self._covered_since = clock.now()
        self._proven_at = steady()
        self._arrivals = Arrivals(clock)
        self._counts: Counter[str] = Counter()
        self._passed = self._malformed = self._connections = 0
        self._last_event_at: datetime | None = None
        self._key_renewed_at: datetime | None = None
        self._said_malformed_at = -_SAID_EVERY
        self._last_error = ""

    async def run(self) -> None:
        """Listen until cancelled; a fault of the network or the exchange never ends it."""
        previous: StreamConnection | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_key())
                while True:
                    connection = await self._open()
                    tasks.create_task(self._serve(connection))
                    self._take_over(connection)
                    if previous is not None:
                        tasks.create_task(previous.retire())
                    previous = connection
                    await replacement_due(connection.ending, self._lifetime)
                    if steady() - connection.opened_at >= STABLE:
                        self._backoff.reset()
        finally:
            if self._current is not None:  # nobody listens any more, until this is run again
                self._lose(self._current, self._exchange_time(self._current.heard_at), LossReason.CONNECTION_LOST)
                self._current = None

    def renew(self) -> None:
        """Give the connection up as dead since the last event, ask for the listenKey again and open another one.

        While there is no connection anyway, this does nothing.
        """
        if self._current is not None:
            self._lose(self._current, self._exchange_time(self._proven_at), LossReason.SILENT)

    def awoke(self, asleep_since: datetime) -> None:
        """Do the same because the process stood still from *asleep_since*, exchange time, until now."""
        if self._current is not None:
            self._lose(self._current, asleep_since, LossReason.ASLEEP)

    def status(self) -> StreamStatus:
        return StreamStatus(
            account=self._account,
            connected=self._covering,
            connections_total=self._connections,
            events=dict(self._counts),
            passed=self._passed,
            malformed=self._malformed,
            last_event_at=self._last_event_at,
            key_renewed_at=self._key_renewed_at,
            last_error=self._last_error,
        )

    async def _open(self) -> StreamConnection:
        while True:
            await asyncio.sleep(self._backoff.delay())
            try:
                connection = await self._server.open(await self._start_key())
            except AccountRejected as exc:
                self._failed(exc)
                await asyncio.sleep(_STOPPED)  # whether the key is mended is asked once an hour, however often tried
            except ExchangeError as exc:
                self._failed(exc)
            else:
                self._connections += 1
                self._last_error = ""
                return connection

    async def _start_key(self) -> str:
        key = await self._listen_key.start()
        self._learned_secret(key)
        self._key_renewed_at = self._clock.wall_at(steady())
        return key

    async def _keep_key(self) -> None:
        pause = self._renew_every
        while True:
            await asyncio.sleep(pause.total_seconds())
            try:
                key = await self._start_key()
            except ExchangeError as exc:
                self._failed(exc)
                pause = min(_RENEW_AGAIN, self._renew_every)
            else:
                self._compare(key)
                pause = self._renew_every

    def _compare(self, key: str) -> None:
        """The connection of a key that is not in force any more stays open and silent."""
        if self._current is None:
            return
        if key != self._current.listen_key:
            self._lose(self._current, self._exchange_time(self._proven_at), LossReason.LISTEN_KEY_CHANGED)
        elif self._covering:
            self._proven_at = steady()
            self._last_error = ""

    async def _serve(self, connection: StreamConnection) -> None:
        try:
            reason = await connection.read(lambda frame, at: self._receive(connection, frame, at))
            detail = reason.replace(connection.listen_key, _REDACTED)
            self._lose(connection, self._exchange_time(connection.heard_at), LossReason.CONNECTION_LOST, detail)
        finally:
            await connection.close()

    def _take_over(self, connection: StreamConnection) -> None:
        self._current = connection
        self._proven_at = connection.opened_at
        if not self._covering:
            self._covering = True
            _log.info("Account %s: its event stream is connected", self._account)
            self._covered_since = self._exchange_time(connection.opened_at)
            self._changed(Connected(self._covered_since))

    def _lose(self, connection: StreamConnection, at: datetime, reason: LossReason, detail: str = "") -> None:
        """Have a new connection opened; if this one is in use, nothing was told any more after *at*.

        Coverage does not end before it began, though the clock was corrected in between.
        """
        connection.ending.set()
        if connection is not self._current or not self._covering:
            return
        self._covering = False
        at = max(at, self._covered_since)
        self._last_error = f"The event stream was lost: {reason}{f' ({detail})' if detail else ''}"
        _log.warning("Account %s: %s", self._account, self._last_error)
        self._changed(Lost(at, reason, detail))

    def _receive(self, connection: StreamConnection, frame: bytes, received: float) -> None:
        self._last_event_at = self._clock.wall_at(received)
        if connection is self._current:
            self._proven_at = received
        event = self._decoded(frame.replace(connection.listen_key.encode(), _REDACTED.encode()))
        if event is None:
            self._passed += 1
            return
        self._counts[type(event).__name__] += 1
        self._deliver(event, self._arrivals.arrived(received))
        if isinstance(event, ListenKeyExpired):
            told = self._exchange_time(received)
            self._lose(connection, min(event.event_time or told, told), LossReason.LISTEN_KEY_EXPIRED)

    def _decoded(self, frame: bytes) -> Event | None:
        """Nothing that came is thrown away because it is not understood."""
        try:
            return decode_event(frame)
        except MalformedAnswer as exc:
            self._malformed += 1
            if steady() - self._said_malformed_at >= _SAID_EVERY:
                self._said_malformed_at = steady()
                _log.warning("Account %s: %s; it is only kept", self._account, exc.what)
            return KeptEvent(kind="", event_time=None, raw=frame.decode(errors="replace").replace("\0", "\ufffd"))

    def _failed(self, error: ExchangeError) -> None:
        if error.what != self._last_error:
            _log.warning("Event stream of account %s: %s", self._account, error.what)
        self._last_error = error.what

    def _exchange_time(self, at: float) -> datetime:
        return self._clock.now() - timedelta(seconds=steady() - at)
