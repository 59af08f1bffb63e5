"""A WebSocket server that says what a test tells it to, in the exchange's wire format."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Handshake
from websockets.http11 import Response

Message = dict[str, Any]
Script = Callable[[ServerConnection, Message], Awaitable[None]]
Reply = Callable[[Message], str]

ROW = {
    "symbol": "SOLUSDT",
    "positionSide": "BOTH",
    "positionAmt": "-12.50",
    "entryPrice": "151.2040",
    "breakEvenPrice": "151.12839800",
    "markPrice": "149.87654321",
    "unRealizedProfit": "16.59320987",
    "liquidationPrice": "0",
    "isolatedMargin": "0",
    "notional": "-1873.45679012",
    "marginAsset": "USDT",
    "isolatedWallet": "0",
    "initialMargin": "187.34567901",
    "maintMargin": "9.36728395",
    "positionInitialMargin": "187.34567901",
    "openOrderInitialMargin": "0",
    "adl": 1,
    "bidNotional": "0",
    "askNotional": "0",
    "updateTime": 1_760_000_000_123,
}


def answer(request: Message, result: object, count: int = 10) -> str:
    limits = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400, "count": count}
    ]
    return json.dumps({"id": request["id"], "status": 200, "result": result, "rateLimits": limits})


def refusal(request: Message, status: int, code: int, msg: str = "", **data: int) -> str:
    error: Message = {"code": code, "msg": msg}
    if data:
        error["data"] = data
    return json.dumps({"id": request["id"], "status": status, "error": error})


async def one_row(socket: ServerConnection, request: Message) -> None:
    await socket.send(answer(request, [ROW]))


def in_turn(*replies: Reply | None) -> Script:
    """Return a script that answers one request after the other; ``None`` is silence."""
    turns = iter(replies)

    async def script(socket: ServerConnection, request: Message) -> None:
        reply = next(turns)
        if reply is not None:
            await socket.send(reply(request))

    return script


def rows(*symbols: str) -> Reply:
    return lambda request: answer(request, [{**ROW, "symbol": symbol} for symbol in symbols])


def refused(status: int, code: int, msg: str = "", **data: int) -> Reply:
    return lambda request: refusal(request, status, code, msg, **data)


class Exchange:
    """Answers ``session.status`` by its clock, and everything else as ``script`` says.

    Attributes:
        asked: Every request but those for the clock, as they came.
        sockets: Every connection that was opened, the latest last.
        refuse: HTTP status and headers with which handshakes are refused, one after the other.
        clock: The exchange's clock minus the real one; it starts 10 s into a minute.
    """

    def __init__(self) -> None:
        self.script: Script = one_row
        self.on_open: Callable[[ServerConnection], Awaitable[None]] | None = None
        self.asked: list[Message] = []
        self.clock_readings = 0
        self.sockets: list[ServerConnection] = []
        self.handshakes = 0
        self.refuse: list[tuple[int, dict[str, str]]] = []
        now = datetime.now(UTC)
        self.clock = now.replace(second=10, microsecond=0) - now
        self.url = ""
        self._changed = asyncio.Condition()
        self._server: Server | None = None

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that happens with a handshake or a frame; five seconds are a failure."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(condition)

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0, process_request=self._handshake)
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/ws-fapi/v1"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _handshake(self, socket: ServerConnection, _: Handshake) -> Response | None:
        self.handshakes += 1
        await self._notify()
        if not self.refuse:
            return None
        status, headers = self.refuse.pop(0)
        response = socket.respond(HTTPStatus(status), "")
        response.headers.update(headers)
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        await self._notify()
        if self.on_open:
            await self.on_open(socket)
        async with asyncio.TaskGroup() as answers:
            async for frame in socket:
                answers.create_task(self._answer(socket, json.loads(frame)))
        await self._notify()

    async def _answer(self, socket: ServerConnection, request: Message) -> None:
        try:
            if request["method"] == "session.status":
                self.clock_readings += 1
                server_time = self.now() - datetime(1970, 1, 1, tzinfo=UTC)
                await socket.send(answer(request, {"serverTime": server_time // timedelta(milliseconds=1)}))
            else:
                self.asked.append(request)
                await self._notify()
                await self.script(socket, request)
        except ConnectionClosed:
            pass
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
