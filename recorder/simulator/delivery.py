"""Sending answers, well or badly."""

from asyncio import wait_for
from contextlib import suppress
from dataclasses import replace

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from recorder.simulator.clock import Clock
from recorder.simulator.frames import Answer
from recorder.simulator.knobs import (
    Altered,
    Ban,
    Cut,
    Disconnect,
    Error,
    Garbage,
    Late,
    Maimed,
    Silence,
    Swapped,
    Webpage,
)
from recorder.simulator.traffic import Received, Traffic
from recorder.simulator.wsapi import Reply

_SERVER_ERROR = 1011


class Delivery:
    """Sends each reply as its fault demands. Only what was sent whole is counted as served."""

    def __init__(self, clock: Clock, traffic: Traffic) -> None:
        self._clock = clock
        self._traffic = traffic
        self._kept_back: tuple[ServerConnection, Reply] | None = None

    async def send(self, connection: ServerConnection, reply: Reply) -> None:
        """Send the reply. A client that is gone is no error.

        Returns when it is sent, so a late one should have a task of its own.
        """
        with suppress(ConnectionClosed):
            await self._send(connection, reply)

    async def _send(self, connection: ServerConnection, reply: Reply) -> None:
        match reply.fault:
            case Silence():
                pass
            case Disconnect():
                connection.transport.abort()
            case Cut():
                text = reply.answer.text()
                await connection.send(text[: len(text) // 2])
                await connection.close(_SERVER_ERROR)
            case Garbage(content=content, binary=binary):
                await connection.send(content, text=not binary)
                await self._serve(connection, reply.received, reply.answer)
            case Maimed(without=without):
                await connection.send(reply.answer.text(without=without))
            case Late(by=by):
                with suppress(TimeoutError):
                    await wait_for(connection.wait_closed(), by.total_seconds())
                await self._serve(connection, reply.received, reply.answer)
            case Swapped(crossed_ids=crossed_ids):
                await self._swap(connection, reply, crossed_ids=crossed_ids)
            case None | Error() | Ban() | Altered() | Webpage():
                await self._serve(connection, reply.received, reply.answer)

    async def _swap(self, connection: ServerConnection, later: Reply, *, crossed_ids: bool) -> None:
        if self._kept_back is None:
            self._kept_back = connection, later
            return
        (earlier_connection, earlier), self._kept_back = self._kept_back, None
        first, second = later.answer, earlier.answer
        if crossed_ids:
            first, second = (
                replace(first, request_id=second.request_id),
                replace(second, request_id=first.request_id),
            )
        await self._serve(connection, later.received, first)
        await self._serve(earlier_connection, earlier.received, second)

    async def _serve(self, connection: ServerConnection, received: Received, answer: Answer) -> None:
        await connection.send(answer.text())
        self._traffic.sent(received, answer, self._clock.true_time())
