"""One WebSocket connection that carries the events of one account, or of several that share it."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from recorder.process.clock import steady

REDACTED = "[listen key]"

_OVERLAP = 5.0
_AT_ONCE = 100  # frames of a burst that are dealt with before others have their turn

_log = logging.getLogger(__name__)


class _Wrapped(msgspec.Struct):
    """A message on a connection that several keys share."""

    stream: str
    data: msgspec.Raw


_WRAPPED = msgspec.json.Decoder(_Wrapped)


@dataclass(frozen=True, slots=True)
class Frame:
    """What came.

    Attributes:
        received: Steady seconds.
        is_own: Whether it surely is the account's; otherwise it says nothing that can be read of whose it is.
    """

    data: bytes
    received: float
    is_own: bool = True


class Line:
    """What a connection is for one listenKey: its frames as they come.

    Attributes:
        listen_key: What it was opened with.
        ending: Set when a new line is wanted in place of this one, or when this one is lost.
        shared_by: How many keys the connection was opened with.
        opened_at: Monotonic seconds.
    """

    def __init__(self, connection: "StreamConnection", listen_key: str, shared_by: int) -> None:
        self._connection = connection
        self._frames: deque[Frame] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self.listen_key = listen_key
        self.shared_by = shared_by
        self.ending = asyncio.Event()
        self.opened_at = connection.opened_at

    @property
    def heard_at(self) -> float:
        """Monotonic seconds of the last proof that the other side is there: all that was sent before it came."""
        return self._connection.heard_at

    @property
    def is_lost(self) -> bool:
        """Whether the connection is."""
        return self._connection.is_over

    async def read(self, receive: Callable[[Frame], None]) -> str:
        """Hand each frame to *receive* until the line is closed or its connection lost; return why it was."""
        while True:
            self._arrived.clear()
            while self._frames:
                receive(self._frames.popleft())
            if self._closed:
                return ""
            if self._connection.is_over:
                return await self._connection.reason()
            await self._arrived.wait()

    async def retire(self) -> None:
        """Close after a few seconds in which events may still be on their way here and not to the successor."""
        await asyncio.sleep(_OVERLAP)
        await self.close()

    async def close(self) -> None:
        """Read no more, and close the connection if nobody else reads it."""
        self._closed = True
        self._arrived.set()
        await self._connection.leave(self)

    def put(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._arrived.set()

    def end(self) -> None:
        """Let the reader see that the connection is over."""
        self.ending.set()
        self._arrived.set()


class StreamConnection:
    """Hands out frames as they come to whom they are for, and finds itself dead within two ping intervals.

    Attributes:
        lines: One for each key that is listened to, by the key.
        opened_at: Monotonic seconds.
        heard_at: Monotonic seconds of the last proof that the other side is there.
        is_over: Whether it is lost or closed.
    """

    def __init__(
        self,
        socket: ClientConnection,
        listen_keys: Iterable[str],
        *,
        wanted: Iterable[str] | None = None,
        ping_interval: float,
        life: float,
    ) -> None:
        """It was opened with *listen_keys*, of which those that are *wanted* still get a line; it is read at once.

        After a *life* of so many seconds its lines are to be replaced.
        """
        self._socket = socket
        self._ping_interval = ping_interval
        self._life = life
        self._keys = frozenset(listen_keys)
        self._said_unknown = False
        self.opened_at = self.heard_at = steady()
        self.is_over = False
        self.lines = {key: Line(self, key, len(self._keys)) for key in (self._keys if wanted is None else wanted)}
        self._reading = asyncio.create_task(self._read(), name="user data streams")

    async def reason(self) -> str:
        """Wait for the end, and return why it came, without any key."""
        return await asyncio.shield(self._reading)

    async def leave(self, line: Line) -> None:
        """Take *line* off; without any the connection is closed. What still comes for its key is nobody's."""
        if self.lines.get(line.listen_key) is line:
            del self.lines[line.listen_key]
        if not self.lines:
            await self._socket.close()

    async def _read(self) -> str:
        pings, ageing = asyncio.create_task(self._ping()), asyncio.create_task(self._grow_old())
        try:
            numbers = count(1)
            while True:
                data = await self._socket.recv(decode=False)  # the parser is the judge of bad UTF-8, not the socket
                self.heard_at = steady()
                self._hand_out(data, self.heard_at)
                if (
                    next(numbers) % _AT_ONCE == 0
                ):  # what waits is received without a pause, and would hold up every slot
                    await asyncio.sleep(0)
        except ConnectionClosed as exc:
            if exc.rcvd is not None:  # the other side closed it, after everything else that it had to say
                self.heard_at = steady()
            return self._redacted(str(exc).encode()).decode()
        finally:
            self.is_over = True
            pings.cancel()
            ageing.cancel()
            for line in self.lines.values():
                line.end()

    def _hand_out(self, data: bytes, received: float) -> None:
        if len(self._keys) == 1:  # nobody else's can come, whatever the form
            for line in self.lines.values():
                line.put(Frame(data, received))
            return
        try:
            wrapped = _WRAPPED.decode(data)
        except (ValueError, RecursionError):
            self._share_out(data, received)
            return
        if addressee := self.lines.get(wrapped.stream):
            addressee.put(Frame(bytes(wrapped.data), received))
        elif wrapped.stream not in self._keys and not self._said_unknown:
            self._said_unknown = True
            _log.error(
                "A connection of event streams brings events for a listenKey that was not asked for: not recorded"
            )

    def _share_out(self, data: bytes, received: float) -> None:
        """Nothing is thrown away because it cannot be read whose it is: whoever it may be for keeps it."""
        named = [line for key, line in self.lines.items() if key.encode() in data]
        frame = Frame(self._redacted(data), received, is_own=False)
        for line in named or list(self.lines.values()):
            line.put(frame)

    def _redacted(self, data: bytes) -> bytes:
        for key in self._keys:
            data = data.replace(key.encode(), REDACTED.encode())
        return data

    async def _grow_old(self) -> None:
        await asyncio.sleep(self._life)
        for line in self.lines.values():
            line.ending.set()

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
