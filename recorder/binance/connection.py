"""One WebSocket connection to the exchange, and the requests in flight on it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from recorder.binance.handshake import open_socket
from recorder.binance.session import Answered, Event, Refused, ServerShutdown, Session, Unintelligible
from recorder.binance.signing import Params
from recorder.exceptions import ExchangeUnavailable
from recorder.process.clock import steady

_PING_INTERVAL = 15.0
_DRAIN = 30.0

_Received = tuple[Answered | Refused | Unintelligible, float]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request; *sent* and *received* are steady seconds."""

    event: Answered | Refused | Unintelligible
    sent: float
    received: float


class Connection:
    """Sends requests and hands each its own answer, in whatever order the answers come.

    Attributes:
        ending: Set when a new connection is wanted in place of this one, or when this one is lost.
        superseded: Set when another connection is used in place of this one.
        opened_at: Monotonic seconds.
        received_at: Monotonic seconds of the last frame, or of the opening.
    """

    def __init__(self, socket: ClientConnection, name: str, notice: Callable[[Event], None]) -> None:
        self._socket = socket
        self._session = Session(name)
        self._notice = notice
        self._waiting: dict[str, asyncio.Future[_Received | None]] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.ending = asyncio.Event()
        self.superseded = asyncio.Event()
        self.opened_at = self.received_at = steady()

    async def request(self, method: str, params: Params) -> Reply:
        """Send one request and return what came of it; raises ExchangeUnavailable when the connection is lost first.

        The time limit is the caller's: when it gives up, the answer that may still come belongs to nobody.
        """
        request_id, text = self._session.request(method, params)
        answer: asyncio.Future[_Received | None] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        self._idle.clear()
        sent = steady()
        try:
            await self._socket.send(text)
            received = await answer
        except ConnectionClosed as exc:
            raise _lost(method) from exc
        finally:
            self._session.forget(request_id)
            del self._waiting[request_id]
            if not self._waiting:
                self._idle.set()
        if received is None:
            raise _lost(method)
        event, received_at = received
        return Reply(event, sent, received_at)

    async def read(self) -> str:
        """Hand out what comes in until the connection is lost; return why it was."""
        try:
            while True:
                frame = await self._socket.recv(decode=False)  # the parser is the judge of bad UTF-8, not the socket
                self.received_at = steady()
                self._receive(frame)
        except ConnectionClosed as exc:
            return str(exc)
        finally:
            self.ending.set()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_result(None)

    async def retire(self) -> None:
        """Close as soon as the requests in flight have their answers, or after half a minute."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN):
                await self._idle.wait()
        await self.close()

    async def close(self) -> None:
        await self._socket.close()

    def _receive(self, frame: bytes) -> None:
        event = self._session.receive(frame)
        self._notice(event)
        match event:
            case Answered() | Refused(id=str()) | Unintelligible(id=str()):
                answer = self._waiting[str(event.id)]
                if not answer.done():
                    answer.set_result((event, self.received_at))
            case ServerShutdown():
                self.ending.set()
            case _:
                pass


async def open_connection(url: str, name: str, notice: Callable[[Event], None]) -> Connection:
    """Open a connection; its ``read`` must then be run.

    Raises RateLimited when the handshake is refused for this address, and ExchangeUnavailable for everything else.
    """
    return Connection(await open_socket(url, setting="ws_api_url", ping_interval=_PING_INTERVAL), name, notice)


def _lost(method: str) -> ExchangeUnavailable:
    return ExchangeUnavailable(
        f"The connection to the exchange was lost before {method} was answered",
        why="The network or the exchange closed it.",
        fix="Nothing: it is opened again by itself.",
    )
