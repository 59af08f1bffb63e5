"""Where user data streams are: a WebSocket server that sends what a test tells it to, and an account's listenKeys."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request as Handshake
from websockets.http11 import Response

from tests.binance.exchange import Message, Reply, answer


class UserStreams:
    """Accepts every connection, as the exchange does whatever the key, and says nothing by itself.

    Attributes:
        sockets: Every connection that was opened, the latest last.
        accepted: How many handshakes were not refused.
        targets: What each handshake asked for, refused ones included.
        refuse: HTTP status and headers with which handshakes are refused, one after the other.
    """

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.targets: list[str] = []
        self.accepted = 0
        self.refuse: list[tuple[int, dict[str, str]]] = []
        self.url = ""
        self._changed = asyncio.Condition()
        self._server: Server | None = None

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that happens with a handshake or the end of a connection; five seconds are a failure."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(condition)

    async def opened(self, number: int) -> ServerConnection:
        await self.until(lambda: len(self.sockets) >= number)
        return self.sockets[number - 1]

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event on the latest connection."""
        await self.sockets[-1].send(json.dumps({"e": kind, "E": 1_760_000_000_123, **fields}))

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0, process_request=self._handshake)
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _handshake(self, socket: ServerConnection, request: Handshake) -> Response | None:
        self.targets.append(request.path)
        await self._notify()
        if not self.refuse:
            self.accepted += 1
            return None
        status, headers = self.refuse.pop(0)
        response = socket.respond(HTTPStatus(status), "")
        response.headers.update(headers)
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        await self._notify()
        await socket.wait_closed()
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class ListenKeys:
    """Answers ``userDataStream.start``.

    Attributes:
        key: The key in force.
        replies: What is answered before that, one after the other.
        asked: Every request, as it came.
    """

    def __init__(self) -> None:
        self.key = "canary-listen-key-1"
        self.replies: list[Reply | None] = []
        self.asked: list[Message] = []

    async def script(self, socket: ServerConnection, request: Message) -> None:
        self.asked.append(request)
        reply = self.replies.pop(0) if self.replies else lambda request: answer(request, {"listenKey": self.key})
        if reply is not None:
            await socket.send(reply(request))


def key_of(listen_key: str) -> Callable[[], Awaitable[str]]:
    """What tells that key, a moment after it was asked for."""

    async def start() -> str:
        await asyncio.sleep(0)
        return listen_key

    return start
