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
from recorder.binance.reconnection import STABLE, Backoff
from recorder.binance.status import StreamStatus
from recorder.binance.stream_connection import REDACTED, Frame, Line
from recorder.binance.stream_server import StreamServer
from recorder.domain.event import Arrival, Event, KeptEvent, ListenKeyExpired
from recorder.domain.stream import Connected, Coverage, LossReason, Lost
from recorder.exceptions import AccountRejected, ExchangeError, MalformedAnswer
from recorder.process.clock import steady

RENEW_EVERY = timedelta(minutes=25)
"""How often the listenKey, which lives for 60 minutes, is prolonged."""

_RENEW_AGAIN = timedelta(minutes=1)
_STOPPED = 60.0
_SAID_EVERY = 60.0

_log = logging.getLogger(__name__)

Deliver = Callable[[Event, Arrival], None]


class UserStream:
    """Keeps a line open for the events of one account, each before its predecessor is closed if possible.

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
    ) -> None:
        self._account = account
        self._listen_key = listen_key
        self._server = server
        self._clock = clock
        self._deliver = deliver
        self._changed = changed
        self._learned_secret = learned_secret
        self._renew_every = renew_every
        self._backoff = Backoff()
        self._current: Line | None = None
        self._at_most: int | None = None
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
        previous: Line | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_key())
                while True:
                    line = await self._open()
                    self._at_most = None
                    tasks.create_task(self._serve(line))
                    self._take_over(line)
                    if previous is not None:
                        tasks.create_task(previous.retire())
                    previous = line
                    await line.ending.wait()
                    if steady() - line.opened_at >= STABLE:
                        self._backoff.reset()
                    elif line.is_lost:  # whoever brings it down is alone after a few times
                        self._at_most = max(1, line.shared_by // 2)
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

    async def _open(self) -> Line:
        while True:
            try:
                line = await self._server.open(self._next_key, at_most=self._at_most)
            except AccountRejected as exc:
                self._failed(exc)
                await asyncio.sleep(_STOPPED)  # whether the key is mended is asked once an hour, however often tried
            except ExchangeError as exc:
                self._failed(exc)
            else:
                self._connections += 1
                self._last_error = ""
                return line

    async def _next_key(self) -> str:
        await asyncio.sleep(self._backoff.delay())
        return await self._start_key()

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

    async def _serve(self, line: Line) -> None:
        try:
            detail = await line.read(lambda frame: self._receive(line, frame))
            self._lose(line, self._exchange_time(line.heard_at), LossReason.CONNECTION_LOST, detail)
        finally:
            await line.close()

    def _take_over(self, line: Line) -> None:
        self._current = line
        self._proven_at = line.opened_at
        if not self._covering:
            self._covering = True
            _log.info("Account %s: its event stream is connected", self._account)
            self._covered_since = self._exchange_time(line.opened_at)
            self._changed(Connected(self._covered_since))

    def _lose(self, line: Line, at: datetime, reason: LossReason, detail: str = "") -> None:
        """Have a new line opened; if this one is in use, nothing was told any more after *at*.

        Coverage does not end before it began, though the clock was corrected in between. Where the connection lives
        and tells nothing of this account, sharing it may be why.
        """
        line.ending.set()
        if line is not self._current or not self._covering:
            return
        if reason in {LossReason.SILENT, LossReason.LISTEN_KEY_EXPIRED}:
            self._at_most = 1
        self._covering = False
        at = max(at, self._covered_since)
        self._last_error = f"The event stream was lost: {reason}{f' ({detail})' if detail else ''}"
        _log.warning("Account %s: %s", self._account, self._last_error)
        self._changed(Lost(at, reason, detail))

    def _receive(self, line: Line, frame: Frame) -> None:
        self._last_event_at = self._clock.wall_at(frame.received)
        if line is self._current and frame.is_own:
            self._proven_at = frame.received
        data = frame.data.replace(line.listen_key.encode(), REDACTED.encode())
        event = self._decoded(data) if frame.is_own else self._kept(data, "A frame does not say whose it is")
        if event is None:
            self._passed += 1
            return
        self._counts[type(event).__name__] += 1
        self._deliver(event, self._arrivals.arrived(frame.received))
        if isinstance(event, ListenKeyExpired):
            told = self._exchange_time(frame.received)
            self._lose(line, min(event.event_time or told, told), LossReason.LISTEN_KEY_EXPIRED)

    def _decoded(self, data: bytes) -> Event | None:
        try:
            return decode_event(data)
        except MalformedAnswer as exc:
            return self._kept(data, exc.what)

    def _kept(self, data: bytes, why: str) -> KeptEvent:
        """Nothing that came is thrown away because it is not understood."""
        self._malformed += 1
        if steady() - self._said_malformed_at >= _SAID_EVERY:
            self._said_malformed_at = steady()
            _log.warning("Account %s: %s; it is only kept", self._account, why)
        return KeptEvent(kind="", event_time=None, raw=data.decode(errors="replace").replace("\0", "\ufffd"))

    def _failed(self, error: ExchangeError) -> None:
        if error.what != self._last_error:
            _log.warning("Event stream of account %s: %s", self._account, error.what)
        self._last_error = error.what

    def _exchange_time(self, at: float) -> datetime:
        return self._clock.now() - timedelta(seconds=steady() - at)
